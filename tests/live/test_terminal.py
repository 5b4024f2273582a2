"""The live view on a pseudo-terminal, as a terminal emulator shows it."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyte
import pytest

from sound_pipeline.events.event import Event
from sound_pipeline.live.output import Level, TextOutput, WindowResult
from sound_pipeline.live.outputs import make_output
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.live.terminal import TerminalView

termios: Any = pytest.importorskip("termios")
fcntl: Any = pytest.importorskip("fcntl")

ROOT = Path(__file__).parents[2]
LABELS = ["dog_bark", "children_playing", "siren", "rain", "犬の鳴き声"]
SCORES = np.array([0.55, 0.25, 0.1, 0.06, 0.04], np.float32)
TIME = datetime(2025, 11, 3, 14, 3, 7, 120_000)
SUMMARY = "captured 0:30 of sound\nlabelled 7 windows"
ODD_LABELS = [
    ["犬の鳴き声" * 9, "吠"],
    ["🐕‍🦺 barks", "👩🏽‍🚒", "ध्वनि"],
    ["clear\x1b[2J\x1b[H", "bell\x07", "two\nlines", "back\b\b\b"],
    ["[bold red]markup[/]", ":dog:", "{}"],
    ["a" * 300, "b"],
    ["", "half\udce9"],
]


class Terminal:
    """A pseudo-terminal and an emulator that shows what was written to it."""

    def __init__(self, columns: int, rows: int, encoding: str = "utf-8") -> None:
        self.master, self.slave = os.openpty()
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1e-9)
        self._emulator = pyte.ByteStream(self.screen)
        self.resize(columns, rows)
        self.raw = b""
        self._received: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.stream: TextIO = os.fdopen(self.slave, "w", encoding=encoding)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def reflow(self, columns: int, rows: int) -> None:
        """Resizes as most terminals do, which wrap the rows that have become too long."""
        shown = self.now()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1e-9)
        self._emulator = pyte.ByteStream(self.screen)
        self._emulator.feed("\r\n".join(shown).encode())

    def _read(self) -> None:
        """Empties the pseudo-terminal, which holds little, until both ends are closed."""
        while True:
            try:
                received = os.read(self.master, 65536)
            except OSError:
                return
            self._received.put(received)

    def receive(self, until: Callable[[], bool]) -> None:
        """Shows what arrives until something has come true."""
        deadline = time.monotonic() + 30
        while not until():
            assert time.monotonic() < deadline, self.rows()
            with contextlib.suppress(queue.Empty):
                received = self._received.get(timeout=0.1)
                self.raw += received
                self._emulator.feed(received)

    def rows(self) -> list[str]:
        """What the terminal shows, without the empty rows at its end."""
        shown = [row.rstrip() for row in self.screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def scrollback(self) -> list[str]:
        """What has scrolled out at the top."""
        return [
            "".join(row[column].data for column in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]

    def now(self) -> list[str]:
        """What the terminal shows once everything written has arrived."""
        marks = self.raw.count(b"\0") + 1  # terminals ignore it
        self.stream.flush()
        os.write(self.slave, b"\0")
        self.receive(lambda: self.raw.count(b"\0") == marks)
        return self.rows()

    def close(self) -> None:
        """Closes both ends."""
        self.stream.close()
        self._reader.join()
        os.close(self.master)

    @property
    def cursor_is_hidden(self) -> bool:
        return bool(self.screen.cursor.hidden)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@contextlib.contextmanager
def terminal(columns: int = 80, rows: int = 24, encoding: str = "utf-8") -> Iterator[Terminal]:
    opened = Terminal(columns, rows, encoding)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def make_view(
    shown: Terminal,
    labels: list[str] = LABELS,
    statistics: SessionStatistics | None = None,
    clock: Callable[[], float] | None = None,
    stream: TextIO | None = None,
) -> TerminalView:
    """A view that draws at every call, without a clock."""
    ticks = iter(range(10**9))
    return TerminalView(
        labels,
        statistics or SessionStatistics(),
        stream or shown.stream,
        seconds=clock or (lambda: float(next(ticks))),
        now=lambda: TIME,
    )


def window(scores: np.ndarray = SCORES) -> WindowResult:
    return WindowResult("default", 0.0, 4.0, "dog_bark", 0.55, scores)


def hearing(label: str = "dog_bark") -> Level:
    return Level(-40.0, -60.0, True, Event(1.0, 3.4, label, 0.874))


def fill(view: TerminalView, label: str = "dog_bark", events: int = 3) -> None:
    """Makes a view show all it has."""
    for number in range(events):
        view.level(hearing(label))
        view.window(window(SCORES[: len(view._labels)]))
        view.event(Event(0, number, label, 0.9), "default", TIME + timedelta(seconds=number))
    view.notice("the microphone is back")
    view.level(hearing(label))


def test_everything_is_shown() -> None:
    statistics = SessionStatistics(62.0, 1.26, 7, 3, 2)
    statistics.latency.add(0.041)
    with terminal() as shown, make_view(shown, statistics=statistics) as view:
        fill(view, events=2)
        assert shown.now() == [
            "2025-11-03 14:03:07.1  0.0 s  dog_bark  0.90",
            "2025-11-03 14:03:08.1  1.0 s  dog_bark  0.90",
            "! 14:03:07 the microphone is back",
            "─" * 80,
            "level            █████████│████████▌··················  -40.0 dBFS  floor  -60.0",
            "hearing          dog_bark  0.87  2.4 s",
            "dog_bark         ███████████████████████████████▉·························· 0.55",
            "children_playing ██████████████▌··········································· 0.25",
            "siren            █████▊···················································· 0.10",
            "rain             ███▌······················································ 0.06",
            "犬の鳴き声       ██▍······················································· 0.04",
            "captured 1:02  lost 1.3 s  skipped 3  latency 41 ms (95 %: 41 ms)  windows 7",
            "! 14:03:07 the microphone is back",
        ]
        assert shown.cursor_is_hidden


def test_the_gate_is_shown() -> None:
    with terminal() as shown, make_view(shown) as view:
        assert "starting" in shown.now()
        view.level(Level(-70.0, -60.0, False))
        assert "listening" in shown.now()
        view.level(Level(-40.0, -60.0, True))
        assert "hearing" in shown.now()


@pytest.mark.parametrize(
    ("level_db", "filled"), [(-120.0, 0), (-80.0, 0), (-40.0, 0.5), (-20.0, 0.75), (0.0, 1), (6, 1)]
)
def test_the_meter_shows_level_and_floor(level_db: float, filled: float) -> None:
    with terminal() as shown, make_view(shown) as view:
        view.level(Level(level_db, -60.0, True))
        row = next(row for row in shown.now() if row.startswith("level"))
        meter = re.sub(r"[^█▏▎▍▌▋▊▉·│]", "", row)
        assert meter.index("│") == len(meter) // 4
        assert meter.count("█") == pytest.approx(filled * len(meter), abs=2.01)
        assert f"{level_db:.1f} dBFS  floor  -60.0" in row


@pytest.mark.parametrize(
    ("columns", "rows"),
    [(40, 24), (200, 50), (80, 12), (80, 9), (40, 6), (20, 3), (80, 2), (5, 5), (1, 4), (80, 1)],
)
def test_events_stay_and_the_view_goes(columns: int, rows: int) -> None:
    with terminal(columns, rows) as shown:
        view = make_view(shown)
        for _ in range(5):
            fill(view)
            assert len(shown.now()) <= rows
        view.close(SUMMARY)
        view.close(SUMMARY)
        # Joined: rows that were wrapped make whole lines again.
        shown.now()
        text = "".join([*shown.scrollback(), *shown.rows()]).replace(" ", "")
        lines = [f"2025-11-0314:03:0{7 + n}.1{n}.0sdog_bark0.90" for n in range(3)]
        lines.append("!14:03:07themicrophoneisback")
        assert text == "".join(lines) * 5 + SUMMARY.replace(" ", "").replace("\n", "")
        assert not shown.cursor_is_hidden
        assert shown.screen.cursor.x == 0


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (14, ["rule", "level", "state", "bar", "bar", "bar", "bar", "bar", "counters", "notice"]),
        (13, ["level", "state", "bar", "bar", "bar", "bar", "bar", "counters", "notice"]),
        (9, ["level", "state", "bar", "counters", "notice"]),
        (7, ["level", "state", "counters"]),
        (3, ["level", "state"]),
        (1, ["state"]),
    ],
)
def test_little_room_is_for_what_matters_most(rows: int, kept: list[str]) -> None:
    kinds = {"─": "rule", "level": "level", "hearing": "state", "captured": "counters"}
    kinds |= {label: "bar" for label in LABELS} | {"! ": "notice"}
    with terminal(80, rows) as shown, make_view(shown) as view:
        fill(view)
        found = [
            next(kind for start, kind in kinds.items() if row.startswith(start))
            for row in shown.now()[-len(kept) :]
        ]
        assert found == kept
        if rows >= 7:
            assert len(shown.rows()) - len(kept) == 4, "events have room too"


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("labels", ODD_LABELS)
def test_odd_labels_break_nothing(labels: list[str], columns: int) -> None:
    with terminal(columns, 24) as shown, make_view(shown, labels) as view:
        for _ in range(3):
            view.level(hearing(labels[0]))
            view.window(window(SCORES[: len(labels)]))
        rows = shown.now()
        # A row wider than the terminal would wrap, and remain above the view when it is redrawn.
        assert len(rows) == 4 + len(labels)
        assert rows[0].startswith("─") and rows[-1].startswith("captured")
        assert [row[-4:] for row in rows[3:-1]] == ["0.55", "0.25", "0.10"][: len(labels)] + [
            "0.06"
        ] * (len(labels) - 3)
        assert b"\x07" not in shown.raw and b"\x1b[H" not in shown.raw


def test_an_odd_label_is_one_line_of_scrollback() -> None:
    with terminal() as shown, make_view(shown) as view:
        view.event(Event(0, 1, "two\nlines\x1b[2J [bold]:dog:", 0.5), "a.wav")
        assert shown.now()[0] == r"a.wav  0.0-1.0 s  two\nlines\x1b[2J [bold]:dog:  0.50"


@pytest.mark.parametrize("resize", [Terminal.resize, Terminal.reflow])
def test_a_narrower_terminal_is_drawn_afresh(resize: Callable[[Terminal, int, int], None]) -> None:
    with terminal(80, 24) as shown, make_view(shown) as view:
        fill(view)
        shown.now()
        resize(shown, 50, 24)
        view.level(hearing())
        narrow = shown.now()
        assert [row[:21] for row in narrow[:3]] == [f"2025-11-03 14:03:0{n}.1" for n in (7, 8, 9)]
        assert narrow[3:5] == ["! 14:03:07 the microphone is back", "─" * 50]
        assert len(narrow) == 14
        resize(shown, 90, 24)
        view.level(hearing())
        assert shown.now()[4] == "─" * 90
        assert len(shown.rows()) == 14


@pytest.mark.parametrize("rows", [3, 8, 24])
@pytest.mark.parametrize("more", [True, False])
def test_a_narrower_terminal_loses_no_event(rows: int, more: bool) -> None:
    with terminal(80, rows) as shown, make_view(shown) as view:
        view.level(hearing())
        for number in range(30):
            view.event(Event(0, 1, "dog_bark" + " barks" * (number % 7), 0.5), f"{number}.wav")
        shown.now()
        shown.resize(30, rows)
        if more:
            view.event(Event(0, 1, "dog_bark", 0.5), "30.wav")
        else:
            view.level(hearing())
        shown.now()
        text = "\n".join([*shown.scrollback(), *shown.rows()])
        found = re.findall(r"^(\d+)\.wav", text, re.MULTILINE)
        assert found == [str(number) for number in range(31 if more else 30)]


def test_a_lower_terminal_gets_a_lower_view() -> None:
    with terminal(80, 24) as shown, make_view(shown) as view:
        fill(view)
        shown.now()
        shown.resize(80, 8)
        view.level(hearing())
        view.level(hearing())
        rows = shown.now()
        assert rows[-4].startswith("level") and rows[-1].startswith("! 14:03:07")
        assert sum(row.startswith("captured") for row in rows) == 1


class Writes(io.TextIOWrapper):
    """A terminal's stream that keeps what each write to it was."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(io.FileIO(os.dup(stream.fileno()), "w"), encoding="utf-8")
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


