"""What is written, read back by csv and json; and when it is written."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.live.output import (
    CSV_COLUMNS,
    CsvOutput,
    JsonLinesOutput,
    Level,
    Output,
    TextOutput,
    WindowResult,
    event_text,
)
from sound_pipeline.live.outputs import make_output
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.system.text import printable

ROOT = Path(__file__).parents[2]
LABELS = ["dog_bark", "siren", "rain"]
TIME = datetime(2025, 11, 3, 14, 3, 7, 120_500, timezone(timedelta(hours=1)))
BARK = Event(0.0, 4.0, "dog_bark", 0.8934567)
ODD_NAMES = [
    "犬",
    "chien, « aboie »",
    'the "dog"',
    "two\nlines",
    "carriage\rreturn",
    "bell\x07",
    "clear\x1b[2J",
    "separator\u2028",
    "half\udce9",
    "",
]


class Files:
    """Memory in the place of stdout."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        self.stream: TextIO = io.TextIOWrapper(self.bytes, encoding=encoding, newline="")

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode(self.stream.encoding)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    yield reading, stream
    os.close(reading)
    stream.close()


def window(**changes: object) -> WindowResult:
    scores = np.array([0.2, 0.7, 0.1], np.float32)
    values = {"source": "a.wav", "start_seconds": 1.0, "end_seconds": 5.0, "label": "siren"}
    return WindowResult(**{**values, "score": 0.7, "scores": scores, **changes})  # type: ignore[arg-type]


def test_text_of_a_recording_has_its_path() -> None:
    path = "demo_data/heldout/dog_bark-1.wav"
    assert event_text(BARK, path) == f"{path}  0.0-4.0 s  dog_bark  0.89"


def test_text_of_a_microphone_has_the_clocks_time() -> None:
    event = Event(100.04, 101.29, "car_horn", 0.755)
    assert event_text(event, "default", TIME) == "2025-11-03 14:03:07.1  1.2 s  car_horn  0.76"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_text_stays_one_line(files: Files, name: str) -> None:
    TextOutput(files.stream).event(Event(0, 1, name, 0.5), name)
    assert len(files.text.splitlines()) == 1
    assert files.text.endswith("  0.50\n")
    assert not set(files.text[:-1]) & set("\x07\x1b\r\n\u2028")


def test_usual_characters_are_printed_as_they_are() -> None:
    text = "犬の鳴き声 🐕 ध्वनि naïve 100 %"
    assert printable(text) == text


@pytest.mark.parametrize("kind", [TextOutput, CsvOutput])
def test_what_a_stream_cannot_encode_is_escaped(kind: type[TextOutput | CsvOutput]) -> None:
    files = Files("cp1252")
    kind(files.stream).event(Event(0, 1, "犬 né", 0.5), "a.wav")
    assert r"\u72ac né" in files.text


def test_json_lines_read_back(files: Files) -> None:
    output = JsonLinesOutput(LABELS, files.stream, windows=True, top=2)
    output.window(window(latency_seconds=0.04161, time=TIME))
    output.event(BARK, "a.wav")
    output.event(Event(np.float64(1.23456), np.float64(2), "rain", np.float32(0.5)), "mic", TIME)
    records = [json.loads(line) for line in files.text.splitlines()]
    assert records == [
        {
            "type": "window",
            "source": "a.wav",
            "time": "2025-11-03T14:03:07.120+01:00",
            "start_seconds": 1.0,
            "end_seconds": 5.0,
            "label": "siren",
            "score": 0.7,
            "scores": {"siren": 0.7, "dog_bark": 0.2},
            "latency_seconds": 0.0416,
        },
        {
            "type": "event",
            "source": "a.wav",
            "start_seconds": 0.0,
            "end_seconds": 4.0,
            "label": "dog_bark",
            "score": 0.8935,
        },
        {
            "type": "event",
            "source": "mic",
            "time": "2025-11-03T14:03:07.120+01:00",
            "start_seconds": 1.235,
            "end_seconds": 2.0,
            "label": "rain",
            "score": 0.5,
        },
    ]
    assert list(records[0]["scores"]) == ["siren", "dog_bark"], "the highest comes first"
    assert datetime.fromisoformat(records[2]["time"]) == TIME.replace(microsecond=120_000)


def test_windows_are_written_only_where_asked_for(files: Files) -> None:
    output = JsonLinesOutput(LABELS, files.stream, windows=False)
    output.window(window())
    assert files.text == ""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_json_holds_any_name_in_ascii(name: str) -> None:
    files = Files("ascii")
    JsonLinesOutput([name], files.stream, windows=False).event(Event(0, 1, name, 0.5), name)
    assert files.text.count("\n") == 1
    record = json.loads(files.text)
    assert record["label"] == record["source"] == name


