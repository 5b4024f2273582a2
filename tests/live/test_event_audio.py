"""Sound that is kept until its events are known."""

from __future__ import annotations

import hypothesis
import numpy as np
from hypothesis import strategies as st

from sound_pipeline.live.event_audio import LONGEST_SECONDS, EventAudio


def ramp(start: int, end: int) -> np.ndarray:
    """Samples that say where they are; exact in float32."""
    return np.arange(start, end, dtype=np.float32)


@hypothesis.given(
    st.lists(st.integers(0, 40), min_size=1, max_size=60),
    st.integers(0, 400),
    st.integers(1, 150),
)
def test_recent_sound_is_whole_however_it_was_cut(
    blocks: list[int], back: int, length: int
) -> None:
    audio = EventAudio(10, history_seconds=20, longest_seconds=30)
    position = 0
    for block in blocks:
        audio.add(position, ramp(position, position + block))
        position += block
    start = max(0, position - min(back, 200))
    end = min(start + length, position)
    np.testing.assert_array_equal(audio.cut(start, end), ramp(start, end))


def test_lost_samples_are_silence() -> None:
    audio = EventAudio(10)
    audio.add(0, ramp(0, 20))
    audio.add(25, ramp(25, 40))
    expected = ramp(10, 30)
    expected[10:15] = 0
    np.testing.assert_array_equal(audio.cut(10, 30), expected)


def test_the_first_minute_of_an_event_is_kept_however_long_it_goes_on() -> None:
    assert LONGEST_SECONDS == 60
    audio = EventAudio(10)
    most = 0
    for start in range(0, 36_000, 5):
        audio.add(start, ramp(start, start + 5))
        if start >= 500:
            audio.mark(333)
        most = max(most, audio.held_samples)
    np.testing.assert_array_equal(audio.cut(333, 36_000), ramp(333, 933))
    assert most <= 600 + 300 + 10


def test_several_events_are_kept_until_they_are_long_over() -> None:
    audio = EventAudio(10, history_seconds=30, longest_seconds=10)
    for start in range(0, 1000, 5):
        audio.add(start, ramp(start, start + 5))
        if 20 <= start < 200:
            audio.mark(10)
        if 210 <= start < 600:
            audio.mark(205)
        if start == 450:  # the first was marked last at 200, and stays for 300 samples
            np.testing.assert_array_equal(audio.cut(10, 110), ramp(10, 110))
        if start == 550:
            assert audio.cut(10, 110) is None
        if start == 850:
            np.testing.assert_array_equal(audio.cut(205, 400), ramp(205, 305))
    assert audio.cut(205, 305) is None
    assert audio.held_samples == 300


def test_sound_is_kept_until_it_is_answered() -> None:
    """As while a model is still loading."""
    audio = EventAudio(10, history_seconds=30, most_seconds=200)
    for start in range(0, 1800, 5):
        audio.answered(400)
        audio.add(start, ramp(start, start + 5))
    found = audio.cut(400, 900)
    assert found is not None
    np.testing.assert_array_equal(found, ramp(400, 900))
    for start in range(1800, 3000, 5):
        audio.add(start, ramp(start, start + 5))
    # More than is held for anybody: it says so, and makes nothing up.
    assert audio.cut(400, 900) is None and audio.held_samples == 2000
    audio.answered(3000)
    audio.add(3000, ramp(3000, 3005))
    assert audio.held_samples <= 305


def test_silence_is_not_kept() -> None:
    audio = EventAudio(10)
    for start in range(0, 5000, 5):
        audio.add(start, ramp(start, start + 5))
    assert audio.held_samples == 300
    assert len(audio.cut(10, 5)) == 0