def test_it_is_drawn_ten_times_a_second_at_most_and_in_one_go() -> None:
    with terminal() as shown, Writes(shown.stream) as stream:
        clock = Clock()
        view = make_view(shown, clock=clock, stream=stream)
        stream.writes.clear()
        for step in range(1000):  # ten seconds
            clock.seconds = step / 100
            view.level(hearing())
            if step % 50 == 0:
                view.window(window())
        assert 90 <= len(stream.writes) <= 101
        assert all(write.count("captured") == 1 for write in stream.writes)
        stream.writes.clear()
        view.event(Event(0, 1, "rain", 0.5), "default", TIME)
        view.notice("a notice")
        assert len(stream.writes) == 2, "what is new is shown at once"
        shown.resize(60, 24)
        view.notice("another")
        assert len(stream.writes) == 3, "afresh, and in one go too"
        assert all(write.count("captured") == 1 for write in stream.writes)
        view.close()


COLOUR = re.compile(rb"\x1b\[(?:[\d;]*;)?(?:[349]|10)\d[;m]")


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as shown, make_view(shown) as view:
        fill(view)
        shown.now()
        assert bool(COLOUR.search(shown.raw)) is not no_color


def test_a_terminal_without_unicode_gets_ascii() -> None:
    with terminal(encoding="ascii") as shown, make_view(shown) as view:
        fill(view, label="犬")
        view.window(window())
        view.notice("näher")
        rows = shown.now()
        assert shown.raw.isascii()
        assert any("####|####" in row for row in rows)
        assert any(row.startswith("! 14:03:07 n\\xe4her") for row in rows)
        view.close("Grüße")
        assert shown.now()[-1] == "Gr\\xfc\\xdfe"


