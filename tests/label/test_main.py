"""Labelling as the program does it, in this process, with a model of quiet and loud."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from sound_pipeline.errors import UserError
from sound_pipeline.label import batch
from sound_pipeline.label.__main__ import label as run_label
from sound_pipeline.label.flags import define as define_flags
from sound_pipeline.models.model import Model
from sound_pipeline.models.window_scores import BatchAnswer
from sound_pipeline.system.text import printable
from tests.helpers.level_sounds import write_folder, write_levels
from tests.helpers.odd_names import UNREADABLE, write_odd_names
from tests.helpers.tiny_models import LOUD, QUIET

pytestmark = pytest.mark.slow

RATE = 8000


@pytest.fixture(scope="module")
def model(loudness_model: Path) -> Path:
    return loudness_model


def write(path: Path, *levels: float, seconds: float = 1.0) -> Path:
    return write_levels(path, *levels, seconds=seconds, rate_hz=RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("in") / "sounds", RATE)


def label(*words: Path | str) -> int:
    values = flags.FlagValues()
    define_flags(values)
    return run_label(values(["label", *map(str, words)]), values)


Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def messages(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "sound_pipeline")
    return caplog


def test_one_bad_file_is_one_bad_file(
    model: Path, folder: Path, tmp_path: Path, messages: pytest.LogCaptureFixture
) -> None:
    write_odd_names(tmp_path, folder / "b" / "loud.wav")
    out = tmp_path / "out"
    assert label(model, tmp_path, "--format=csv", f"--output_dir={out}") == 1
    (written,) = out.glob("*.csv")
    assert written.name.startswith("xxx") and ",event," in written.read_text()
    said = [record.getMessage() for record in messages.records]
    for name, reason in UNREADABLE.items():
        assert sum(printable(name) in one and reason in one for one in said) == 1
    assert label(model, tmp_path, "--format=csv", f"--output_dir={out}") == 1
    assert any("1 of 4 recordings were labelled before" in r.getMessage() for r in messages.records)


def test_a_pattern_as_json_lines_with_why_there_is_nothing(
    model: Path, folder: Path, capsys: Output
) -> None:
    label(
        model,
        folder / "b*.wav",
        folder / "**" / "loud.wav",
        "--format=jsonl",
        "--min_score=1",
        "--overlap=0",
    )
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (Path(records[0]["path"]).name, records[0]["type"]) == ("bad.wav", "error")
    assert Path(records[-1]["path"]).name == "loud.wav"
    between = write(folder.parent / "between.wav", (QUIET + LOUD) / 2)
    label(model, between, "--format=jsonl", "--min_score=0.9")
    (record,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert record["type"] == "nothing"
    assert record["reason"].startswith("nothing reached its minimum score: the best was ")
    label(model, between, "--format=jsonl", "--min_score=0.9", "--unknown")
    assert json.loads(capsys.readouterr().out)["label"] == "unknown"


@pytest.mark.parametrize(
    ("kind", "suffix", "first"),
    [
        ("audacity", ".labels.txt", "0.000000\t2.000000\tloud\n"),
        ("raven", ".selections.txt", "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\t"),
    ],
)
def test_a_file_a_recording(
    model: Path,
    folder: Path,
    tmp_path: Path,
    kind: str,
    suffix: str,
    first: str,
    capsys: Output,
    messages: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out"
    command = (model, folder, f"--format={kind}", f"--output_dir={out}")
    assert label(*command) == 1
    assert capsys.readouterr().out == ""
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
    assert label(*command) == 1
    assert "2 of 4 recordings were labelled before" in messages.text
    assert edited.read_text() == "mine"
    assert missing.read_text() == written[missing.relative_to(out).as_posix()]
    assert stale.read_text() == written[stale.relative_to(out).as_posix()]


def test_results_of_other_flags_are_never_kept(
    model: Path, folder: Path, tmp_path: Path, messages: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out" / "all.csv"
    sound = folder / "both.wav"
    assert label(model, sound, f"--output={out}") == 0
    first = out.read_text()
    assert first.count("event") == 2
    with pytest.raises(UserError, match=r"all\.csv exists.*--overwrite"):
        label(model, sound, f"--output={out}", "--min_score=0.5,quiet=1")
    assert out.read_text() == first
    assert label(model, sound, f"--output={out}", "--top=2", "--overwrite") == 0
    assert "labelled before" not in messages.text
    assert out.read_text() != first
    assert sorted(path.name for path in out.parent.iterdir()) == [".all.csv.journal", "all.csv"]


def test_a_model_that_was_trained_anew_is_another(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(model, tmp_path / "model")
    sound, out = folder / "both.wav", tmp_path / "all.csv"
    assert label(copy, sound, f"--output={out}") == 0
    assert label(copy, sound, f"--output={out}") == 0
    with (copy / "assets.extra" / "model.json").open("a") as file:
        file.write(" ")
    with pytest.raises(UserError, match="--overwrite"):
        label(copy, sound, f"--output={out}")


def test_what_somebody_else_wrote_is_not_written_over(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    for name, where in (
        ("all.csv", f"--output={tmp_path / 'all.csv'}"),
        ("both.wav.events.csv", f"--output_dir={tmp_path}"),
    ):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UserError, match=f"{name} exists"):
            label(model, folder / "both.wav", where)
        assert (tmp_path / name).read_text() == "mine"
        assert label(model, folder / "both.wav", where, "--overwrite") == 0
        assert (tmp_path / name).read_text().count("event,") == 2


def test_bad_recordings_are_tried_again_and_their_old_results_go(
    model: Path, tmp_path: Path
) -> None:
    sound = write(tmp_path / "in" / "a.wav", LOUD)
    command = (model, tmp_path / "in", f"--output_dir={tmp_path / 'out'}", "--format=audacity")
    track = tmp_path / "out" / "a.wav.labels.txt"
    assert label(*command) == 0 and track.read_text()
    good = sound.read_bytes()
    sound.write_bytes(b"damaged")
    assert label(*command) == 1
    assert not track.exists(), "of what the recording was before"
    sound.write_bytes(good)
    assert label(*command) == 0 and track.read_text()


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
    with pytest.raises((UserError, flags.IllegalFlagValueError)) as error:
        label(model, *[str(folder) if word == "FOLDER" else word for word in words])
    assert all(word in str(error.value) for word in said)
    assert "\n" not in str(error.value)


def test_two_recordings_with_one_name(model: Path, tmp_path: Path) -> None:
    both = [write(tmp_path / name / "a.wav", LOUD) for name in ("1", "2")]
    with pytest.raises(UserError, match=rf"{both[0]} and {both[1]} would both be written"):
        label(model, *both, f"--output_dir={tmp_path / 'out'}")


def test_a_long_recording_is_gone_on_with_in_its_middle(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_SAVE_SECONDS", 0.0)
    sound = write(tmp_path / "a.wav", *np.linspace(QUIET, LOUD, 40))
    asked: list[int] = []
    most = 10
    ask = Model.window_scores

    def interrupted(self: Model, windows: tf.Tensor, rate: int) -> BatchAnswer:
        if len(asked) == most:
            raise KeyboardInterrupt
        asked.append(len(windows))
        return ask(self, windows, rate)

    monkeypatch.setattr(Model, "window_scores", interrupted)
    command = (model, sound, "--hop_seconds=0.05", "--format=jsonl")
    with pytest.raises(KeyboardInterrupt):
        label(*command, f"--output={tmp_path / 'parts.jsonl'}")
    most = 1000
    assert label(*command, f"--output={tmp_path / 'parts.jsonl'}") == 0
    calls = len(asked)
    asked.clear()
    assert label(*command, f"--output={tmp_path / 'whole.jsonl'}") == 0
    assert calls == len(asked) > 40, "no window was asked about twice"
    whole = (tmp_path / "whole.jsonl").read_bytes()
    assert (tmp_path / "parts.jsonl").read_bytes() == whole and whole.count(b"event") > 1
