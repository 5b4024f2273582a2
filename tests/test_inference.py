"""Exported models loaded again: their answers, and what is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline import inference
from sound_pipeline.errors import UserError
from sound_pipeline.export import export_model
from sound_pipeline.inference import Model
from sound_pipeline.model_files import METADATA_FILE, ModelInfo, read_info
from sound_pipeline.precision import Machine
from tests import tiny_models
from tests.tiny_models import CONFIG, LABELS

RATE = 16000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run") / "saved_model"
    classifier = tiny_models.random_classifier(tiny_models.LoudnessExtractor(CONFIG))
    classifier.min_score.assign(0.375)
    export_model(classifier, directory, {})
    return directory


def test_knows_what_it_is(directory: Path) -> None:
    expected = ModelInfo(tuple(LABELS), CONFIG.window_seconds, 0.375)
    assert Model(directory).info == read_info(directory) == expected


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.7])
def test_scores_and_pictures_are_those_of_the_signatures(directory: Path, seconds: float) -> None:
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    model, loaded = Model(directory), tf.saved_model.load(str(directory))
    scores = model.scores(waveform, RATE)
    assert scores.shape == (len(LABELS),) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, loaded(waveform[None], RATE)["scores"][0], atol=1e-6)
    picture = model.picture(waveform, RATE)
    assert picture.shape == (299, 299, 3) and picture.dtype == np.uint8
    image = loaded.signatures["spectrogram"](
        waveform=tf.constant(waveform[None]), sample_rate=tf.constant(RATE)
    )["image"]
    np.testing.assert_array_equal(picture, image[0])


def test_computes_in_what_was_chosen_for_the_machine(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    @contextlib.contextmanager
    def noted(precision: str) -> Iterator[None]:
        used.append(precision)
        yield

    monkeypatch.setattr(inference, "computing_in", noted)
    machine = Machine(frozenset({"avx512_bf16"}))
    monkeypatch.setattr(inference, "this_machine", lambda: machine)
    shutil.copytree(directory, tmp_path / "copy")
    about = json.loads((directory / METADATA_FILE).read_text()) | {"gains_from_less": True}
    (tmp_path / "copy" / METADATA_FILE).write_text(json.dumps(about))
    for folder, asked, expected in (
        (directory, "auto", "float32"),
        (directory, "bfloat16", "bfloat16"),
        (tmp_path / "copy", "auto", "bfloat16"),
        (tmp_path / "copy", "float32", "float32"),
    ):
        model = Model(folder, asked)
        assert model.choice.precision == expected
        model.scores(np.zeros(RATE, np.float32), RATE)
        assert used.pop() == expected and not used
    with pytest.raises(UserError, match="--precision=float16: "):
        Model(directory, "float16")
    # A model of before, whose metadata don't say.
    del about["gains_from_less"]
    (tmp_path / "copy" / METADATA_FILE).write_text(json.dumps(about))
    assert Model(tmp_path / "copy", "auto").choice.precision == "float32"


def test_a_folder_without_a_model_is_refused(directory: Path, tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError, match=r"holds no SavedModel; train one with train\.py"):
            read_info(nothing)
    with pytest.raises(UserError, match=f"did you mean {directory}"):
        read_info(directory.parent)


@pytest.mark.parametrize("keep", [0, 11, -1])
def test_a_broken_model_is_refused(directory: Path, tmp_path: Path, keep: int) -> None:
    """All of the graph but nothing of the weights (-1), or no graph."""
    (tmp_path / "saved_model.pb").write_bytes((directory / "saved_model.pb").read_bytes()[:keep])
    shutil.copytree(directory / METADATA_FILE.parent, tmp_path / METADATA_FILE.parent)
    with pytest.raises(UserError, match="does not load") as error:
        Model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"labels": 3})])
def test_damaged_metadata_is_refused(directory: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(directory, tmp_path / "copy")
    (tmp_path / "copy" / METADATA_FILE).write_text(content)
    with pytest.raises(UserError, match="export the model again") as error:
        read_info(tmp_path / "copy")
    assert "\n" not in str(error.value)


def test_other_savedmodels_are_refused(tmp_path: Path) -> None:
    handle = tiny_models.save_picture_module(tmp_path / "module")
    with pytest.raises(UserError, match="not one exported by sound_pipeline"):
        read_info(Path(handle))
