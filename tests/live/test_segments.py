"""Segments and windows: where they lie, what they hold, and that blocks don't matter."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.errors import UserError
from sound_pipeline.live.gate import FrameState
from sound_pipeline.live.segments import Item, Quiet, SegmentConfig, SegmentEnd, Segmenter, Window

Samples = npt.NDArray[np.float32]
RATE = 1000
FRAME = 10
RATES = (1000, 8000, 11_025, 22_050, 44_100)


class LoudGate:
    """Active frames are those whose samples are 0.5 or more on average, half that in an event."""

    def __init__(self, sample_rate_hz: int = RATE) -> None:
        self.frame = round(0.01 * sample_rate_hz)
        self.pending = np.zeros(0, np.float32)
        self.heard = 0
        self.is_open = False
        self.holds: list[tuple[int, bool]] = []

    def feed(self, samples: Samples) -> list[FrameState]:
        self.pending = np.concatenate((self.pending, samples))
        states = []
        while len(self.pending) >= self.frame:
            level = float(np.abs(self.pending[: self.frame]).mean())
            self.pending = self.pending[self.frame :]
            self.heard += self.frame
            states.append(FrameState(level >= (0.25 if self.is_open else 0.5), level, 0.0))
        return states

    def hold(self, is_open: bool) -> None:
        self.is_open = is_open
        self.holds.append((self.heard, is_open))


class Run(NamedTuple):
    windows: list[Window]
    ends: list[SegmentEnd]
    quiet: list[int]


def sorted_out(items: Sequence[Item]) -> Run:
    return Run(
        [item for item in items if isinstance(item, Window)],
        [item for item in items if isinstance(item, SegmentEnd)],
        [item.until for item in items if isinstance(item, Quiet)],
    )


def sound(*parts: tuple[float, float]) -> Samples:
    """(seconds, level) after one another at RATE; every sample can be told from the others."""
    levels = np.concatenate([np.full(round(seconds * RATE), level) for seconds, level in parts])
    return (levels + np.arange(len(levels)) * 1e-6).astype(np.float32)


def segmenter_of(
    config: SegmentConfig | None = None, rate: int = RATE, window_seconds: float = 4.0
) -> Segmenter:
    return Segmenter(config or SegmentConfig(), LoudGate(rate), rate, window_seconds)


def run(stream: Samples, config: SegmentConfig | None = None, window_seconds: float = 4.0) -> Run:
    segmenter = segmenter_of(config, window_seconds=window_seconds)
    return sorted_out(segmenter.feed(stream) + segmenter.finish())


def plain(items: Sequence[Item]) -> list[tuple[object, ...]]:
    """Items as values that compare."""
    return [
        tuple(
            value.tobytes() if isinstance(value, np.ndarray) else value
            for value in (getattr(item, field.name) for field in dataclasses.fields(item))
        )
        for item in items
    ]


def test_a_short_sound() -> None:
    stream = sound((2.0, 0.0), (0.4, 0.9), (3.0, 0.0))
    windows, ends, _ = run(stream)
    # Pre-roll of 0.3 s; windows at 0.5 and 1.0 s after the start, and the whole at the close.
    spans = [(window.start, window.end) for window in windows]
    assert spans == [(1700, 2200), (1700, 2700), (1700, 2900)]
    assert {window.onset for window in windows} == {2000}
    assert [window.active_until for window in windows] == [2200, 2400, 2400]
    assert [window.is_whole for window in windows] == [False, False, True]
    assert ends == [SegmentEnd(0, 2900, 2400)]


def test_windows_hold_the_stream() -> None:
    stream = sound((1.0, 0.0), (9.0, 0.9), (2.0, 0.0), (1.0, 0.9), (1.0, 0.0))
    windows, ends, _ = run(stream)
    assert [window.segment for window in windows][-1] == 1 == len(ends) - 1
    for window in windows:
        np.testing.assert_array_equal(window.samples, stream[window.start : window.end])
        assert window.samples.dtype == np.float32
        assert window.samples.base is None


def test_a_window_is_never_longer_than_the_models() -> None:
    windows, _, _ = run(sound((1.0, 0.0), (9.0, 0.9), (2.0, 0.0)))
    lengths = [window.end - window.start for window in windows]
    assert lengths[:9] == [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4000]
    assert max(lengths) == 4000


@pytest.mark.parametrize("preroll", [0.0, 0.1, 0.3, 0.44, 0.45, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("hop", [0.05, 0.3, 0.5, 2.0])
def test_the_first_label_comes_within_a_hop_of_the_trigger(preroll: float, hop: float) -> None:
    config = SegmentConfig(preroll_seconds=preroll, hop_seconds=hop)
    windows, _, _ = run(sound((3.0, 0.0), (9.0, 0.9)), config)
    trigger = 3000 + 50
    assert windows[0].start == 3000 - preroll * RATE
    assert trigger < windows[0].end <= trigger + hop * RATE
    assert {(window.end - windows[0].start) % round(hop * RATE) for window in windows[:-1]} == {0}


def test_a_short_hop_is_kept() -> None:
    for rate in RATES:
        segmenter = segmenter_of(SegmentConfig(hop_seconds=0.05), rate)
        windows, _, _ = sorted_out(segmenter.feed(np.ones(10 * rate, np.float32)))
        # None at 0.05 s: the segment has only just opened.
        assert len(windows) == 199


def test_windows_keep_to_the_hop_at_rates_whose_frames_are_not_10_ms() -> None:
    # A frame at 22,050 Hz is 220 samples, 9.98 ms: adding up rounded hops would drift.
    rate = 22_050
    segmenter = Segmenter(SegmentConfig(), LoudGate(rate), rate, 4.0)
    windows, _, _ = sorted_out(segmenter.feed(np.ones(60 * rate, np.float32)))
    assert len(windows) == 119
    for count, window in enumerate(windows, start=1):
        assert abs(window.end - count * 0.5 * rate) <= 110


@pytest.mark.parametrize(
    ("active", "lengths"),
    [
        (0.1, [700]),  # no window before the close: there is one all the same
        (1.4, [2000]),  # the close is where a window is due
        (1.7, [2000, 2300]),  # all sound was heard at 2 s, but not that it is over
        (3.4, [2000, 4000]),  # fits into the model's window to the sample
        (3.41, [2000, 4000]),  # doesn't; all sound was heard at 4 s, but 0.01 s when it closes
        (5.7, [2000, 4000, 4000]),  # all sound was heard at 6 s
        (5.79, [2000, 4000, 4000]),  # but 0.09 s
        (5.8, [2000, 4000, 4000, 4000]),  # but 0.1 s
    ],
)
def test_a_last_window_only_where_it_tells_something(active: float, lengths: list[int]) -> None:
    config = SegmentConfig(hop_seconds=2.0, hang_seconds=0.3)
    windows, ends, _ = run(sound((1.0, 0.0), (active, 0.9), (1.0, 0.0)), config)
    assert [len(window.samples) for window in windows] == lengths
    assert [window.is_whole for window in windows][:-1] == [False] * (len(windows) - 1)
    assert windows[-1].is_whole == (active <= 3.4)
    assert len(ends) == 1


def test_the_hang_over_bridges_pauses() -> None:
    stream = sound((1.0, 0.0), (0.3, 0.9), (0.49, 0.0), (0.3, 0.9), (0.5, 0.0), (1.0, 0.0))
    _, ends, _ = run(stream)
    assert ends == [SegmentEnd(0, 2590, 2090)]
    stream = sound((1.0, 0.0), (0.3, 0.9), (0.51, 0.0), (0.3, 0.9), (0.5, 0.0), (1.0, 0.0))
    _, ends, _ = run(stream)
    assert [end.active_until for end in ends] == [1300, 2110]


def test_clicks_shorter_than_the_trigger_open_nothing() -> None:
    click = [(0.04, 0.9), (0.02, 0.0)]
    windows, ends, quiet = run(sound((1.0, 0.0), *click * 20, (1.0, 0.0)))
    assert not windows and not ends and quiet
    assert run(sound((1.0, 0.0), (0.05, 0.9), (1.0, 0.0))).ends[0].active_until == 1050


def test_preroll_stops_at_the_previous_segment_and_at_the_streams_start() -> None:
    config = SegmentConfig(preroll_seconds=2.0)
    windows, ends, _ = run(sound((0.4, 0.0), (0.5, 0.9), (1.0, 0.0), (0.5, 0.9)), config)
    assert [end.end for end in ends] == [1400, 2400]
    starts = {window.segment: window.start for window in windows}
    assert starts == {0: 0, 1: 1400}
    assert next(window.onset for window in windows if window.segment == 1) == 1900


def test_preroll_is_a_minute_at_the_most() -> None:
    assert SegmentConfig(preroll_seconds=60).preroll_seconds == 60
    assert SegmentConfig(preroll_seconds=0).preroll_seconds == 0
    for seconds in (60.1, -0.1):
        with pytest.raises(UserError, match=f"--preroll_seconds={seconds}: give a time from 0 to"):
            SegmentConfig(preroll_seconds=seconds)


def test_the_end_of_the_stream_closes() -> None:
    stream = sound((1.0, 0.0), (0.823, 0.9))
    windows, ends, _ = run(stream)
    assert ends == [SegmentEnd(0, 1823, 1823)]
    assert windows[-1].end == 1823
    np.testing.assert_array_equal(windows[-1].samples, stream[700:])
    assert run(sound((1.0, 0.0), (0.5, 0.9), (0.123, 0.0))).ends == [SegmentEnd(0, 1623, 1500)]


def test_every_segment_has_a_window() -> None:
    config = SegmentConfig(trigger_frames=1, hang_seconds=0.01, preroll_seconds=0.0)
    windows, ends, _ = run(sound((0.01, 0.9), (0.1, 0.0)), config)
    assert [(window.start, window.end) for window in windows] == [(0, 20)]
    assert ends == [SegmentEnd(0, 20, 10)]


def test_nothing_in_nothing() -> None:
    segmenter = segmenter_of()
    assert segmenter.feed(np.zeros(0, np.float32)) == []
    assert segmenter.finish() == []
    assert segmenter.state is None
    with pytest.raises(ValueError, match="shape"):
        segmenter.feed(np.zeros((2, 2), np.float32))


def test_the_gate_is_told_at_once() -> None:
    gate = LoudGate()
    segmenter = Segmenter(SegmentConfig(), gate, RATE, 4.0)
    segmenter.feed(sound((1.0, 0.0), (0.5, 0.9), (1.0, 0.0), (0.5, 0.9)))
    assert segmenter.is_open
    segmenter.finish()
    assert not segmenter.is_open
    assert gate.holds == [(1050, True), (2000, False), (2550, True), (3000, False)]
    assert segmenter.state is not None and segmenter.state.is_active


def test_quiet_is_said_ten_times_a_second_and_holds() -> None:
    stream = sound((1.0, 0.0), (0.5, 0.9), (1.0, 0.0), (0.04, 0.9), (0.5, 0.0), (0.2, 0.9))
    segmenter = segmenter_of()
    items = segmenter.feed(stream)
    quiet = sorted_out(items).quiet
    # In the segment from 1.0 to 2.0 s nothing is; then again from its end on. Sound of 0.04 s
    # is under way at 2.54 s.
    assert quiet == [*range(100, 1001, 100), *range(2100, 3001, 100)]
    segmenter = segmenter_of()
    quiet = sorted_out(segmenter.feed(sound((0.17, 0.0), (0.03, 0.9), (0.2, 0.0)))).quiet
    assert quiet == [100, 170, 300, 400]
    for index, item in enumerate(items):
        if isinstance(item, Quiet):
            later = [other.onset for other in items[index:] if isinstance(other, Window)]
            assert all(onset >= item.until for onset in later)


def test_lost_samples_end_a_segment_and_move_positions() -> None:
    segmenter = segmenter_of()
    items = segmenter.feed(sound((1.0, 0.0), (0.703, 0.9)))
    items += segmenter.skip(5000)
    assert not segmenter.is_open
    items += segmenter.skip(0)
    items += segmenter.feed(sound((0.6, 0.9), (1.0, 0.0)))
    windows, ends, _ = sorted_out(items)
    assert [(end.end, end.active_until) for end in ends] == [(1703, 1703), (7803, 7303)]
    second = [window for window in windows if window.segment == 1]
    assert (second[0].start, second[0].onset) == (6703, 6703)
    for window in second:
        np.testing.assert_array_equal(
            window.samples,
            sound((0.6, 0.9), (1.0, 0.0))[window.start - 6703 : window.end - 6703],
        )
    with pytest.raises(ValueError, match="-1"):
        segmenter.skip(-1)


def test_a_trigger_is_not_joined_over_lost_samples() -> None:
    segmenter = segmenter_of()
    items = segmenter.feed(sound((0.5, 0.0), (0.04, 0.9)))
    items += segmenter.skip(100)
    items += segmenter.feed(sound((0.04, 0.9), (0.3, 0.0)))
    assert items == [Quiet(until) for until in (100, 200, 300, 400, 500, 740, 840, 940)]
    assert not segmenter.finish()


class OpenGate:
    """Every frame is active."""

    def feed(self, samples: Samples) -> list[FrameState]:
        return [FrameState(True, 0.0, 0.0)]

    def hold(self, is_open: bool) -> None:
        pass


@pytest.mark.slow
def test_an_hour_takes_no_more_memory_than_a_window() -> None:
    segmenter = Segmenter(SegmentConfig(), OpenGate(), RATE, 4.0)
    block = np.ones(10 * RATE, np.float32)
    windows = sum(len(segmenter.feed(block)) for _ in range(360))
    assert windows == 7200
    assert buffered(segmenter) <= 4 * RATE + FRAME
    tracemalloc.start()
    for _ in range(6):
        segmenter.feed(block)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bytes_a_second = 4 * RATE
    assert kept < bytes_a_second
    # A copy of the block, and twice the 20 windows that a block completes.
    assert peak < (10 + 2 * 20 * 4 + 10) * bytes_a_second


def buffered(segmenter: Segmenter) -> int:
    """Samples kept in a segmenter's arrays."""
    arrays = [*vars(segmenter).values(), *vars(segmenter._history).values()]
    return sum(value.size for value in arrays if isinstance(value, np.ndarray))


