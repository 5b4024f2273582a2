"""Output of a live session: events and windows as text, JSON lines or CSV.

Lines go to stdout and are flushed one by one, so that a reader at the other end of a pipe gets
each at once; what is said to the person (notices, the closing summary) goes to stderr. On a
terminal, text is shown by `sound_pipeline.live.terminal` instead.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from sound_pipeline.events.event import Event
from sound_pipeline.events.text import json_line, top_scores
from sound_pipeline.system.text import encodable, one_line, printable, spreadsheet_row

FORMATS = ("text", "jsonl", "csv")
TOP_CLASSES = 5

CSV_COLUMNS = ("source", "time", "start_seconds", "end_seconds", "label", "score")


@dataclasses.dataclass(frozen=True, eq=False)
class WindowResult:
    """Label and scores of one window.

    Attributes:
      source: the recording's path, or the microphone's name.
      start_seconds: from the start of the source.
      end_seconds: likewise.
      label: what the window was taken for.
      score: its score, 0..1.
      scores: float [classes], of all classes, smoothed over the windows of its segment.
      latency_seconds: from the end of the window's sound to its label; None without a clock.
      time: the clock's time at the window's start, with its zone; None without a clock.
    """

    source: str
    start_seconds: float
    end_seconds: float
    label: str
    score: float
    scores: npt.NDArray[np.floating]
    latency_seconds: float | None = None
    time: datetime | None = None


@dataclasses.dataclass(frozen=True)
class Level:
    """Level, noise floor and the event in progress.

    Attributes:
      level_db: of the latest sound, dBFS.
      floor_db: the noise floor that the gate has learned, dBFS.
      is_hearing: whether the gate is open.
      current: the event that goes on; None where there is none.
    """

    level_db: float
    floor_db: float
    is_hearing: bool
    current: Event | None = None


class Output(Protocol):
    """Output of a live session. Not for several threads at once."""

    def level(self, level: Level) -> None:
        """Takes the state of things; many times a second, for those that show it."""

    def window(self, window: WindowResult) -> None:
        """Takes what was said about a window."""

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        """Takes an event that is over.

        Args:
          event: it.
          source: the recording's path, or the microphone's name.
          time: the clock's time at the event's start, with its zone; None without a clock.
        """

    def notice(self, text: str) -> None:
        """Takes something the person should know: a device lost, say."""

    def close(self, summary: str = "") -> None:
        """Ends the output, with some lines for the person; a second call does nothing."""

    def __enter__(self) -> Output:
        """Returns itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it where that isn't done yet, so that a terminal is always left in order."""


class _Lines:
    """Lines on a stream; words for the person on stderr."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_closed = False

    def level(self, level: Level) -> None:
        """Says nothing: lines are for what has been found."""

    def window(self, window: WindowResult) -> None:
        """Says nothing, but in the formats that have windows."""

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        raise NotImplementedError

    def notice(self, text: str) -> None:
        print(one_line(text), file=sys.stderr, flush=True)

    def close(self, summary: str = "") -> None:
        if summary and not self._is_closed:
            print(summary, file=sys.stderr, flush=True)
        self._is_closed = True

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, line: str) -> None:
        """Writes a line, line feed included, with escapes for what the stream can't encode."""
        self._stream.write(encodable(line, self._stream))
        self._stream.flush()


class TextOutput(_Lines):
    """A line for people for every event."""

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        """Writes the event's line."""
        self.write(event_text(event, source, time) + "\n")


class JsonLinesOutput(_Lines):
    """A JSON object a line, in ASCII: `"type": "event"` and, where asked for, `"window"`."""

    def __init__(
        self, labels: Sequence[str], stream: TextIO, *, windows: bool, top: int = TOP_CLASSES
    ) -> None:
        """Takes the classes in the order of the scores, and what `make_output` takes."""
        super().__init__(stream)
        self._labels = labels
        self._windows = windows
        self._top = top

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        """Writes the event's record."""
        self.write(json_line(event_record(event, source, time)))

    def window(self, window: WindowResult) -> None:
        """Writes the window's record, where windows are asked for."""
        if self._windows:
            self.write(json_line(window_record(window, self._labels, self._top)))


class CsvOutput(_Lines):
    """A table of events with the columns `CSV_COLUMNS`; its header is written at once."""

    def __init__(self, stream: TextIO) -> None:
        """Writes the header."""
        super().__init__(stream)
        self._write_row(CSV_COLUMNS)

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        """Writes the event's row."""
        record = event_record(event, source, time)
        self._write_row([record.get(column, "") for column in CSV_COLUMNS])

    def _write_row(self, values: Sequence[Any]) -> None:
        # The stream turns line feeds into the system's own line ends.
        self.write(spreadsheet_row(values))


def event_text(event: Event, source: str, time: datetime | None = None) -> str:
    """An event in one line: when (by the clock, or where in the source), label, score."""
    if time is None:
        when = f"{printable(source)}  {event.start_seconds:.1f}-{event.end_seconds:.1f} s"
    else:
        start = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 100_000}"
        when = f"{start}  {event.end_seconds - event.start_seconds:.1f} s"
    return f"{when}  {printable(event.label)}  {event.score:.2f}"


def event_record(event: Event, source: str, time: datetime | None = None) -> dict[str, Any]:
    """An event as JSON values; `time`, in ISO 8601, only where there is a clock."""
    return {
        "type": "event",
        "source": source,
        **_time(time),
        "start_seconds": _rounded(event.start_seconds, 3),
        "end_seconds": _rounded(event.end_seconds, 3),
        "label": event.label,
        "score": _rounded(event.score, 4),
    }


def window_record(window: WindowResult, labels: Sequence[str], top: int) -> dict[str, Any]:
    """A window as JSON values; `scores` holds the `top` highest, the highest first."""
    record = {
        "type": "window",
        "source": window.source,
        **_time(window.time),
        "start_seconds": _rounded(window.start_seconds, 3),
        "end_seconds": _rounded(window.end_seconds, 3),
        "label": window.label,
        "score": _rounded(window.score, 4),
        "scores": {
            label: _rounded(score, 4) for label, score in top_scores(window.scores, labels, top)
        },
    }
    if window.latency_seconds is not None:
        record["latency_seconds"] = _rounded(window.latency_seconds, 4)
    return record


def _time(time: datetime | None) -> dict[str, str]:
    return {} if time is None else {"time": time.isoformat(timespec="milliseconds")}


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)
