"""Sound at another rate inside a graph: as outside it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from sound_pipeline.audio import resampling
from sound_pipeline.audio.resampling_ops import resample
from tests.helpers import sounds

RATES_HZ = [1000, 8000, 11025, 16000, 22050, 44101, 48000, 96000, 384000]
NEW_RATE_HZ = 16000


def graph_resampled(windows: np.ndarray, rate_hz: int, new_samples: int) -> np.ndarray:
    """By `resample`, eagerly and in `Dataset.map`, which must agree."""
    found = sounds.eager_and_mapped(
        lambda waveform, rate: resample(waveform, rate, NEW_RATE_HZ, new_samples),
        windows,
        np.int32(rate_hz),
        tolerance=1e-5,
    )
    assert found.shape == (len(windows), new_samples)
    assert found.dtype == np.float32
    return np.asarray(found)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_the_same_as_outside_a_graph(rate_hz: int, seconds: float) -> None:
    samples = round(seconds * rate_hz)
    windows = np.stack([sounds.noise(samples, seed=seed) for seed in range(2)])
    found = graph_resampled(windows, rate_hz, round(seconds * NEW_RATE_HZ))
    for window, row in zip(windows, found, strict=True):
        expected = resampling.resample(window, rate_hz, NEW_RATE_HZ)
        both = slice(min(len(row), len(expected)))  # half a sample is rounded to one or none
        np.testing.assert_allclose(row[both], expected[both], rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_polyphase_filters_hear_the_same(rate_hz: int) -> None:
    """Scipy's own filter damps the top of the band: the sound ends below it."""
    sound = sounds.continuous_sound(rate_hz, 2.0, 0.35 * min(rate_hz, NEW_RATE_HZ))
    common = np.gcd(rate_hz, NEW_RATE_HZ)
    expected = scipy.signal.resample_poly(
        sound.astype(np.float64), NEW_RATE_HZ // common, rate_hz // common
    )
    found = graph_resampled(sound[None], rate_hz, 2 * NEW_RATE_HZ)[0]
    middle = slice(1000, -1000)  # of a sound that is cut off, filters make each their own
    error = np.sqrt(np.mean((found - expected)[middle] ** 2) / np.mean(expected[middle] ** 2))
    assert error < 0.003


def test_silence_stays_silent() -> None:
    assert not graph_resampled(np.zeros([1, 4000], np.float32), 8000, 8000).any()


def test_only_core_operations() -> None:
    spec = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)]
    function = tf.function(lambda waveform, rate: resample(waveform, rate, 16000, 100))
    names = {op.type for op in function.get_concrete_function(*spec).graph.get_operations()}
    assert {"RFFT", "IRFFT"} <= names
    assert not any("PyFunc" in name for name in names)
