"""python -m sound_pipeline.label, with a model that tells quiet sounds from loud ones."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests import tiny_models
from tests.e2e import programs
from tests.tiny_models import LOUD, QUIET

pytestmark = pytest.mark.slow

RATE = 8000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.export_loudness_model(tmp_path_factory.mktemp("run") / "saved_model")


def write(path: Path, *levels: float, seconds: float = 1.0) -> Path:
    """A tone that has each of the levels (root mean square) for so many seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = np.repeat(levels, round(seconds * RATE))
    sound = level * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(len(level)) / RATE)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings with something in them, one silent, one bad, and no recording."""
    folder = tmp_path_factory.mktemp("in") / "sounds"
    write(folder / "b" / "loud.wav", LOUD, seconds=2.0)
    write(folder / "both.wav", QUIET, LOUD, seconds=3.0)
    write(folder / "silent.wav", 0.0)
    (folder / "bad.wav").write_bytes((folder / "both.wav").read_bytes()[:30])
    (folder / "notes.txt").touch()
    return folder


def label(*words: Path | str) -> programs.Outcome:
    return programs.run("-m", "sound_pipeline.label", *map(str, words), cache=Path(os.devnull))


def test_a_folder_as_csv_on_standard_output(model: Path, folder: Path) -> None:
    outcome = label(model, folder, "--top=2")
    assert outcome.status == 1, outcome.err
    rows = list(csv.DictReader(outcome.out.splitlines()))
    assert [(Path(row["path"]).name, row["type"], row["label"]) for row in rows] == [
        ("loud.wav", "event", "loud"),
        ("bad.wav", "error", ""),
        ("both.wav", "event", "quiet"),
        ("both.wav", "event", "loud"),
        ("silent.wav", "nothing", ""),
    ]
    times = [float(row[name]) for row in rows[2:4] for name in ("start_seconds", "end_seconds")]
    np.testing.assert_allclose(times, [0, 3, 3, 6], atol=0.31)
    assert times[1] == times[2] and float(rows[0]["end_seconds"]) == 2.0
    assert float(rows[0]["score"]) > 0.9 and rows[0]["label_2"] == "quiet"
    assert "WAV: there is no data chunk" in rows[1]["reason"]
    assert "silent" in rows[4]["reason"]
    assert f"{folder / 'bad.wav'}: WAV: there is no data chunk" in outcome.err
    assert "4 recordings, 0:09 of sound: 3 events; 1 without any, 1 can't be read" in outcome.err


def test_a_pattern_as_json_lines_with_why_there_is_nothing(model: Path, folder: Path) -> None:
    outcome = label(
        model,
        folder / "b*.wav",
        folder / "**" / "loud.wav",
        "--format=jsonl",
        "--min_score=1",
        "--overlap=0",
    )
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert (Path(records[0]["path"]).name, records[0]["type"]) == ("bad.wav", "error")
    assert Path(records[-1]["path"]).name == "loud.wav"
    between = write(folder.parent / "between.wav", (QUIET + LOUD) / 2)
    outcome = label(model, between, "--format=jsonl", "--min_score=0.9")
    (record,) = (json.loads(line) for line in outcome.out.splitlines())
    assert record["type"] == "nothing" and outcome.status == 0
    assert record["reason"].startswith("nothing reached its minimum score: the best was ")
    outcome = label(model, between, "--format=jsonl", "--min_score=0.9", "--unknown")
    assert json.loads(outcome.out)["label"] == "unknown"


@pytest.mark.parametrize(
    ("kind", "suffix", "first"),
    [
        ("audacity", ".labels.txt", "0.000000\t2.000000\tloud\n"),
        ("raven", ".selections.txt", "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\t"),
    ],
)
def test_a_file_a_recording(
    model: Path, folder: Path, tmp_path: Path, kind: str, suffix: str, first: str
) -> None:
    out = tmp_path / "out"
    command = (model, folder, f"--format={kind}", f"--output_dir={out}")
    outcome = label(*command)
    assert (outcome.status, outcome.out) == (1, "")
    written = {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.txt")}
    assert set(written) == {f"{name}{suffix}" for name in ("b/loud.wav", "both.wav", "silent.wav")}
    assert written[f"b/loud.wav{suffix}"].startswith(first)
    # What a person changed stays, what is missing comes back, what is stale is made again.
    edited, missing, stale = (
        out / f"{name}{suffix}" for name in ("b/loud.wav", "both.wav", "silent.wav")
    )
    edited.write_text("mine")
    missing.unlink()
    time.sleep(0.01)
    os.utime(folder / "silent.wav")
    stale.write_text("stale")
    again = label(*command)
    assert "2 of 4 recordings were labelled before" in again.err
    assert edited.read_text() == "mine"
    assert missing.read_text() == written[missing.relative_to(out).as_posix()]
    assert stale.read_text() == written[stale.relative_to(out).as_posix()]


def test_results_of_other_flags_are_never_kept(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "all.csv"
    sound = folder / "both.wav"
    assert label(model, sound, f"--output={out}").status == 0
    first = out.read_text()
    assert first.count("event") == 2
    refused = label(model, sound, f"--output={out}", "--min_score=0.5,quiet=1")
    programs.assert_refused(refused, "label.py", str(out), "exists", "--overwrite")
    assert out.read_text() == first
    other = label(model, sound, f"--output={out}", "--hop_seconds=0.1", "--overwrite")
    assert other.status == 0 and "labelled before" not in other.err
    assert out.read_text() != first
    assert sorted(path.name for path in out.parent.iterdir()) == [".all.csv.journal", "all.csv"]


def test_killed_at_any_time_it_goes_on_to_the_same_result(model: Path, tmp_path: Path) -> None:
    names = [tmp_path / "in" / f"{number:03}.wav" for number in range(400)]
    random = np.random.default_rng(0)
    for name in names[:20]:
        write(name, *random.uniform(QUIET, LOUD, 10), seconds=0.2)
    for number, name in enumerate(names[20:]):
        shutil.copy(names[number % 20], name)
    names[150].write_bytes(b"no recording")
    command = [sys.executable, "-m", "sound_pipeline.label", str(model), str(tmp_path / "in")]
    command += ["--hop_seconds=0.025", "--format=jsonl"]
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    journal = tmp_path / ".parts.jsonl.journal"

    def start(out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, f"--output={out}"],
            cwd=programs.ROOT,
            env=programs.environment(tmp_path),
            stderr=subprocess.PIPE,
            text=True,
        )

    kills = 0
    for lines in (1, 2, 4):
        process = start(parts)
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
        assert not parts.exists()
    assert kills == 3
    process = start(parts)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1 and "recordings were labelled before" in err
    process = start(whole)
    process.communicate(timeout=100)
    assert parts.read_bytes() == whole.read_bytes()
    paths = [json.loads(line)["path"] for line in whole.read_text().splitlines()]
    assert list(dict.fromkeys(paths)) == list(map(str, names))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["name a model and recordings"]),
        (("gone.wav",), ["gone.wav: no such file or folder"]),
        (("gone*",), ["gone*: no file is like this"]),
        (("FOLDER", "--format=audacity"), ["--format=audacity", "give --output_dir"]),
        (("FOLDER", "--format=xml"), ["--format=xml", "csv|jsonl|audacity|raven"]),
        (("FOLDER", "--output=a", "--output_dir=b"), ["give one of them"]),
        (("FOLDER", "--hop_seconds=1", "--overlap=0.5"), ["give one of them"]),
        (("FOLDER", "--hop_seconds=3"), ["--hop_seconds=3", "0.5 s"]),
        (("FOLDER", "--overlap=1"), ["--overlap=1"]),
        (("FOLDER", "--min_score=lout=0.5"), ["did you mean 'loud'?"]),
        (("FOLDER", "--output=/dev/null/a.csv"), ["/dev/null", "cannot be written"]),
        (("FOLDER", "--output=/dev/null"), ["is no regular file"]),
        (("FOLDER", "--output_dir=/dev/null"), ["/dev/null", "cannot be written"]),
    ],
)
def test_what_is_refused_before_any_work(
    model: Path, folder: Path, words: tuple[str, ...], said: list[str]
) -> None:
    outcome = label(model, *[str(folder) if word == "FOLDER" else word for word in words])
    programs.assert_refused(outcome, "label.py", *said)
    assert outcome.out == "" and outcome.err.count("\n") == 1


def test_two_recordings_with_one_name(model: Path, folder: Path, tmp_path: Path) -> None:
    both = [write(tmp_path / name / "a.wav", LOUD) for name in ("1", "2")]
    outcome = label(model, *both, f"--output_dir={tmp_path / 'out'}")
    programs.assert_refused(outcome, "label.py", str(both[0]), str(both[1]), "would both be")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        ("<&- >OUT", 0, "1 recordings"),
        (">&-", 1, "standard output is closed: give --output=FILE"),
        (">/dev/full", 1, "standard output cannot be written: No space left on device"),
        ("2>&- >OUT", 0, ""),
        ("<&- >&- 2>&- --output=OUT", 0, ""),
    ],
)
def test_closed_and_full_streams(
    model: Path, folder: Path, tmp_path: Path, redirected: str, status: int, said: str
) -> None:
    out = tmp_path / "out.csv"
    shell = f'"{sys.executable}" -m sound_pipeline.label "{model}" "{folder}/b/loud.wav" '
    done = subprocess.run(
        ["sh", "-c", shell + redirected.replace("OUT", str(out))],
        cwd=programs.ROOT,
        env=programs.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    if status == 0:
        lines = out.read_text().splitlines()
        assert len(lines) == 2 and ",event,0.0,2.0,loud," in lines[1]


def test_help_needs_no_tensorflow(model: Path) -> None:
    code = "import sys, sound_pipeline, sound_pipeline.label;assert 'tensorflow' not in sys.modules"
    assert programs.run("-c", code, cache=Path(os.devnull)).status == 0
