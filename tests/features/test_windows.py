"""Recordings cut into windows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.windows import (
    Windows,
    audible_seconds,
    mean_power,
    split_windows,
    stream_windows,
    usable_windows,
    window_starts,
    without_offset,
    without_offset_unbranched,
)
from tests.helpers import sounds

RATE = 1000
CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.5))
APART = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.0))

Floats = sounds.Floats


def cut(waveform: Floats, config: FeatureConfig = CONFIG) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Of one recording: waveform [windows, samples], audible [windows], starts [windows]."""
    cut = split_windows(tf.constant(waveform[None]), tf.constant(RATE), config)
    windows, audible, starts, power = (tensor.numpy() for tensor in cut)
    assert windows.shape[0] == 1
    assert windows.shape[2] == 1000
    assert audible.shape == power.shape == windows.shape[:2]
    assert starts.shape == windows.shape[1:2]
    return windows[0], audible[0], starts


@pytest.mark.parametrize("samples", [0, 1, 999])
def test_a_shorter_recording_is_padded_at_its_end(samples: int) -> None:
    waveform = sounds.noise(samples)
    windows, audible, starts = cut(waveform)
    assert starts.tolist() == [0]
    assert audible.tolist() == [True]
    np.testing.assert_array_equal(windows[0, :samples], sounds.centred(waveform))
    assert not windows[0, samples:].any()


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1000, [0]),
        (1049, [0]),  # less than a tenth of the hop of 500 samples is left out
        (1051, [0, 51]),
        (1500, [0, 500]),
        (1549, [0, 549]),
        (1551, [0, 500, 551]),
        (2000, [0, 500, 1000]),
        (2300, [0, 500, 1000, 1300]),
    ],
)
def test_the_last_window_ends_with_the_recording(samples: int, starts: list[int]) -> None:
    waveform = sounds.noise(samples)
    windows, _, found = cut(waveform)
    assert found.tolist() == starts
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window, sounds.centred(waveform[start : start + 1000]))


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1099, [0]),
        (1101, [0, 101]),
        (2000, [0, 1000]),
        (2099, [0, 1099]),  # 99 samples lie between the two
        (2101, [0, 1000, 1101]),
        (3050, [0, 1000, 2050]),
    ],
)
def test_without_overlap_a_gap_may_lie_before_the_last_window(
    samples: int, starts: list[int]
) -> None:
    waveform = sounds.noise(samples)
    windows, _, found = cut(waveform, APART)
    assert found.tolist() == starts
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_array_equal(window, sounds.centred(waveform[start : start + 1000]))


@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1000, 6000), overlap=st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_windows_hold_every_sample_but_a_remainder(samples: int, overlap: float) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    waveform = np.arange(1, samples + 1, dtype=np.float32)
    centred, _, starts, _ = split_windows(waveform[None], tf.constant(RATE), config)
    means = [waveform[start : start + 1000].mean() for start in starts.numpy()]
    windows = np.round(centred[0] + np.array(means)[:, None])
    hop = 1000 * (1 - overlap)
    steps = np.diff(starts)
    assert starts[0] == 0
    assert len(starts) <= 1 + math.ceil((samples - 1000) / hop)
    np.testing.assert_allclose(steps[:-1], hop, atol=1)
    assert (steps <= 1.1 * hop + 1).all()
    missing = np.setdiff1d(waveform, windows)
    assert len(missing) <= 0.1 * hop + 1
    if len(starts) == 1:
        # Only a lone window may leave out the end.
        np.testing.assert_array_equal(missing, waveform[1000:])
    else:
        assert starts[-1] == samples - 1000
        gap = waveform[starts[-2] + 1000 : starts[-1]]
        np.testing.assert_array_equal(missing, gap)
        assert overlap == 0 or not len(gap)


def test_in_a_data_set_windows_are_the_same() -> None:
    def of_config(batch: tf.Tensor, rate: tf.Tensor) -> Windows:
        return split_windows(batch, rate, CONFIG)

    for samples in (0, 700, 2300):
        sounds.eager_and_mapped(of_config, sounds.noise(2 * samples).reshape(2, samples), RATE)


