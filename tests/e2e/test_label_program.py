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

from tests.e2e import programs
from tests.helpers.level_sounds import write_folder, write_levels
from tests.helpers.tiny_models import LOUD, QUIET

pytestmark = pytest.mark.slow

RATE = 8000
PROGRAM = ("-m", "sound_pipeline.label")


@pytest.fixture(scope="module")
def model(loudness_model: Path) -> Path:
    return loudness_model


def write(path: Path, *levels: float, seconds: float = 1.0) -> Path:
    return write_levels(path, *levels, seconds=seconds, rate_hz=RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("in") / "sounds", RATE)


def test_a_folder_as_csv_on_standard_output(model: Path, folder: Path) -> None:
    outcome = programs.run(*PROGRAM, str(model), str(folder), "--top=2", cache=folder)
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


@pytest.mark.parametrize("kept_lines", [(3,), pytest.param((2, 4), marks=pytest.mark.nightly)])
def test_killed_at_any_time_it_goes_on_to_the_same_result(
    model: Path, tmp_path: Path, kept_lines: tuple[int, ...]
) -> None:
    names = [tmp_path / "in" / f"{number:03}.wav" for number in range(256)]
    random = np.random.default_rng(0)
    for name in names[:20]:
        write(name, *random.uniform(QUIET, LOUD, 10), seconds=0.2)
    for number, name in enumerate(names[20:]):
        shutil.copy(names[number % 20], name)
    names[150].write_bytes(b"no recording")
    command = [sys.executable, "-m", "sound_pipeline.label", str(model), str(tmp_path / "in")]
    command += ["--hop_seconds=0.05", "--format=jsonl"]
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
    for lines in kept_lines:
        process = start(parts)
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
        assert not parts.exists()
    assert kills == len(kept_lines)
    process = start(parts)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1 and "recordings were labelled before" in err
    process = start(whole)
    process.communicate(timeout=200)
    assert parts.read_bytes() == whole.read_bytes()
    paths = [json.loads(line)["path"] for line in whole.read_text().splitlines()]
    assert list(dict.fromkeys(paths)) == list(map(str, names))


def test_an_error_is_one_line(model: Path, folder: Path) -> None:
    words = (*PROGRAM, str(model), str(folder), "--format=audacity")
    outcome = programs.run_here(*words, cache=folder)
    programs.assert_refused(
        outcome, "python -m sound_pipeline.label", "--format=audacity", "give --output_dir"
    )
    assert outcome.out == "" and outcome.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        ("<&- 2>&- >OUT", 0, ""),
        (">&-", 1, "standard output is closed: leave it open, or send it to a file"),
        (">/dev/full", 1, "standard output: No space left on device; "),
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


def test_help_needs_no_tensorflow() -> None:
    code = "import sys, sound_pipeline, sound_pipeline.label;assert 'tensorflow' not in sys.modules"
    assert programs.run("-c", code, cache=Path(os.devnull)).status == 0
