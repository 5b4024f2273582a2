"""Results as text, character by character."""

from __future__ import annotations

import csv
import json

import pytest

from sound_pipeline.label.formats import FORMATS
from sound_pipeline.label.journal import EventRow, Result

FOUND = Result(
    "a,b/dog.wav",
    (
        EventRow(0.0, 2.5, "dog", 0.9, (("rain", 0.05), ("cat", 0.03))),
        EventRow(4.0, 6.125, "tab\there", 0.5, (("dog", 0.25),)),
    ),
    seconds=8.0,
    sample_rate_hz=44100,
)
NOTHING = Result("quiet.wav", reason="the recording is silent", seconds=1.0, sample_rate_hz=8000)
BAD = Result("bad.wav", error="the file is empty")


def text(kind: str, top: int = 1, *results: Result) -> str:
    chosen = FORMATS[kind]
    bodies = [chosen.body(result, top, 11025.0) for result in results or (FOUND, NOTHING, BAD)]
    return chosen.header(top) + "".join(bodies)


def test_csv() -> None:
    assert text("csv") == (
        "path,type,start_seconds,end_seconds,label,score,reason\n"
        '"a,b/dog.wav",event,0.0,2.5,dog,0.9,\n'
        '"a,b/dog.wav",event,4.0,6.125,tab\\there,0.5,\n'
        "quiet.wav,nothing,,,,,the recording is silent\n"
        "bad.wav,error,,,,,the file is empty\n"
    )


def test_csv_of_odd_names_is_a_line_each_without_formulas() -> None:
    bad = Result("=1\n+1.wav", error="=1\n+1.wav: the file is empty\x1b[2J")
    event = Result("-a.wav", (EventRow(0.0, 1.0, "@dog\u202e", 0.5),))
    assert text("csv", 1, bad, event).splitlines()[1:] == [
        "'=1\\n+1.wav,error,,,,,'=1\\n+1.wav: the file is empty\\x1b[2J",
        "'-a.wav,event,0.0,1.0,'@dog\\u202e,0.5,",
    ]


def test_csv_with_more_labels() -> None:
    rows = list(csv.DictReader(text("csv", 3).splitlines()))
    assert [row["type"] for row in rows] == ["event", "event", "nothing", "error"]
    assert (rows[0]["label_2"], rows[0]["score_2"], rows[0]["label_3"]) == ("rain", "0.05", "cat")
    assert (rows[1]["label_2"], rows[1]["label_3"], rows[1]["score_3"]) == ("dog", "", "")
    assert all(None not in row and None not in row.values() for row in rows), "as many as columns"
    assert rows[3]["reason"] == "the file is empty"


def test_json_lines() -> None:
    records = [json.loads(line) for line in text("jsonl").splitlines()]
    assert records[0] == {
        "type": "event",
        "path": "a,b/dog.wav",
        "start_seconds": 0.0,
        "end_seconds": 2.5,
        "label": "dog",
        "score": 0.9,
    }
    reason = "the recording is silent"
    assert records[2:] == [
        {"type": "nothing", "path": "quiet.wav", "reason": reason},
        {"type": "error", "path": "bad.wav", "reason": "the file is empty"},
    ]
    first = json.loads(text("jsonl", 3).splitlines()[0])
    assert first["others"] == {"rain": 0.05, "cat": 0.03}


def test_audacity_label_track() -> None:
    assert text("audacity", 1, FOUND) == (
        "0.000000\t2.500000\tdog\n4.000000\t6.125000\ttab\\there\n"
    )
    assert text("audacity", 3, FOUND).startswith(
        "0.000000\t2.500000\tdog 0.90, rain 0.05, cat 0.03\n"
    )
    assert text("audacity", 1, NOTHING) == ""


@pytest.mark.parametrize("top", [1, 3])
def test_raven_selection_table(top: int) -> None:
    header, *rows = (line.split("\t") for line in text("raven", top, FOUND).splitlines())
    assert header[:9] == [
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
        "Label",
        "Score",
    ]
    assert rows[0][:7] == ["1", "Spectrogram 1", "1", "0.000", "2.500", "0.0", "11025.0"]
    assert rows[0][7:9] == ["dog", "0.9"]
    assert rows[1][0] == "2"
    assert {len(row) for row in (header, *rows)} == {7 + 2 * top}


def test_raven_shows_no_higher_frequency_than_there_is() -> None:
    slow = Result("a.wav", FOUND.events, sample_rate_hz=8000)
    assert text("raven", 1, slow).splitlines()[1].split("\t")[6] == "4000.0"
    assert text("raven", 1, NOTHING).count("\n") == 1
