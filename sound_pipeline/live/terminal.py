"""Live view on a terminal: what was heard scrolls by above, what goes on now stays below.

Events and notices are printed as plain lines, which stay in the terminal's scrollback; beneath
them a few rows are drawn again and again in place. They grow and shrink with the terminal.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sound_pipeline.events.event import Event
from sound_pipeline.events.text import clock_text, latency_text, top_scores
from sound_pipeline.live.output import TOP_CLASSES, Level, Output, WindowResult, event_text
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.system.text import encodable, one_line, printable

_REDRAW_SECONDS = 0.1
_WIDEST = 100
# Rows above the view for the latest lines, wherever the terminal has room for them.
_ROWS_FOR_LINES = 4
_LINES_KEPT = 200

_METER_FLOOR_DB = -80.0
_LOUD_DB = -3.0
_LEAST_HEADING_WIDTH = len("listening ")


@dataclasses.dataclass(frozen=True)
class _Signs:
    """Characters of bars: `parts` are a cell's left eighths, or nothing between 0 and 1."""

    full: str
    parts: str
    empty: str
    mark: str
    rule: str
    ellipsis: str


_BLOCKS = _Signs("█", " ▏▎▍▌▋▊▉", "·", "│", "─", "…")
_ASCII = _Signs("#", " ", ".", "|", "-", "~")


