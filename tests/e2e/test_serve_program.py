"""serve_mic.py on recordings, with a model that tells quiet sounds from loud ones."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.e2e import programs
from tests.helpers.level_sounds import write_levels
from tests.helpers.tiny_models import LOUD, QUIET

pytestmark = pytest.mark.slow

RATE = 16000
LINE = re.compile(
    r"(?P<path>.+)  (?P<start>\d+\.\d)-(?P<end>\d+\.\d) s  (?P<label>.+)  (?P<score>[01]\.\d\d)"
)


@pytest.fixture(scope="module")
def model(loudness_model: Path) -> Path:
    return loudness_model


def write(path: Path, *levels: float, seconds: float = 0.5) -> Path:
    return write_levels(path, *levels, seconds=seconds, rate_hz=RATE)


def words_of(model: Path, *inputs: Path) -> tuple[str, ...]:
    # A model with a window of half a second would hear little but a longer pre-roll at first.
    paths = (f"--input={path}" for path in inputs)
    return ("serve_mic.py", f"--model={model}", *paths, "--preroll_seconds=0.1")


def serve(model: Path, *inputs: Path, flags: tuple[str, ...] = ()) -> programs.Outcome:
    return programs.run_here(*words_of(model, *inputs), *flags, cache=Path(os.devnull))


def parsed(outcome: programs.Outcome) -> list[dict[str, str]]:
    """The parts of each line, every one of which must be well formed."""
    lines = [LINE.fullmatch(line) for line in outcome.out.splitlines()]
    assert all(lines), outcome.out
    return [line.groupdict() for line in lines if line]


def labelled(outcome: programs.Outcome) -> list[tuple[str, str]]:
    return [(line["path"], line["label"]) for line in parsed(outcome)]


def test_files_and_folders_in_order(model: Path, tmp_path: Path) -> None:
    """The last at another rate, in stereo and 24 bits, with two sounds in it."""
    folder = [
        write(tmp_path / "new" / f"{number}.wav", level)
        for number, level in enumerate([LOUD, QUIET, LOUD])
    ]
    single = write(tmp_path / "a single one.wav", QUIET)
    both, _ = soundfile.read(write(tmp_path / "both.wav", QUIET, 0, LOUD, 0, seconds=3.0))
    soundfile.write(tmp_path / "both.wav", np.stack([both, both], 1), 32000, subtype="PCM_24")
    words = words_of(model, tmp_path / "new", single, tmp_path / "both.wav")
    outcome = programs.run(*words, cache=tmp_path)
    assert outcome.status == 0
    paths = [str(path) for path in (*folder, single)]
    assert labelled(outcome)[:4] == list(
        zip(paths, ["loud", "quiet", "loud", "quiet"], strict=True)
    )
    # Twice the rate makes 1.5 s of 3 s.
    first, second = parsed(outcome)[4:]
    assert first["path"] == second["path"] == str(tmp_path / "both.wav")
    assert [first["label"], second["label"]] == ["quiet", "loud"]
    times = [float(line[name]) for line in (first, second) for name in ("start", "end")]
    np.testing.assert_allclose(times, [0.0, 1.5, 3.0, 4.5], atol=0.11)
    assert float(first["score"]) > 0.9
    assert outcome.err.splitlines()[0].startswith("captured 0:08 of sound, lost 0.0 s")


def test_a_bad_file_among_good_ones_is_named_and_the_rest_labelled(
    model: Path, tmp_path: Path
) -> None:
    good = [write(tmp_path / f"{number}.wav", LOUD) for number in (1, 3)]
    bad = tmp_path / "2.wav"
    bad.write_bytes(good[0].read_bytes()[:30])
    outcome = serve(model, tmp_path)
    assert outcome.status == 1
    assert labelled(outcome) == [(str(path), "loud") for path in good]
    skipped, count, *_ = outcome.err.splitlines()
    assert skipped.startswith(f"skipped {bad}: WAV: ")
    assert count == "1 of 3 recordings can't be read"


@pytest.mark.nightly
def test_a_recording_in_which_nothing_is_heard(model: Path, tmp_path: Path) -> None:
    silent = write(tmp_path / "silent.wav", 0.0, seconds=2.0)
    outcome = serve(model, silent)
    assert outcome.out == "" and outcome.status == 0
    assert outcome.err.splitlines()[0].startswith(f"{silent}: nothing heard")
    always = serve(model, silent, flags=("--gate=always",))
    assert labelled(always) == [(str(silent), "quiet")]


def test_json_lines_and_csv(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "sounds.wav", 0, LOUD, 0, QUIET, 0, seconds=2.0)
    outcome = serve(model, path, flags=("--format=jsonl", "--windows"))
    records = [json.loads(line) for line in outcome.out.splitlines()]
    events = [record for record in records if record["type"] == "event"]
    assert [event["label"] for event in events] == ["loud", "quiet"]
    windows = [record for record in records if record["type"] == "window"]
    # Every half second, each of the model's half second at most.
    assert len(windows) >= 8
    assert all(set(window["scores"]) == {"quiet", "loud"} for window in windows)
    assert all(window["end_seconds"] - window["start_seconds"] < 0.51 for window in windows)

    outcome = serve(model, path, flags=("--format=csv",))
    rows = list(csv.DictReader(outcome.out.splitlines()))
    assert [row["label"] for row in rows] == ["loud", "quiet"]
    for row, event in zip(rows, events, strict=True):
        assert float(row["start_seconds"]) == event["start_seconds"]
        assert row["source"] == event["source"] == str(path)


def test_min_score_and_saved_events(model: Path, tmp_path: Path) -> None:
    between = (QUIET + LOUD) / 2
    path = write(tmp_path / "sounds.wav", 0, LOUD, 0, between, 0, seconds=2.0)
    saved = tmp_path / "saved"
    flags = ("--min_score=0.99,loud=0.9", f"--save_events={saved}")
    outcome = serve(model, path, flags=flags)
    found = [label for _, label in labelled(outcome)]
    assert found[0] == "loud" and "unknown" in found
    names = sorted(file.name for file in saved.iterdir())
    assert len(names) == 2 * len(found) + 1 and "events.jsonl" in names
    (loud,) = saved.glob("*loud.wav")
    sound, rate = soundfile.read(loud)
    assert rate == RATE and len(sound) / rate == pytest.approx(2.0, abs=0.15)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(LOUD, rel=0.05)
    outcome = serve(model, path, flags=("--nounknown", "--min_score=0.99"))
    assert "unknown" not in outcome.out and "loud" in outcome.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--min_score=lout=0.5",), ["no label 'lout'", "did you mean 'loud'?"]),
        (("--min_score=2",), ["--min_score=2", "0 to 1"]),
        (("--gate=ears",), ["--gate=ears", "auto|vad|energy|always"]),
        (("--vad_mode=4",), ["--vad_mode=4", "0 to 3"]),
        (("--hop_seconds=0",), ["--hop_seconds=0"]),
        (("--hop_seconds=2",), ["--hop_seconds=2", "give at most 0.5"]),
        (("--format=xml",), ["--format=xml"]),
        (("--windows",), ["--windows", "--format=jsonl"]),
        (("--save_events=/dev/null",), ["--save_events=/dev/null"]),
    ],
)
def test_flags(model: Path, tmp_path: Path, flags: tuple[str, ...], words: list[str]) -> None:
    outcome = serve(model, write(tmp_path / "1.wav", LOUD), flags=flags)
    programs.assert_refused(outcome, "serve_mic.py", *words)


def test_ctrl_c_ends_a_replay_with_a_summary(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", *[LOUD, 0] * 20, seconds=1.5)
    process = subprocess.Popen(
        [
            *(sys.executable, "serve_mic.py", f"--model={model}"),
            *(f"--input={path}", "--realtime", "--format=jsonl", "--windows"),
        ],
        cwd=programs.ROOT,
        env=programs.environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    json.loads(process.stdout.readline())  # it labels
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "captured 0:" in err and "Traceback" not in err
    assert "latency of labels: 50 % within" in err


def test_a_missing_input_stops_it_before_any_work(model: Path, tmp_path: Path) -> None:
    here = write(tmp_path / "1.wav", LOUD)
    outcome = serve(model, here, tmp_path / "gone.wav")
    programs.assert_refused(outcome, "serve_mic.py", f"--input={tmp_path / 'gone.wav'}", "no such")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_a_run_is_not_a_model(model: Path, tmp_path: Path) -> None:
    outcome = serve(model.parent, write(tmp_path / "1.wav", LOUD))
    programs.assert_refused(outcome, "serve_mic.py", "holds no SavedModel", f"mean {model}?")
    assert outcome.err.count("\n") == 1