@pytest.mark.parametrize(("term", "made"), [("dumb", TextOutput), ("xterm", TerminalView)])
def test_a_dumb_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch, term: str, made: type[TextOutput | TerminalView]
) -> None:
    monkeypatch.setenv("TERM", term)
    with terminal() as shown:
        monkeypatch.setattr(sys, "stdout", shown.stream)
        output = make_output("text", LABELS, SessionStatistics())
        output.close()
        assert type(output) is made
        shown.now()
        assert (b"\x1b" in shown.raw) is (made is TerminalView)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_other_formats_are_lines_on_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with terminal() as shown:
        monkeypatch.setattr(sys, "stdout", shown.stream)
        output = make_output(kind, LABELS, SessionStatistics())
        output.event(Event(0, 1, "rain", 0.5), "a.wav")
        assert "rain" in shown.now()[-1]
        assert b"\x1b" not in shown.raw


def test_what_others_print_goes_above(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as shown:
        monkeypatch.setattr(sys, "stderr", shown.stream)
        monkeypatch.setattr(sys, "stdout", shown.stream)
        with make_view(shown) as view:
            fill(view, events=1)
            print("a log message", file=sys.stderr)
            print("and [bold]another[/] :dog:", end="", flush=True)
            view.level(hearing())
            rows = shown.now()
            assert rows[2:4] == ["a log message", "and [bold]another[/] :dog:"]
            assert sum(row.startswith("captured") for row in rows) == 1
        assert sys.stdout is sys.stderr is shown.stream


def test_stderr_that_leads_elsewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    with terminal() as shown, make_view(shown):
        print("a log message", file=sys.stderr)
        assert errors.getvalue() == "a log message\n"
        assert "a log message" not in shown.now()


def test_an_exception_leaves_the_terminal_in_order() -> None:
    with terminal() as shown:
        with pytest.raises(KeyError), make_view(shown) as view:
            fill(view)
            raise KeyError
        assert len(shown.now()) == 4, "three events and a notice"
        assert not shown.cursor_is_hidden


PROGRAM = """
import sys, time
from sound_pipeline.events.event import Event
from sound_pipeline.live.output import Level
from sound_pipeline.live.outputs import make_output
from sound_pipeline.live.statistics import SessionStatistics

statistics = SessionStatistics()
with make_output("text", ["dog_bark", "rain"], statistics) as output:
    try:
        output.event(Event(0.0, 4.0, "dog_bark", 0.9), "a.wav")
        while True:
            output.level(Level(-40.0, -60.0, True))
            statistics.captured_seconds += 0.01
            time.sleep(0.01)
            if sys.argv[1] == "defect" and statistics.captured_seconds > 0.3:
                raise LookupError("a defect")
    except KeyboardInterrupt:
        output.close(statistics.summary())
print("the end")
"""


@pytest.mark.parametrize("end", ["interrupt", "defect"])
def test_a_program_leaves_the_terminal_in_order(end: str) -> None:
    with terminal() as shown:
        before = termios.tcgetattr(shown.slave)
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, end],
            stdin=shown.slave,
            stdout=shown.slave,
            stderr=shown.slave,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if end == "interrupt":
            shown.receive(lambda: "hearing" in shown.rows())
            program.send_signal(signal.SIGINT)
        shown.receive(lambda: program.poll() is not None)
        rows = shown.now()
        assert rows[0] == "a.wav  0.0-4.0 s  dog_bark  0.90"
        assert not any("dBFS" in row for row in rows)
        assert not shown.cursor_is_hidden
        assert termios.tcgetattr(shown.slave) == before
        if end == "interrupt":
            assert program.returncode == 0
            assert rows[1].startswith("captured 0:0") and rows[-1] == "the end"
        else:
            assert program.returncode == 1
            assert rows[1].startswith("Traceback") and rows[-1] == "LookupError: a defect"