class TerminalView:
    """The `Output` for a person at a terminal."""

    def __init__(
        self,
        labels: Sequence[str],
        statistics: SessionStatistics,
        stream: TextIO,
        *,
        top: int = TOP_CLASSES,
        seconds: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Draws the view for the first time.

        Args:
          labels: the classes, in the order of the scores.
          statistics: of the session, shown as they are at each drawing.
          stream: the terminal; its size is asked for at each drawing.
          top: how many classes have a bar.
          seconds: a clock for the pace of drawing.
          now: the clock's time, which notices are given.
        """
        self._labels = [encodable(printable(label), stream) for label in labels]
        self._widest_label = max(map(cell_len, self._labels))
        self._top = min(top, len(labels))
        self._statistics = statistics
        self._stream = stream
        self._seconds = seconds
        self._now = now
        self._level: Level | None = None
        self._scores: list[tuple[str, float]] = []
        self._notice = ""
        self._lines: collections.deque[Text] = collections.deque(maxlen=_LINES_KEPT)
        self._drawn_at = float("-inf")
        self._drawn_width = 0  # of the widest row of the view
        self._drawn_columns = 0  # of the terminal
        self._drawn_above = 0  # rows of the terminal above the view
        self._console = Console(
            file=stream, force_terminal=True, markup=False, emoji=False, highlight=False
        )
        plain = self._console.options.ascii_only or self._console.legacy_windows
        self._signs = _ASCII if plain else _BLOCKS
        # What others print meanwhile (log messages, warnings) goes above the view as well, unless
        # their stream leads elsewhere.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=stream is sys.stdout,
            redirect_stderr=sys.stderr.isatty(),
        )
        try:
            self._live.start()
            self._draw()
        except BaseException:
            self.close()
            raise

    def level(self, level: Level) -> None:
        """Shows the level, the gate and what is going on."""
        self._level = level
        self._draw_soon()

    def window(self, window: WindowResult) -> None:
        """Shows the window's highest scores."""
        self._scores = top_scores(window.scores, self._labels, self._top)
        self._draw_soon()

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        """Prints the event above the view."""
        self._print(Text(encodable(event_text(event, source, time), self._stream)))

    def notice(self, text: str) -> None:
        """Prints the notice above the view, and keeps the latest in it."""
        self._notice = f"{self._now():%H:%M:%S} {encodable(one_line(text), self._stream)}"
        self._print(Text(f"! {self._notice}", "yellow"))

    def close(self, summary: str = "") -> None:
        """Takes the view away, and prints the summary where it was."""
        if not self._live.is_started:
            return
        self._live.update("")
        self._live.stop()
        if summary:
            self._console.print(Text(encodable(summary, self._stream)), soft_wrap=True)

    def __enter__(self) -> Output:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the terminal as it was."""
        self.close()

    def _print(self, line: Text) -> None:
        self._draw([line])
        self._lines.append(line)

    def _draw_soon(self) -> None:
        if self._seconds() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def _draw(self, lines: Sequence[Text] = ()) -> None:
        """Prints lines above the view, and draws it anew: all in one write, lest it flicker."""
        columns, rows = os.get_terminal_size(self._stream.fileno())
        # A pseudo-terminal that nobody has given a size has none.
        columns, rows = columns or 80, rows or 24
        self._console.size = (columns, rows)
        view = self._view(self._console.width, rows)
        with self._console:
            if self._console.width < self._drawn_width:
                # Most terminals have wrapped the wider rows, so nobody knows how far up they
                # reach now: only a clean screen is sure.
                lines = [*self._lines_on_screen(), *lines]
                self._console.clear()
            self._live.update(Text("\n").join(view))
            if lines:
                self._console.print(Text("\n").join(lines), soft_wrap=True)
            else:
                self._live.refresh()
        self._drawn_width = max(row.cell_len for row in view)
        self._drawn_columns, self._drawn_above = columns, rows - len(view)
        self._drawn_at = self._seconds()

    def _lines_on_screen(self) -> list[Text]:
        """Lines of which something was above the view at the latest drawing."""
        rows = self._drawn_above
        chosen: list[Text] = []
        for line in reversed(self._lines):
            if rows <= 0:
                break
            chosen.append(line)
            rows -= max(1, -(-line.cell_len // self._drawn_columns))
        return chosen[::-1]

    def _view(self, columns: int, rows: int) -> list[Text]:
        """Rows of the view, at least one; what matters least goes first when room is short."""
        width = min(columns, _WIDEST)
        optional = ["level", "counters", "notice", *range(self._top), "rule"]
        if not self._notice:
            optional.remove("notice")
        room = max(rows - _ROWS_FOR_LINES, min(3, rows - 1))
        kept = optional[: max(0, room - 1)]
        view = []
        if "rule" in kept:
            view.append(Text(self._signs.rule * width, "dim"))
        if "level" in kept:
            view.append(self._level_row(width))
        view.append(self._state_row(width))
        view += [self._score_row(place, width) for place in range(self._top) if place in kept]
        if "counters" in kept:
            view.append(self._counters_row(width))
        if "notice" in kept:
            view.append(self._cut(Text(f"! {self._notice}", "yellow"), width))
        return view

    def _level_row(self, width: int) -> Text:
        row = self._heading("level", width)
        if self._level is None:
            return self._cut(row, width)
        level_db, floor_db = self._level.level_db, self._level.floor_db
        figures = f" {level_db:6.1f} dBFS"
        if width >= 60:
            figures += f"  floor {floor_db:6.1f}"
        cells = width - row.cell_len - len(figures)
        if cells > 0:
            bar = self._bar(_share(level_db), cells)
            mark = min(int(_share(floor_db) * cells), cells - 1)
            style = "red" if level_db > _LOUD_DB else "green" if level_db > floor_db else "dim"
            row.append(bar[:mark], style)
            row.append(self._signs.mark, "bold")
            row.append(bar[mark + 1 :], style)
        row.append(figures)
        return self._cut(row, width)

    def _state_row(self, width: int) -> Text:
        if self._level is None:
            return self._cut(Text("starting", "dim"), width)
        if self._level.is_hearing:
            row = self._heading("hearing", width, "bold green")
        else:
            row = self._heading("listening", width)
        current = self._level.current
        if current is not None:
            seconds = current.end_seconds - current.start_seconds
            figures = f"  {current.score:.2f}  {seconds:.1f} s"
            label = Text(encodable(printable(current.label), self._stream))
            row.append(self._cut(label, width - row.cell_len - len(figures)))
            row.append(figures)
        return self._cut(row, width)

    def _score_row(self, place: int, width: int) -> Text:
        if place >= len(self._scores):
            return Text()
        label, score = self._scores[place]
        row = self._heading(label, width)
        cells = width - row.cell_len - len(" 0.00")
        is_now = self._level is not None and self._level.is_hearing
        if cells > 0:
            row.append(self._bar(score, cells), "cyan" if is_now else "dim")
        row.append(f" {score:.2f}")
        return self._cut(row, width)

    def _counters_row(self, width: int) -> Text:
        """Counters in a row, as many as there is room for."""
        figures = self._statistics
        counters = [
            (f"captured {clock_text(figures.captured_seconds)}", False),
            (f"lost {figures.lost_seconds:.1f} s", figures.lost_seconds >= 0.05),
            (f"skipped {figures.skipped_windows}", figures.skipped_windows > 0),
        ]
        if figures.latency.count:
            usual, high = map(figures.latency.percentile, (50, 95))
            counters.append((f"latency {latency_text(usual)} (95 %: {latency_text(high)})", False))
        counters += [(f"windows {figures.windows}", False), (f"events {figures.events}", False)]
        row = Text()
        for text, is_bad in counters:
            gap = "  " if row else ""
            if len(row) + len(gap) + len(text) > width:
                break
            row.append(gap).append(text, "yellow" if is_bad else "")
        return row

    def _bar(self, share: float, cells: int) -> str:
        """A bar of some cells, filled from the left to a fraction of 0..1."""
        parts = self._signs.parts
        whole, part = divmod(round(min(max(share, 0.0), 1.0) * cells * len(parts)), len(parts))
        bar = self._signs.full * whole + (parts[part] if part else "")
        return bar + self._signs.empty * (cells - len(bar))

    def _heading(self, text: str, width: int, style: str = "") -> Text:
        """First column, as wide as the labels need and there is room for."""
        cells = max(_LEAST_HEADING_WIDTH, min(self._widest_label + 1, width // 3))
        heading = self._cut(Text(text, style), cells - 1)
        heading.pad_right(cells - heading.cell_len)
        return heading

    def _cut(self, text: Text, width: int) -> Text:
        """Text, its end replaced by an ellipsis where it is wider than some cells."""
        if text.cell_len > width:
            text.truncate(max(0, width - 1))
            if width > 0:
                text.append(self._signs.ellipsis)
        return text


def _share(level_db: float) -> float:
    """Place of a level on the meter, 0..1."""
    return min(max(1.0 - level_db / _METER_FLOOR_DB, 0.0), 1.0)