def test_csv_reads_back(files: Files) -> None:
    output = CsvOutput(files.stream)
    output.event(BARK, "a, b.wav")
    output.window(window())
    output.event(Event(3.25, 4, "rain", 0.5), "mic", TIME)
    rows = list(csv.DictReader(io.StringIO(files.text, newline="")))
    assert files.text.splitlines()[0] == "source,time,start_seconds,end_seconds,label,score"
    assert [list(row.values()) for row in rows] == [
        ["a, b.wav", "", "0.0", "4.0", "dog_bark", "0.8935"],
        ["mic", "2025-11-03T14:03:07.120+01:00", "3.25", "4.0", "rain", "0.5"],
    ]
    assert "\r" not in files.text, "on Windows the stream adds it"


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "\udce9" not in name])
def test_csv_holds_any_name(files: Files, name: str) -> None:
    CsvOutput(files.stream).event(Event(0, 1, name, 0.5), name)
    header, row = csv.reader(io.StringIO(files.text, newline=""))
    assert (tuple(header), row[0], row[4]) == (CSV_COLUMNS, printable(name), printable(name))
    assert files.text.count("\n") == 2


def test_csv_holds_no_formula(files: Files) -> None:
    CsvOutput(files.stream).event(Event(0, 1, "@dog", 0.5), "=1+1.wav")
    assert files.text.splitlines()[1] == "'=1+1.wav,,0.0,1.0,'@dog,0.5"


def test_a_table_without_events_has_a_header(files: Files) -> None:
    CsvOutput(files.stream)
    assert files.text.splitlines() == [",".join(CSV_COLUMNS)]


def outputs(stream: TextIO) -> list[Output]:
    return [TextOutput(stream), JsonLinesOutput(LABELS, stream, windows=True), CsvOutput(stream)]


@pytest.mark.parametrize("index", range(3))
def test_each_line_arrives_at_once(pipe: tuple[int, TextIO], index: int) -> None:
    reading, stream = pipe
    output = outputs(stream)[index]
    os.read(reading, 65536)  # the table's header
    for number in range(3):
        output.event(Event(number, number + 1, "rain", 0.5), "a.wav")
        assert os.read(reading, 65536).count(b"\n") == 1


@pytest.mark.parametrize("index", range(3))
def test_a_reader_that_goes_away_ends_the_output(index: int) -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    output = outputs(stream)[index]
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        output.event(BARK, "a.wav")
    with pytest.raises(BrokenPipeError):
        stream.close()


@pytest.mark.parametrize("index", range(3))
def test_words_for_the_person_go_to_stderr(
    files: Files, capsys: pytest.CaptureFixture[str], index: int
) -> None:
    output = outputs(files.stream)[index]
    before = files.text
    with output as same:
        assert same is output
        output.level(Level(-30.0, -60.0, True, BARK))
        output.notice("the device\nis lost\x1b[2J")
        output.close("two\nlines")
    output.close("once more")
    assert files.text == before
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "the device is lost\\x1b[2J\ntwo\nlines\n")


@pytest.mark.parametrize(
    ("kind", "made"), [("text", TextOutput), ("jsonl", JsonLinesOutput), ("csv", CsvOutput)]
)
def test_the_format_decides(
    files: Files, monkeypatch: pytest.MonkeyPatch, kind: str, made: type[Output]
) -> None:
    monkeypatch.setattr(sys, "stdout", files.stream)
    assert isinstance(make_output(kind, LABELS, SessionStatistics()), made)


@pytest.mark.parametrize(
    ("kind", "windows", "message"),
    [
        ("xml", False, "--format=xml: no such format; give text, jsonl, csv"),
        ("csv", True, "--windows: --format=csv has events only; give --format=jsonl as well"),
        ("text", True, "--windows: --format=text has events only; give --format=jsonl as well"),
    ],
)
def test_flags_that_do_not_fit(kind: str, windows: bool, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make_output(kind, LABELS, SessionStatistics(), windows=windows)
    assert str(caught.value) == message


def test_lines_need_no_heavy_import() -> None:
    program = (
        "import sys; from sound_pipeline.live.outputs import make_output; "
        "from sound_pipeline.live.statistics import SessionStatistics; "
        "make_output('text', ['a'], SessionStatistics()); "
        "print([name for name in ('tensorflow', 'rich', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
