"""Labelling recordings on disk with an exported model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.export import export_model
from sound_pipeline.labelling import find_recordings, label_recording, load_model
from tests import tiny_models
from tests.tiny_models import CONFIG, LABELS

RATE = 16000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run") / "saved_model"
    classifier = tiny_models.random_classifier(tiny_models.LoudnessExtractor(CONFIG))
    export_model(classifier, directory, {})
    return directory


@pytest.fixture(scope="module")
def model(directory: Path) -> Any:
    return load_model(directory)


def write(path: Path, seconds: float, seed: int = 0) -> str:
    """A recording whose loudness wanders, so that its windows get different scores."""
    samples = round(seconds * RATE)
    random = np.random.default_rng(seed)
    loudness = np.interp(np.arange(samples), np.linspace(0, samples, 12), random.uniform(0, 1, 12))
    soundfile.write(path, loudness * random.uniform(-1, 1, samples), RATE, subtype="PCM_16")
    return str(path)


@pytest.mark.parametrize(
    ("seconds", "spans"),
    [
        (0.2, [(0.0, 0.2)]),
        (0.5, [(0.0, 0.5)]),
        (0.8, [(0.0, 0.5), (0.3, 0.8)]),
        (1.3, [(0.0, 0.5), (0.3, 0.8), (0.6, 1.1), (0.8, 1.3)]),
    ],
)
def test_windows_cover_the_recording(
    model: Any, tmp_path: Path, seconds: float, spans: list[tuple[float, float]]
) -> None:
    found = list(label_recording(model, write(tmp_path / "a.wav", seconds)))
    times = [(window.start_seconds, window.end_seconds) for window in found]
    np.testing.assert_allclose(times, spans, atol=1e-6)


def test_labels_and_scores_are_the_models(model: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", 2.0)
    waveform, rate = soundfile.read(path, dtype="float32")
    answer = model.signatures["recording"](
        waveform=tf.constant(waveform), sample_rate=tf.constant(rate)
    )
    found = list(label_recording(model, path))
    scores = np.stack([window.scores for window in found])
    np.testing.assert_allclose(scores, answer["scores"], atol=1e-5)
    assert len({window.label for window in found}) > 1, "all windows alike: nothing is tested"
    for window in found:
        assert window.label == LABELS[window.scores.argmax()]
        assert window.score == window.scores.max()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not audio", ": "),
        (b"RIFF\x04\0\0\0WAVE", "there is no fmt chunk"),
    ],
    ids=["empty", "text", "header"],
)
def test_an_unreadable_recording_is_named_with_the_reason(
    model: Any, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        list(label_recording(model, str(path)))
    assert str(error.value).startswith(f"{path}: ")


def test_a_recording_that_vanished_is_named(model: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.wav: No such file"):
        list(label_recording(model, str(tmp_path / "gone.wav")))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
def test_a_file_name_that_can_not_be_printed_is_refused(model: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 0.2)
    os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    (path,) = find_recordings([str(tmp_path)])
    with pytest.raises(UserError, match="the file name is not UTF-8") as error:
        list(label_recording(model, path))
    assert "caf" in str(error.value).encode().decode()


def test_finds_files_and_folders_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.WAV", "b/deep/3.flac", "b/notes.txt", "b/.hidden.wav", "a.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "odd.name").touch()
    found = find_recordings([str(tmp_path / name) for name in ("b", "odd.name", "a.wav", "a.wav")])
    relative = [Path(path).relative_to(tmp_path).as_posix() for path in found]
    assert relative == ["b/1.WAV", "b/2.wav", "b/deep/3.flac", "odd.name", "a.wav", "a.wav"]


def test_a_missing_or_empty_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--input=.*gone: no such file or folder"):
        find_recordings([str(tmp_path / "gone")])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=rf"--input={tmp_path}: no audio file below"):
        find_recordings([str(tmp_path)])


def test_a_folder_without_a_model_is_refused(directory: Path, tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError, match=r"holds no SavedModel; train one with train\.py"):
            load_model(nothing)
    with pytest.raises(UserError, match=f"did you mean {directory}"):
        load_model(directory.parent)


def test_a_broken_model_is_refused(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(UserError, match="does not load"):
        load_model(tmp_path)
    half = (directory / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(half)
    with pytest.raises(UserError, match="does not load") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_other_savedmodels_are_refused(tmp_path: Path) -> None:
    handle = tiny_models.save_picture_module(tmp_path / "module")
    with pytest.raises(UserError, match="not one exported by sound_pipeline"):
        load_model(Path(handle))
