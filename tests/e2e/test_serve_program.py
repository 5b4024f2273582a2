"""serve_mic.py on recordings, with a model that tells quiet sounds from loud ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.classifier import SoundClassifier
from sound_pipeline.export import export_model
from sound_pipeline.head import Head
from tests import tiny_models
from tests.e2e import programs

pytestmark = pytest.mark.slow

RATE = 16000
QUIET, LOUD = 0.03, 0.3
LINE = re.compile(
    r"(?P<path>.+)  (?P<start>\d+\.\d)-(?P<end>\d+\.\d) s  (?P<label>.+)  (?P<score>[01]\.\d\d)"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten levels of a window, each against one between quiet and loud."""
    extractor = tiny_models.LoudnessExtractor(tiny_models.CONFIG)
    size = extractor.embedding_size
    between = np.full(size, (QUIET + LOUD) / 2, np.float32)
    kernel = np.tile(np.array([-2, 2], np.float32), [size, 1])
    head = Head(between, np.full_like(between, 0.1), [(kernel, np.zeros(2, np.float32))])
    classifier = SoundClassifier(extractor, head, ["quiet", "loud"], extractor.config)
    directory = tmp_path_factory.mktemp("run") / "saved_model"
    export_model(classifier, directory, {})
    return directory


def write(path: Path, *levels: float, seconds: float = 0.5) -> Path:
    """A tone that has each of the levels (root mean square) for so many seconds."""
    path.parent.mkdir(exist_ok=True)
    level = np.repeat(levels, round(seconds * RATE))
    sound = level * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(len(level)) / RATE)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


def serve(model: Path, *inputs: Path) -> programs.Outcome:
    flags = [f"--input={path}" for path in inputs]
    return programs.run("serve_mic.py", f"--model={model}", *flags, cache=Path(os.devnull))


def parsed(outcome: programs.Outcome) -> list[dict[str, str]]:
    """The parts of each line, every one of which must be well formed."""
    lines = [LINE.fullmatch(line) for line in outcome.out.splitlines()]
    assert all(lines), outcome.out
    return [line.groupdict() for line in lines if line]


def labelled(outcome: programs.Outcome) -> list[tuple[str, str]]:
    return [(line["path"], line["label"]) for line in parsed(outcome)]


def test_files_and_folders_in_order(model: Path, tmp_path: Path) -> None:
    """The last at another rate, in stereo and 24 bits, and longer: a line for each window."""
    folder = [
        write(tmp_path / "new" / f"{number}.wav", level)
        for number, level in enumerate([LOUD, QUIET, LOUD])
    ]
    single = write(tmp_path / "a single one.wav", QUIET)
    both, _ = soundfile.read(write(tmp_path / "both.wav", QUIET, LOUD, seconds=2.0))
    soundfile.write(tmp_path / "both.wav", np.stack([both, both], 1), 32000, subtype="PCM_24")
    outcome = serve(model, tmp_path / "new", single, tmp_path / "both.wav")
    assert outcome.status == 0
    assert outcome.err == ""
    paths = [str(path) for path in (*folder, single)]
    assert labelled(outcome)[:4] == list(
        zip(paths, ["loud", "quiet", "loud", "quiet"], strict=True)
    )
    # Twice the rate makes 2 s of it; of its windows of 0.5 s, two see the change.
    windows = parsed(outcome)[4:]
    assert [line["path"] for line in windows] == [str(tmp_path / "both.wav")] * 6
    assert [line["start"] for line in windows] == ["0.0", "0.3", "0.6", "0.9", "1.2", "1.5"]
    assert [line["end"] for line in windows] == ["0.5", "0.8", "1.1", "1.4", "1.7", "2.0"]
    del windows[2:4]
    assert [line["label"] for line in windows] == ["quiet"] * 2 + ["loud"] * 2
    assert all(float(line["score"]) > 0.9 for line in windows)


def test_a_bad_file_among_good_ones_is_named_and_the_rest_labelled(
    model: Path, tmp_path: Path
) -> None:
    good = [write(tmp_path / f"{number}.wav", LOUD) for number in (1, 3)]
    bad = tmp_path / "2.wav"
    bad.write_bytes(good[0].read_bytes()[:30])
    outcome = serve(model, tmp_path)
    assert outcome.status == 1
    assert labelled(outcome) == [(str(path), "loud") for path in good]
    skipped, summary = outcome.err.splitlines()
    assert skipped.startswith(f"skipped {bad}: WAV: ")
    assert summary == "1 of 3 recordings can't be read"


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
