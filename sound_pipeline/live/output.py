"""What a live session says: events and windows as text, JSON lines or CSV.

Lines go to stdout and are flushed one by one, so that a reader at the other end of a pipe gets
each at once; what is said to the person (notices, the closing summary) goes to stderr. On a
terminal, text is shown by `sound_pipeline.live.terminal` instead.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError
from sound_pipeline.live.events import Event
from sound_pipeline.live.statistics import SessionStatistics

FORMATS = ("text", "jsonl", "csv")
TOP_CLASSES = 5

CSV_COLUMNS = ("source", "time", "start_seconds", "end_seconds", "label", "score")

# What would break a line in two or steer a terminal: control characters, halves of surrogate
# pairs (from file names that aren't UTF-8), line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


@dataclasses.dataclass(frozen=True, eq=False)
class WindowResult:
    """What was said about one window.

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
    """How loud it is, and what is going on.

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
    """Where a live session's findings go. Not for several threads at once."""

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
        """The output itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it where that isn't done yet, so that a terminal is always left in order."""


def make_output(
    kind: str,
    labels: Sequence[str],
    statistics: SessionStatistics,
    *,
    windows: bool = False,
    top: int = TOP_CLASSES,
) -> Output:
    """The output for a format: a live view where text goes to a terminal, else lines.

    Args:
      kind: one of `FORMATS`.
      labels: the classes, in the order of the scores.
      statistics: of the session; a live view shows them as they change.
      windows: whether every window is reported too (JSON lines only).
      top: how many classes of a window are shown.

    Raises:
      UserError: no such format, or windows asked of one that has none.
    """
    if kind not in FORMATS:
        raise UserError(f"--format={kind}: no such format; give {', '.join(FORMATS)}")
    if windows and kind != "jsonl":
        raise UserError(f"--windows: --format={kind} has events only; give --format=jsonl as well")
    if kind == "jsonl":
        return JsonLinesOutput(labels, sys.stdout, windows=windows, top=top)
    if kind == "csv":
        return CsvOutput(sys.stdout)
    if has_screen(sys.stdout, os.environ):
        # Not above: a tenth of a second that no pipe has to wait for.
        from sound_pipeline.live.terminal import TerminalView

        return TerminalView(labels, statistics, sys.stdout, top=top)
    return TextOutput(sys.stdout)


def has_screen(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal whose cursor can be moved."""
    return stream.isatty() and environment.get("TERM", "") not in ("dumb", "unknown")


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
        row = io.StringIO()
        csv.writer(row).writerow(values)
        # The stream turns line feeds into the system's own line ends.
        self.write(row.getvalue().removesuffix("\r\n") + "\n")


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


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of ASCII, line feed included."""
    return json.dumps(record, allow_nan=False) + "\n"


def top_scores(
    scores: npt.NDArray[np.floating], labels: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """The `top` classes with the highest scores and those scores, the highest first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [(labels[index], float(scores[index])) for index in order]


def printable(text: str) -> str:
    """A text with escapes for what would break its line in two or steer a terminal."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text
    )


def encodable(text: str, stream: TextIO) -> str:
    """A text with escapes for what a stream can't encode: not every terminal has UTF-8."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """A message without line breaks or other control characters."""
    return printable(" ".join(text.split()))


def _time(time: datetime | None) -> dict[str, str]:
    return {} if time is None else {"time": time.isoformat(timespec="milliseconds")}


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)
