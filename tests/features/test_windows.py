"""Recordings cut into windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.windows import (
    Windows,
    audible_seconds,
    full_windows,
    grid_start,
    split_windows,
)
from tests.helpers import sounds

RATE = 1000
CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.5))
APART = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.0))

Floats = sounds.Floats


def cut(waveform: Floats, config: FeatureConfig = CONFIG) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Of one recording: waveform [windows, samples], audible [windows], starts [windows]."""
    cut = split_windows(tf.constant(waveform[None]), tf.constant(RATE), config)
    windows, audible, starts, power, _ = (tensor.numpy() for tensor in cut)
    assert windows.shape[0] == 1
    assert windows.shape[2] == 1000
    assert audible.shape == power.shape == starts.shape == windows.shape[:2]
    return windows[0], audible[0], starts[0]


@pytest.mark.parametrize("samples", [0, 1, 999])
def test_a_shorter_recording_is_padded_at_its_end(samples: int) -> None:
    waveform = sounds.noise(samples)
    windows, audible, starts = cut(waveform)
    assert starts.tolist() == [0]
    assert audible.tolist() == [True]
    np.testing.assert_array_equal(windows[0, :samples], sounds.centred(waveform))
    assert not windows[0, samples:].any()


@pytest.mark.parametrize(
    ("samples", "overlap", "starts"),
    [
        (1000, 0.5, [0]),
        (1049, 0.5, [0, 49]),
        (1500, 0.5, [0, 500]),
        (1549, 0.5, [0, 500, 549]),
        (2000, 0.5, [0, 500, 1000]),
        (2300, 0.5, [0, 500, 1000, 1300]),
        (1020, 0.0, [0, 20]),
        (2000, 0.0, [0, 1000]),
        (2080, 0.0, [0, 1000, 1080]),
        (3050, 0.0, [0, 1000, 2000, 2050]),
    ],
)
def test_the_last_window_ends_with_the_sound(
    samples: int, overlap: float, starts: list[int]
) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    waveform = sounds.noise(samples)
    for silence in (0, 30, 700, 5000):
        windows, _, found = cut(np.append(waveform, np.zeros(silence, np.float32)), config)
        assert found.tolist() == starts
        for window, start in zip(windows, starts, strict=True):
            np.testing.assert_array_equal(window, sounds.centred(waveform[start : start + 1000]))


def test_a_silent_remainder_makes_no_window() -> None:
    """Encoders pad their files by a few milliseconds, of what is nearly silence."""
    waveform = sounds.noise(2000)
    padding = sounds.noise(120, level=5e-7)
    assert cut(np.append(waveform, padding))[2].tolist() == [0, 500, 1000]
    assert cut(np.append(waveform, 10 * padding))[2].tolist() == [0, 500, 1000, 1120]
    # An offset alone is silence too.
    assert cut(np.append(waveform, padding) + np.float32(0.2))[2].tolist() == [0, 500, 1000]


def test_a_short_sound_behind_a_window_of_silence_is_heard() -> None:
    waveform = np.append(np.zeros(1000, np.float32), sounds.noise(45))
    windows, audible, starts = cut(waveform)
    assert starts.tolist() == [0, 45]
    assert audible.tolist() == [False, True]
    assert np.square(windows[1]).mean() > 1e-4


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1000, 6000), overlap=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_windows_hold_every_sample(samples: int, overlap: float) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    waveform = np.arange(1, samples + 1, dtype=np.float32)
    centred, _, starts = cut(waveform, config)
    means = [waveform[start : start + 1000].mean() for start in starts]
    windows = np.round(centred + np.array(means)[:, None])
    hop = 1000 * (1 - overlap)
    assert starts[0] == 0
    assert len(starts) <= 2 + (samples - 1000) / hop
    np.testing.assert_allclose(np.diff(starts)[:-1], hop, atol=1)
    # A lone sample behind the last window is no sound.
    assert len(np.setdiff1d(waveform, windows)) <= 1


def test_hops_that_are_no_whole_number_of_samples_do_not_drift() -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.6665))
    _, _, starts = cut(sounds.noise(20_000), config)
    np.testing.assert_array_equal(starts[:-1], np.round(np.arange(57) * 333.5))
    assert starts[-1] == 19_000


def test_a_batch_of_all_lengths_is_cut_like_its_recordings() -> None:
    lengths = [0, 1, 700, 1000, 1020, 1900, 2300, 4000]
    alone = [sounds.noise(length, seed=length) for length in lengths]
    alone[-1] *= np.linspace(0, 1, 4000, dtype=np.float32) ** 8
    for padding in (0, 3333):
        batch = np.stack([np.pad(sound, (0, 4000 + padding - len(sound))) for sound in alone])
        windows = split_windows(batch, tf.constant(RATE), CONFIG)
        assert windows.samples.numpy().tolist() == lengths
        seconds = audible_seconds(windows, tf.constant(RATE), CONFIG).numpy()
        for row, sound in enumerate(alone):
            expected = split_windows(sound[None], tf.constant(RATE), CONFIG)
            count = expected.starts.shape[1]
            for name in ("waveform", "audible", "starts", "power"):
                found, wanted = getattr(windows, name)[row], getattr(expected, name)[0]
                np.testing.assert_array_equal(found[:count], wanted)
            assert not windows.audible[row, count:].numpy().any()
            assert not windows.power[row, count:].numpy().any()
            assert seconds[row] == audible_seconds(expected, tf.constant(RATE), CONFIG)[0]


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_windows_are_compared_with_half_a_minute(overlap: float) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    waveform = sounds.noise(60 * RATE, level=0.01)
    waveform[25 * RATE : 25 * RATE + 500] *= 100
    _, audible, starts = cut(waveform, config)
    quiet_seconds = starts[~audible] / RATE
    # A bang hides what is 15 s before and after it, and no more.
    assert 9 <= quiet_seconds.min() <= 11 and 39 <= quiet_seconds.max() <= 41