parts = st.lists(
    st.tuples(st.floats(0.0, 1.5), st.sampled_from([0.0, 0.3, 0.9])), min_size=1, max_size=12
)
configs = st.builds(
    SegmentConfig,
    trigger_frames=st.integers(1, 12),
    hang_seconds=st.sampled_from([0.01, 0.1, 0.5, 0.503]),
    preroll_seconds=st.sampled_from([0.0, 0.014, 0.3, 3.0]),
    hop_seconds=st.sampled_from([0.05, 0.137, 0.5, 1.0]),
)


def stream_of(parts: list[tuple[float, float]], rate: int) -> Samples:
    levels = [np.full(round(seconds * rate), level, np.float32) for seconds, level in parts]
    stream = np.concatenate(levels)
    return stream + np.linspace(0, 0.01, len(stream), dtype=np.float32)


def cut(stream: Samples, at: Sequence[int]) -> list[Samples]:
    return np.split(stream, sorted(place % (len(stream) + 1) for place in at))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    parts,
    configs,
    st.sampled_from(RATES),
    st.sampled_from([1.0, 1.003, 4.0]),
    st.lists(st.integers(0, 10**7), max_size=30),
)
def test_blocks_do_not_matter(
    parts: list[tuple[float, float]],
    config: SegmentConfig,
    rate: int,
    window_seconds: float,
    cuts: list[int],
) -> None:
    stream = stream_of(parts, rate)
    whole = segmenter_of(config, rate, window_seconds)
    expected = whole.feed(stream) + whole.finish()
    pieces = segmenter_of(config, rate, window_seconds)
    items = [item for block in cut(stream, cuts) for item in pieces.feed(block)]
    assert plain(items + pieces.finish()) == plain(expected)


