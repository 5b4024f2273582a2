"""A model that is loaded while sound is heard already."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.models.info import read_info
from sound_pipeline.models.model import Model

RATE = 16000


@pytest.fixture(scope="module")
def directory(loudness_model: Path) -> Path:
    return loudness_model


def test_answers_are_the_models(directory: Path) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    with LoadingModel(directory, read_info(directory), RATE) as loading:
        scores = loading.scores(waveform, RATE)  # waits
        assert loading.seconds is not None and loading.seconds > 0
        model = Model(directory)
        np.testing.assert_array_equal(scores, model.scores(waveform, RATE))
        image = loading.image(waveform, RATE)
        np.testing.assert_array_equal(image, model.image(waveform, RATE))


def test_what_goes_wrong_is_told_to_whoever_asks(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    (tmp_path / "assets.extra").symlink_to(directory / "assets.extra")
    with LoadingModel(tmp_path, read_info(tmp_path), RATE) as loading:
        with pytest.raises(UserError, match="does not load"):
            loading.scores(np.zeros(RATE, np.float32), RATE)
        with pytest.raises(UserError, match="does not load"):
            _ = loading.seconds
    with (
        LoadingModel(directory, read_info(directory), RATE, "float64") as loading,
        pytest.raises(UserError, match="--precision=float64"),
    ):
        loading.scores(np.zeros(RATE, np.float32), RATE)


def test_its_context_waits_for_the_end_of_loading(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(model: Model, *_: object) -> np.ndarray:
        time.sleep(0.3)
        return np.ones(2, np.float32)

    monkeypatch.setattr(Model, "scores", slow)
    with LoadingModel(directory, read_info(directory), RATE) as loading:
        assert loading.seconds is None
    assert loading.seconds is not None and loading.seconds >= 0.3
