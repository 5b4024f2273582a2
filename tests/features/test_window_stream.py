"""Windows cut from blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.levels import usable_windows
from sound_pipeline.features.window_stream import WindowStream
from sound_pipeline.features.windows import split_windows
from tests.helpers import sounds

RATE = 1000
CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=0.5))

Floats = sounds.Floats


@given(
    samples=st.integers(0, 6000),
    silence=st.sampled_from([0, 1, 700, 4000]),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.95]),
    rate=st.sampled_from([1000, 1001, 1237]),
    block=st.sampled_from([99, 500, 1000, 2500, 6000]),
)
@example(samples=2300, silence=0, overlap=0.5, rate=1000, block=1)
@settings(max_examples=50, deadline=None)
def test_streamed_windows_are_those_of_the_whole(
    samples: int, silence: int, overlap: float, rate: int, block: int
) -> None:
    """With silence in the middle, at the end, and of the length of blocks."""
    config = FeatureConfig(windows=WindowConfig(seconds=1.0, overlap=overlap))
    sound = sounds.noise(samples, seed=samples)
    waveform = np.concatenate(
        [sound[: samples // 2], np.zeros(silence, np.float32), sound[samples // 2 :]]
    )
    waveform = np.append(waveform, np.zeros(silence, np.float32))
    whole = split_windows(tf.constant(waveform[None]), tf.constant(rate), config)
    stream = WindowStream(np.split(waveform, range(block, len(waveform), block)), rate, config)
    streamed = list(stream)
    assert stream.samples == len(waveform)
    assert [window.start for window in streamed] == whole.starts[0].numpy().tolist()
    raw = np.stack([window.waveform for window in streamed])
    np.testing.assert_array_equal(usable_windows(raw), whole.waveform[0])
    for window in streamed:
        assert window.end == min(window.start + rate, int(whole.samples[0]))


def test_streaming_keeps_little_and_waits_for_nothing() -> None:
    taken = 0

    def blocks() -> Iterator[Floats]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield sounds.noise(50)

    for index, window in enumerate(WindowStream(blocks(), RATE, CONFIG)):
        assert window.waveform.base is None or window.waveform.base.size <= 1600
        assert index > 8 or taken * 50 == window.end


def test_an_hour_of_silence_takes_no_memory_and_is_cut_if_sound_follows() -> None:
    def blocks() -> Iterator[Floats]:
        yield sounds.noise(1000)
        for _ in range(100):
            yield np.zeros(20_000, np.float32)
        yield sounds.noise(1000)

    count = 0
    for window in WindowStream(blocks(), RATE, CONFIG):
        count += 1
        assert window.waveform.base is None or window.waveform.base.size <= 100_000
    assert count == 1 + 2_001_000 // 500


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_no_sound(bad: float) -> None:
    waveform = np.append(sounds.noise(1000), np.full(700, bad, np.float32))
    (window,) = WindowStream([waveform], RATE, CONFIG)
    np.testing.assert_array_equal(window.waveform, waveform[:1000])


def test_streamed_samples_are_as_they_were_read_and_usable_to_the_graph() -> None:
    waveform = sounds.noise(1000)
    waveform[[3, 5, 7]] = np.nan, np.inf, 1e30
    whole = split_windows(tf.constant(waveform[None]), tf.constant(RATE), CONFIG)
    (window,) = WindowStream([waveform], RATE, CONFIG)
    np.testing.assert_array_equal(window.waveform, waveform)
    np.testing.assert_array_equal(usable_windows(window.waveform), whole.waveform[0, 0])