@settings(max_examples=20, deadline=None)
@given(parts, configs, st.integers(1, 25))
def test_blocks_of_a_few_samples(
    parts: list[tuple[float, float]], config: SegmentConfig, size: int
) -> None:
    stream = stream_of(parts, RATE)
    whole = segmenter_of(config)
    expected = whole.feed(stream) + whole.finish()
    pieces = segmenter_of(config)
    items: list[Item] = []
    for start in range(0, len(stream), size):
        items += pieces.feed(stream[start : start + size])
    assert plain(items + pieces.finish()) == plain(expected)


@settings(max_examples=150, deadline=None)
@given(parts, configs, st.sampled_from(RATES), st.sampled_from([1.0, 4.0]))
def test_segments_are_where_a_search_over_all_frames_finds_them(
    parts: list[tuple[float, float]], config: SegmentConfig, rate: int, window_seconds: float
) -> None:
    stream = stream_of(parts, rate)
    segmenter = segmenter_of(config, rate, window_seconds)
    windows, ends, _ = sorted_out(segmenter.feed(stream) + segmenter.finish())
    expected = find_segments(stream, config, rate)
    assert [(end.end, end.active_until) for end in ends] == [one[2:] for one in expected]
    for index, (start, onset, end, _) in enumerate(expected):
        own = [window for window in windows if window.segment == index]
        assert own
        assert {window.onset for window in own} == {onset}
        assert own[0].start == max(start, own[0].end - round(window_seconds * rate))
        for window in own:
            assert window.start == max(start, window.end - round(window_seconds * rate))
            assert onset < window.active_until <= window.end <= end
            np.testing.assert_array_equal(window.samples, stream[window.start : window.end])
        steps = np.diff([start] + [window.end for window in own])
        # The whole segment may end where a window was just due.
        assert (steps[:-1] > 0).all() and steps[-1] >= (not own[-1].is_whole)
        assert [window.is_whole for window in own[:-1]] == [False] * (len(own) - 1)
        assert own[-1].is_whole == (end - start <= round(window_seconds * rate))
        missed = ends[index].active_until - own[-1].end
        assert missed < max(0.1 * rate, 1)


