"""What is said of one recording, from the scores of its windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.events.find_events import NOT_NUMBERS, LabelConfig, WindowScores
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.label import batch


def test_scores_that_are_no_numbers_are_an_error_of_their_recording(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = batch.LabellingTask(Path("model"), ("a", "b"), FeatureConfig(), LabelConfig(), top=1)
    scores = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    places = np.array([0, 10]), np.array([20, 30]), np.ones(2, np.float32), np.ones(2, bool)
    good = batch._result(task, "good.wav", WindowScores(scores, *places, 10, 30))
    assert not good.error and len(good.events) == 1
    scores[1, 0] = np.nan
    bad = batch._result(task, "bad.wav", WindowScores(scores, *places, 10, 30))
    assert bad.error == NOT_NUMBERS and not bad.events
    assert "bad.wav: the model's scores of it are no numbers" in caplog.text