def test_hops_that_are_no_whole_number_of_samples_do_not_drift() -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.6665))
    _, _, starts = cut(sounds.noise(20_000), config)
    expected = np.minimum(np.round(np.arange(len(starts)) * 333.5), 19_000)
    np.testing.assert_array_equal(starts, expected)
    assert starts[-1] == 19_000


def test_a_batch_is_cut_like_its_recordings() -> None:
    batch = sounds.noise(3 * 2300).reshape(3, 2300)
    batch[1] *= np.linspace(0, 1, 2300, dtype=np.float32) ** 8
    windows, audible, starts, _ = split_windows(batch, tf.constant(RATE), CONFIG)
    assert len(np.unique(audible)) == 2
    for number, waveform in enumerate(batch):
        alone = cut(waveform)
        np.testing.assert_array_equal(windows[number], alone[0])
        np.testing.assert_array_equal(audible[number], alone[1])
        np.testing.assert_array_equal(starts, alone[2])


def test_windows_quiet_beside_the_loudest_are_not_audible() -> None:
    levels_db = [-29.0, 0.0, -31.0, -90.0, -math.inf]
    waveform = np.concatenate(
        [10 ** (level / 20) * sounds.tone(100, 1000, RATE) for level in levels_db]
    ).astype(np.float32)
    _, audible, _ = cut(waveform, APART)
    assert audible.tolist() == [True, True, False, False, False]
    # What counts is the level beside the loudest, not the level.
    _, quieter, _ = cut(waveform * np.float32(1e-3), APART)
    assert quieter.tolist() == audible.tolist()


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


def test_an_offset_makes_nothing_audible_or_quiet() -> None:
    waveform = np.concatenate([sounds.tone(100, 1000, RATE), 0.01 * sounds.tone(100, 1000, RATE)])
    for offset in (0.0, 0.3, -0.3):
        shifted = (waveform + offset).astype(np.float32)
        assert cut(shifted, APART)[1].tolist() == [True, False]


def test_seconds_that_an_answer_stands_on() -> None:
    sound, silence = sounds.noise(4000), np.zeros(4000, np.float32)
    for samples, expected in ((0, 0.0), (1, 0.0), (300, 0.3), (1000, 1.0), (2300, 2.3)):
        batch = np.stack([sound[:samples], silence[:samples], silence[:samples] + 0.4])
        windows = split_windows(batch, tf.constant(RATE), CONFIG)
        found = audible_seconds(windows, tf.constant(samples), tf.constant(RATE), CONFIG)
        np.testing.assert_allclose(found, [expected, 0, 0], atol=1e-6)
    half = np.concatenate([sound[:2000], 1e-3 * sound[:2000]])[None]
    windows = split_windows(half, tf.constant(RATE), APART)
    found = audible_seconds(windows, tf.constant(4000), tf.constant(RATE), APART)
    np.testing.assert_allclose(found, [2.0])


def test_the_faintest_sound_of_16_bits_is_no_silence() -> None:
    waveform = np.zeros([1, 1000], np.float32)
    waveform[0, ::100] = 1 / 32768
    windows = split_windows(waveform, tf.constant(RATE), CONFIG)
    assert audible_seconds(windows, tf.constant(1000), tf.constant(RATE), CONFIG) == 1


def test_a_window_of_a_constant_is_silent() -> None:
    for samples in (1, 700, 1000):
        windows, _, _ = cut(np.full(samples, 0.3, np.float32))
        assert not windows.any()


@pytest.mark.parametrize("level", [0.0, 1e-30])
def test_in_silence_every_window_is_audible(level: float) -> None:
    _, audible, _ = cut(np.full(3000, level, np.float32), APART)
    assert audible.tolist() == [True, True, True]


def test_samples_that_are_not_finite_count_as_zero() -> None:
    waveform = sounds.noise(3000)
    waveform[[5, 1500, 2999]] = np.nan, np.inf, -np.inf
    windows, audible, _ = cut(waveform, APART)
    cleaned = np.where(np.isfinite(waveform), waveform, 0).reshape(3, 1000)
    # The last one is zero at the end, where it may have been padded.
    expected = [*map(sounds.centred, cleaned[:2]), np.append(sounds.centred(cleaned[2, :-1]), 0)]
    np.testing.assert_array_equal(windows, expected)
    assert audible.all()


