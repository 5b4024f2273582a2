"""Samples made fit for a model, and their levels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.features.levels import (
    audible_windows,
    is_heard,
    mean_power,
    sounding_samples,
    without_offset,
    without_offset_unbranched,
)
from tests.helpers import sounds


@pytest.mark.parametrize("offset", [0.02, 0.5, -3.0])
@pytest.mark.parametrize("padded", [False, True])
def test_an_offset_is_taken_off(offset: float, padded: bool) -> None:
    plain = sounds.noise(4000).reshape(2, 2, 1000)
    shifted = plain + np.float32(offset)
    if padded:
        # In one window before the sound, in another after it: as much as there is of it counts.
        shifted[0, 1, :300] = shifted[1, 1, 900:] = plain[0, 1, :300] = plain[1, 1, 900:] = 0
    found = sounds.eager_and_mapped(without_offset, shifted)
    expected = sounds.eager_and_mapped(without_offset, plain)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), 0.0, atol=1e-3)
    assert (found[0, 1, :300] == 0).all() == padded
    for sum_type, tolerance in (tf.float64, 0.0), (tf.float32, 1e-6):
        unbranched = without_offset_unbranched(tf.constant(shifted), sum_type)
        np.testing.assert_allclose(unbranched, found, rtol=0, atol=tolerance)


def test_power_is_the_mean_of_the_squares() -> None:
    windows = np.stack([sounds.noise(88200, seed=1), np.zeros(88200, np.float32)])
    power = sounds.eager_and_mapped(mean_power, windows)
    np.testing.assert_array_equal(
        power,
        np.square(windows, dtype=np.float64).mean(axis=1, dtype=np.float64).astype(np.float32),
    )


def test_windows_around_decide_what_is_quiet() -> None:
    power = np.array([[1.0, 1e-4, 1e-4, 1e-4, 1e-2, 0.0]], np.float32)
    assert audible_windows(power, -30.0).numpy().tolist() == [[True, *[False] * 3, True, False]]
    found = sounds.eager_and_mapped(lambda p: audible_windows(p, -30.0, 1), power)
    assert found.tolist() == [[True, False, True, True, True, False]]


def test_zeros_at_the_end_are_no_sound() -> None:
    batch = np.zeros([4, 6], np.float32)
    batch[0, 2], batch[1, :], batch[3, [0, 5]] = -1e-30, 1, 1
    found = sounds.eager_and_mapped(sounding_samples, batch)
    assert found.tolist() == [3, 6, 0, 6]
    assert sounding_samples(tf.constant(batch[1:2])).numpy().tolist() == [6]
    assert sounding_samples(tf.zeros([2, 0])).numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("samples", "heard"),
    [
        ([], False),
        ([0.5], False),
        ([0.2] * 9, False),
        ([0.2, 0.3], True),
        ([0, 3e-6, 0], True),
        ([0, 1e-6, 0], False),
    ],
)
def test_what_is_more_than_silence(samples: list[float], heard: bool) -> None:
    assert sounds.eager_and_mapped(is_heard, np.array(samples, np.float32)) == heard