def test_what_is_heard_decides_where_the_sound_is() -> None:
    """Noise mixed into a recording is not taught under its name."""
    heard = np.zeros(5000, np.float32)
    heard[200:1200] = sounds.noise(1000)
    noisy = heard + sounds.noise(5000, seed=1)
    split = split_windows(noisy[None], tf.constant(RATE), APART, heard[None])
    assert split.starts.numpy().tolist() == [[0, 200]]
    assert split.audible.numpy().all()
    np.testing.assert_array_equal(split.waveform[0, 1], sounds.centred(noisy[200:1200]))
    heard[4981:4991:2], heard[4982:4991:2] = 1e-4, -1e-4
    split = split_windows(noisy[None], tf.constant(RATE), APART, heard[None])
    assert split.audible.numpy().tolist() == [[True, True, False, False, False]]


def test_seconds_that_an_answer_stands_on() -> None:
    sound, silence = sounds.noise(4000), np.zeros(4000, np.float32)
    for samples, expected in ((0, 0.0), (1, 0.0), (300, 0.3), (1000, 1.0), (2300, 2.3)):
        batch = np.stack([sound[:samples], silence[:samples], silence[:samples] + 0.4])
        windows = split_windows(batch, tf.constant(RATE), CONFIG)
        found = audible_seconds(windows, tf.constant(RATE), CONFIG)
        np.testing.assert_allclose(found, [expected, 0, 0], atol=1e-6)
    half = np.concatenate([sound[:2000], 1e-3 * sound[:2000]])[None]
    windows = split_windows(half, tf.constant(RATE), APART)
    np.testing.assert_allclose(audible_seconds(windows, tf.constant(RATE), APART), [2.0])


def test_the_faintest_sound_of_16_bits_is_no_silence() -> None:
    waveform = np.zeros([1, 1000], np.float32)
    waveform[0, 99::100] = 1 / 32768
    windows = split_windows(waveform, tf.constant(RATE), CONFIG)
    assert audible_seconds(windows, tf.constant(RATE), CONFIG) == 1


def test_samples_that_are_not_finite_count_as_zero() -> None:
    waveform = sounds.noise(3000)
    waveform[[5, 1500, 2999]] = np.nan, np.inf, -np.inf
    windows, audible, starts = cut(waveform, APART)
    cleaned = np.where(np.isfinite(waveform), waveform, 0)[:2999]
    assert starts.tolist() == [0, 1000, 1999]
    expected = [sounds.centred(cleaned[start : start + 1000]) for start in starts]
    np.testing.assert_array_equal(windows, expected)
    assert audible.all()


def test_starts_of_a_recording_of_days() -> None:
    hop = tf.constant(500.0, tf.float64)
    count = int(full_windows(tf.constant(2**40, tf.int64), 1000, hop))
    assert int(grid_start(tf.constant(count - 1, tf.int64), hop)) == 500 * (count - 1)
    assert 0 <= 2**40 - 1000 - 500 * (count - 1) < 500


def test_in_a_data_set_windows_are_the_same() -> None:
    def of_config(batch: tf.Tensor, rate: tf.Tensor) -> Windows:
        return split_windows(batch, rate, CONFIG)

    for samples in (0, 700, 2300):
        sounds.eager_and_mapped(of_config, sounds.noise(2 * samples).reshape(2, samples), RATE)


def test_windows_quiet_beside_the_loudest_are_not_audible() -> None:
    levels_db = [-29.0, 0.0, -31.0, -90.0, -math.inf]
    waveform = np.concatenate(
        [10 ** (level / 20) * sounds.tone(100, 1000, RATE) for level in levels_db]
    ).astype(np.float32)
    _, audible, _ = cut(waveform, APART)
    # The zeros at the end are no window.
    assert audible.tolist() == [True, True, False, False]
    # What counts is the level beside the loudest, not the level.
    _, quieter, _ = cut(waveform * np.float32(1e-3), APART)
    assert quieter.tolist() == audible.tolist()


def test_an_offset_makes_nothing_audible_or_quiet() -> None:
    waveform = np.concatenate([sounds.tone(100, 1000, RATE), 0.01 * sounds.tone(100, 1000, RATE)])
    for offset in (0.0, 0.3, -0.3):
        shifted = (waveform + offset).astype(np.float32)
        assert cut(shifted, APART)[1].tolist() == [True, False]


def test_a_window_of_a_constant_is_silent() -> None:
    for samples in (1, 700, 1000):
        windows, _, _ = cut(np.full(samples, 0.3, np.float32))
        assert not windows.any()


@pytest.mark.parametrize("level", [0.0, 1e-30])
def test_in_silence_every_window_is_audible(level: float) -> None:
    _, audible, _ = cut(np.full(3000, level, np.float32), APART)
    # Zeros alone are no sound, and one window of silence.
    assert audible.tolist() == ([True] * 3 if level else [True])


def test_absurdly_loud_samples_are_limited() -> None:
    waveform = np.full(1000, 3e38, np.float32)
    waveform[500:] *= -1
    windows, audible, _ = cut(waveform)
    assert np.isfinite(np.square(windows).sum())
    assert audible.all()
    np.testing.assert_array_equal(np.sign(windows[0]), np.sign(waveform))