def test_absurdly_loud_samples_are_limited() -> None:
    waveform = np.full(1000, 3e38, np.float32)
    waveform[500:] *= -1
    windows, audible, _ = cut(waveform)
    assert np.isfinite(np.square(windows).sum())
    assert audible.all()
    np.testing.assert_array_equal(np.sign(windows[0]), np.sign(waveform))


@given(
    samples=st.integers(0, 6000),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.95]),
    rate=st.sampled_from([1000, 1001, 1237]),
    block=st.sampled_from([99, 500, 1000, 2500, 6000]),
)
@example(samples=2300, overlap=0.5, rate=1000, block=1)
@settings(max_examples=50, deadline=None)
def test_streamed_windows_are_those_of_the_whole(
    samples: int, overlap: float, rate: int, block: int
) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    waveform = sounds.noise(samples, seed=samples)
    whole = split_windows(tf.constant(waveform[None]), tf.constant(rate), config)
    blocks = np.split(waveform, range(block, samples, block))
    streamed = list(stream_windows(blocks, rate, config))
    assert [window.start for window in streamed] == whole.starts.numpy().tolist()
    raw = np.stack([window.waveform for window in streamed])
    np.testing.assert_array_equal(usable_windows(raw), whole.waveform[0])
    for window in streamed:
        assert window.end == min(window.start + rate, samples)


def test_streaming_keeps_little_and_waits_for_little() -> None:
    """A window comes as soon as it can't be the last: a tenth of a hop after its end."""
    taken = 0

    def blocks() -> Iterator[Floats]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield sounds.noise(50)

    for index, window in enumerate(stream_windows(blocks(), RATE, CONFIG)):
        assert window.waveform.base is None or window.waveform.base.size <= 1600
        if index < 8:
            assert taken * 50 == window.end + 100


def test_streamed_samples_are_as_they_were_read_and_usable_to_the_graph() -> None:
    waveform = sounds.noise(1000)
    waveform[[3, 5, 7]] = np.nan, np.inf, 1e30
    whole = split_windows(tf.constant(waveform[None]), tf.constant(RATE), CONFIG)
    (window,) = stream_windows([waveform], RATE, CONFIG)
    np.testing.assert_array_equal(window.waveform, waveform)
    np.testing.assert_array_equal(usable_windows(window.waveform), whole.waveform[0, 0])


@settings(max_examples=50, deadline=None)
@given(
    samples=st.integers(0, 6000),
    more=st.integers(0, 2000),
    overlap=st.sampled_from([0.0, 0.3, 0.6665]),
)
def test_only_the_last_start_depends_on_what_follows(
    samples: int, more: int, overlap: float
) -> None:
    hop = tf.constant(1000 * (1 - overlap), tf.float64)
    starts = window_starts(tf.constant(samples), 1000, hop).numpy()
    longer = window_starts(tf.constant(samples + more), 1000, hop).numpy()
    last = len(starts) - 1
    np.testing.assert_array_equal(longer[:last], starts[:last])
    rest = window_starts(tf.constant(samples + more), 1000, hop, first=last).numpy()
    np.testing.assert_array_equal(rest, longer[last:])


def test_starts_of_a_recording_of_days_and_inside_a_data_set() -> None:
    hop = tf.constant(500.0, tf.float64)
    first = 2**40 // 500 - 5
    starts = window_starts(tf.constant(2**40, tf.int64), 1000, hop, first=first).numpy()
    assert starts[0] == 500 * first and starts[-1] == 2**40 - 1000
    lengths = [0, 999, 1051, 2300]
    dataset = tf.data.Dataset.from_tensor_slices(lengths)
    mapped = dataset.map(lambda length: window_starts(length, 1000, hop))
    for length, found in zip(lengths, mapped, strict=True):
        np.testing.assert_array_equal(found, window_starts(tf.constant(length), 1000, hop))


def test_power_is_the_mean_of_the_squares() -> None:
    windows = np.stack([sounds.noise(88200, seed=1), np.zeros(88200, np.float32)])
    power = sounds.eager_and_mapped(mean_power, windows)
    np.testing.assert_array_equal(
        power,
        np.square(windows, dtype=np.float64).mean(axis=1, dtype=np.float64).astype(np.float32),
    )