def find_segments(
    stream: Samples, config: SegmentConfig, rate: int
) -> list[tuple[int, int, int, int]]:
    """(start, onset, end, active until) of all segments, knowing the whole stream."""
    frame = round(0.01 * rate)
    levels = np.abs(stream[: len(stream) // frame * frame]).reshape(-1, frame).mean(axis=1)
    found = []
    at = earliest = 0
    while at + config.trigger_frames <= len(levels):
        if not (levels[at : at + config.trigger_frames] >= 0.5).all():
            at += 1
            continue
        active = np.flatnonzero(levels[at:] >= 0.25) + at
        gaps = np.diff(np.append(active, len(levels))) - 1
        triggered = active >= at + config.trigger_frames - 1
        closing = triggered & (gaps * frame >= round(config.hang_seconds * rate))
        preroll = round(config.preroll_seconds * rate / frame)
        start = max(earliest, at - preroll)
        if not closing.any():
            last = len(stream) if active[-1] + 1 == len(levels) else (active[-1] + 1) * frame
            found.append((start * frame, at * frame, len(stream), int(last)))
            break
        last = active[closing.argmax()] + 1
        hang = -(-round(config.hang_seconds * rate) // frame)
        found.append((start * frame, at * frame, int(last + hang) * frame, int(last) * frame))
        at = earliest = int(last) + hang
    return found


@pytest.mark.parametrize(
    ("make", "flag"),
    [
        (lambda: SegmentConfig(trigger_frames=0), "--trigger_frames=0:"),
        (lambda: SegmentConfig(hang_seconds=0.0), "--hang_seconds=0:"),
        (lambda: SegmentConfig(preroll_seconds=-0.1), "--preroll_seconds=-0.1:"),
        (lambda: SegmentConfig(hop_seconds=0.01), "--hop_seconds=0.01:"),
        (lambda: SegmentConfig(hop_seconds=float("nan")), "--hop_seconds=nan:"),
        (lambda: segmenter_of(SegmentConfig(hop_seconds=5.0)), "--hop_seconds=5: .* at most 4$"),
    ],
)
def test_values_out_of_range_name_their_flag(make: Callable[[], object], flag: str) -> None:
    with pytest.raises(UserError, match=f"^{flag}"):
        make()
