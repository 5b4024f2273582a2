"""Sound at another rate: the same sound, up to half of the lower rate."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from sound_pipeline.audio.resampling import resample

RATES = [(44100, 22050), (48000, 22050), (8000, 22050), (22050, 16000), (11027, 997)]


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
def test_it_is_scipys_within_silence(rate: int, new_rate: int) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, round(0.7 * rate)).astype(np.float32)
    padded = np.pad(sound, (0, rate - len(sound)))
    expected = scipy.signal.resample(padded.astype(np.float64), new_rate)
    found = resample(sound, rate, new_rate)
    assert found.dtype == np.float32
    assert len(found) == round(len(sound) * new_rate / rate)
    # What lies at exactly half of the lower rate, one part in thousands, is anybody's guess.
    np.testing.assert_allclose(found, expected[: len(found)], atol=0.005)


@pytest.mark.parametrize(("rate", "new_rate"), RATES)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.3])
def test_a_tone_is_the_same_tone(rate: int, new_rate: int, seconds: float) -> None:
    """Also one close to half of the lower rate."""

    def tone(hz: float, at: int) -> np.ndarray:
        time = np.arange(round(seconds * at)) / at
        return (np.sin(2 * np.pi * hz * time) * np.hanning(len(time))).astype(np.float32)

    for share in (0.1, 0.9, 0.97):
        hz = share * min(rate, new_rate) / 2
        expected = tone(hz, new_rate)
        found = resample(tone(hz, rate), rate, new_rate)
        assert abs(len(found) - len(expected)) <= 1
        middle = slice(len(expected) // 10, -(len(expected) // 10) - 1)
        found = np.resize(found, len(expected))
        np.testing.assert_allclose(found[middle], expected[middle], atol=0.01)


def test_what_a_lower_rate_can_not_hold_is_silent() -> None:
    time = np.arange(44100) / 44100
    sound = (np.sin(2 * np.pi * 11500 * time) * np.hanning(44100)).astype(np.float32)
    assert np.abs(resample(sound, 44100, 22050)).max() < 1e-3


def test_the_same_rate_and_nothing() -> None:
    sound = np.ones(10, np.float32)
    np.testing.assert_array_equal(resample(sound, 8000, 8000), sound)
    assert resample(np.zeros(0, np.float32), 44100, 22050).shape == (0,)
