"""Excerpts of recordings: which, what is heard and what is seen of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.features import image
from sound_pipeline.report.excerpts import (
    LONGEST_SECONDS,
    excerpts,
    most_confident_mistakes,
    one_of_each_class,
)
from tests.helpers.sound_folders import CLASSES, RATE_HZ, SHORT, clip
from tests.helpers.sounds import Floats, centred, chirp, noise, write_wav


def table(
    paths: Sequence[str], labels: Sequence[str], scores: Sequence[Sequence[float]]
) -> Predictions:
    clips = len(paths)
    return Predictions(
        CLASSES,
        np.array(paths, np.str_),
        np.full(clips, "fold 1"),
        np.array(paths, np.str_),
        np.array(labels, np.str_),
        np.array(scores, np.float32).reshape(clips, 3),
        np.full(clips, 0.5, np.float32),
    )


def all_hum(paths: Sequence[str]) -> Predictions:
    return table(paths, ["hum"] * len(paths), [[0.25, 0.5, 0.25]] * len(paths))


def assert_shows(image: np.ndarray, window: Floats, rate_hz: int) -> None:
    """That it is `seen`; where a graph rounds otherwise, a colour may be the next in the table."""
    expected = seen(centred(window), rate_hz)
    assert (image == expected).mean() > 0.9999
    assert np.abs(image.astype(int) - expected).max() <= 5


def seen(window: Floats, rate_hz: int) -> np.ndarray:
    """What the feature path makes of one window: uint8 [299, 299, 3]."""
    coloured = image.coloured_image(
        tf.constant(window[None]), tf.constant(rate_hz), 299, 299, SHORT
    )
    return np.round(coloured[0].numpy() * 255).astype(np.uint8)


def test_most_confident_mistakes_come_first_and_equals_by_row() -> None:
    predictions = table(
        [f"{row}.wav" for row in range(7)],
        ["hum", "noise", "siren", "noise", "whistle", "hum", "hum"],
        [
            [0.1, 0.6, 0.3],
            [0.1, 0.8, 0.1],  # right
            [0.0, 1.0, 0.0],  # of an unknown class
            [0.6, 0.3, 0.1],
            [0.9, 0.1, 0.0],
            [0.2, 0.4, 0.4],  # two classes alike: the first is the answer
            [0.0, 0.4, 0.6],
        ],
    )
    assert most_confident_mistakes(predictions, 10) == [4, 0, 3, 6, 5]
    assert most_confident_mistakes(predictions, 2) == [4, 0]
    assert most_confident_mistakes(predictions, 0) == []
    assert most_confident_mistakes(predictions.where(predictions.right), 5) == []


def test_many_mistakes_of_one_score_stay_in_order() -> None:
    rows = range(200)
    predictions = all_hum([f"{row}.wav" for row in rows])
    mistaken = dataclasses.replace(predictions, labels=np.full(200, "noise"))
    turned = dataclasses.replace(mistaken, scores=mistaken.scores[:, [1, 0, 2]])
    assert most_confident_mistakes(turned, 200) == list(rows)


def test_one_of_each_class_is_the_first_of_those_tested() -> None:
    labels = ["siren", "whistle", "hum", "whistle", "hum", "dog"]
    predictions = table(labels, labels, [[1, 0, 0]] * 6)
    assert one_of_each_class(predictions) == [2, 1]
    assert one_of_each_class(predictions.where(predictions.truth < 0)) == []


@pytest.mark.parametrize(
    "rate_hz",
    [
        pytest.param(8000, marks=pytest.mark.slow),
        22050,
        pytest.param(48000, marks=pytest.mark.slow),
    ],
)
def test_an_excerpt_is_what_is_in_the_file(tmp_path: Path, rate_hz: int) -> None:
    waveform = clip("whistle", 3, 0.5, rate_hz)
    path = write_wav(tmp_path / "größer, zwei.wav", waveform, rate_hz)
    predictions = table(["other.wav", path], ["hum", "whistle"], [[1, 0, 0], [0.25, 0.625, 0.125]])
    (found,) = excerpts(predictions, [1], SHORT)
    assert (found.path, found.label, found.predicted, found.score, found.sample_rate_hz) == (
        path, "whistle", "noise", 0.625, rate_hz,
    )  # fmt: skip
    assert found.waveform.dtype == np.float32
    np.testing.assert_array_equal(found.waveform, waveform)
    assert found.image.shape == (299, 299, 3) and found.image.dtype == np.uint8
    assert_shows(found.image, waveform, rate_hz)


def test_excerpts_come_in_the_order_asked_for(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    paths = [
        write_wav(tmp_path / f"{name}.wav", clip("hum", number), RATE_HZ)
        for number, name in enumerate(names)
    ]
    found = excerpts(all_hum(paths), [2, 0], SHORT)
    assert [item.path for item in found] == [paths[2], paths[0]]
    assert not (found[0].image == found[1].image).all()
    assert excerpts(all_hum(paths), [], SHORT) == []


def test_a_long_recording_is_heard_from_its_start_and_seen_where_it_sounds(tmp_path: Path) -> None:
    """The window drawn is the first that is not quiet beside the loudest."""
    rate_hz = 4000
    quiet = noise(13 * rate_hz, 1e-4)
    sweep = chirp(rate_hz // 2, rate_hz, 1900)
    # Windows of 0.5 s start every 0.25 s: one starts with the sweep.
    quiet[12 * rate_hz : 12 * rate_hz + len(sweep)] += sweep
    path = write_wav(tmp_path / "long.wav", quiet, rate_hz)
    (found,) = excerpts(all_hum([path]), [0], SHORT)
    assert LONGEST_SECONDS == 10
    np.testing.assert_array_equal(found.waveform, quiet[: 10 * rate_hz])
    # The window before already holds the sweep's first half.
    start = 12 * rate_hz - rate_hz // 4
    assert_shows(found.image, quiet[start : start + rate_hz // 2], rate_hz)


def test_the_sound_is_mono_and_in_range(tmp_path: Path) -> None:
    sides = np.zeros((4, 2), np.float32)
    sides[:] = [[0.5, 0.25], [3.0, 3.0], [-7.0, -1.0], [0.25, -0.25]]
    loud = write_wav(tmp_path / "loud.wav", sides, RATE_HZ)
    (found,) = excerpts(all_hum([loud]), [0], SHORT)
    assert found.waveform.tolist() == [0.375, 1.0, -1.0, 0.0]


def test_a_recording_that_is_gone_is_named(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "there.wav", clip("hum", 0), RATE_HZ)
    gone = str(tmp_path / "gone.wav")
    with pytest.raises(UserError) as caught:
        excerpts(all_hum([path, gone]), [0, 1], SHORT)
    message = str(caught.value)
    assert message.startswith(f"{gone}: ") and "No such file" in message
    assert "\n" not in message


def test_a_recording_that_was_overwritten_is_named(tmp_path: Path) -> None:
    path = tmp_path / "overwritten.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(UserError) as caught:
        excerpts(all_hum([str(path)]), [0], SHORT)
    assert str(caught.value).startswith(f"{path}: ")
