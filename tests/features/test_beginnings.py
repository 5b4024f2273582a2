"""Beginnings: where a sound starts, how much of it there is, and that live windows are the same."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.features.beginnings import split_beginnings
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.live.recogniser import Recogniser, WindowClassifier
from sound_pipeline.live.segments import Window
from tests.helpers.sounds import Floats, centred, noise

RATE = 8000
CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0), beginning_seconds=(0.1, 0.25, 1.0))
ONSET = 3 * RATE // 10
LEAD = RATE // 20


def recording(seconds: float = 2.0) -> Floats:
    """Three tenths of a second of faint noise, then noise."""
    samples = noise(round(seconds * RATE), 0.3, seed=1)
    samples[:ONSET] *= 1e-3
    return samples


def split(samples: Floats, rate: int = RATE, config: FeatureConfig = CONFIG) -> Floats:
    return split_beginnings(tf.constant(samples), tf.constant(rate), config).numpy()


def test_so_much_of_the_sound_mirrored_behind_a_little_quiet() -> None:
    samples = recording()
    found = split(samples)
    assert found.shape == (2, RATE), "one that fills the window is none"
    for beginning, seconds in zip(found, (0.1, 0.25), strict=True):
        sound = samples[ONSET : ONSET + round(seconds * RATE)]
        both_ways = np.concatenate((sound, sound[::-1]))
        expected = np.concatenate((samples[ONSET - LEAD : ONSET], np.resize(both_ways, RATE)))
        np.testing.assert_allclose(beginning, centred(expected[:RATE]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("offset", [0.02, -0.2])
def test_an_offset_hides_no_beginning(offset: float) -> None:
    samples = recording()
    found = split((samples + offset).astype(np.float32))
    np.testing.assert_allclose(found, split(samples), rtol=0, atol=1e-6)


def test_the_live_loop_asks_about_the_same() -> None:
    """The window that a segment's start would be, filled by the live loop."""
    samples = recording()
    labels = ("a", "b")
    asked: list[Floats] = []

    def classify(window: Floats, sample_rate_hz: int) -> Floats:
        asked.append(window)
        return np.array([0.5, 0.5], np.float32)

    model = WindowClassifier(classify, labels, CONFIG.windows.seconds)
    recogniser = Recogniser(model, None, RATE)  # type: ignore[arg-type]
    start, end = ONSET - 2 * LEAD, ONSET + round(0.25 * RATE)
    recogniser.handle(Window(0, start, end, ONSET, end, samples[start:end]))
    np.testing.assert_allclose(centred(asked[0]), split(samples)[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [1000, 11025, 44100])
def test_at_every_rate_in_a_pipeline(rate: int) -> None:
    samples = noise(rate, 0.3)
    samples[: rate // 2] = 0.0
    dataset = tf.data.Dataset.from_tensors((samples, rate))
    (mapped,) = dataset.map(lambda samples, rate: split_beginnings(samples, rate, CONFIG))
    np.testing.assert_array_equal(mapped, split(samples, rate))
    assert mapped.shape == (2, rate)
    lead = np.flatnonzero(mapped[0].numpy())[0]
    assert lead == pytest.approx(0.05 * rate, abs=0.011 * rate)


def test_a_recording_shorter_than_a_beginning_is_all_there_is() -> None:
    samples = noise(300, 0.3)
    for found in split(samples):
        both_ways = np.resize(np.concatenate((samples, samples[::-1])), RATE)
        np.testing.assert_allclose(found, centred(both_ways), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_silence_and_what_is_not_finite(value: float) -> None:
    for count in (500, 1, 0):
        samples = np.full(count, value, np.float32)
        assert np.isfinite(split(samples)).all()


def test_none_wanted() -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0), beginning_seconds=())
    assert split(recording(), config=config).shape == (0, RATE)
