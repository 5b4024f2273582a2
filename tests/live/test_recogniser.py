"""From samples to events: blocks don't matter, one bark is one event, slow models are no harm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.events.event import Event
from sound_pipeline.events.min_scores import MinScores
from sound_pipeline.live.gate import FrameState, GateConfig, make_gate
from sound_pipeline.live.recogniser import Recogniser, WindowClassifier
from sound_pipeline.live.segments import Item, SegmentConfig, Window
from sound_pipeline.live.tracking import EventConfig

Samples = npt.NDArray[np.float32]
RATE = 2000
LABELS = ("low", "high", "noise")
PITCHES_HZ = {"low": 100.0, "high": 400.0}
RATES = (1600, 2000, 11_025)


class PeakGate:
    """Frames are active that reach 0.1."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.frame = round(0.01 * sample_rate_hz)
        self.pending = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> list[FrameState]:
        self.pending = np.concatenate((self.pending, samples))
        whole = len(self.pending) // self.frame * self.frame
        frames = self.pending[:whole].reshape(-1, self.frame)
        self.pending = self.pending[whole:]
        return [FrameState(bool(np.abs(frame).max() >= 0.1), 0.0, 0.0) for frame in frames]

    def hold(self, is_open: bool) -> None:
        pass


def classify(samples: Samples, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """What a window is, by the share of its sound that each of the pitches has."""
    times = np.arange(len(samples)) / sample_rate_hz
    frame = sample_rate_hz // 20
    powers = []
    for pitch_hz in PITCHES_HZ.values():
        turned = samples * np.exp(-2j * np.pi * pitch_hz * times)
        turned = turned[: len(turned) // frame * frame].reshape(-1, frame)
        powers.append(float((np.abs(turned.mean(axis=1)) > 0.05).sum()))
    scores = np.array([*powers, 0.02 * len(samples) / frame]) + 1e-9
    return (scores / scores.sum()).astype(np.float32)


def tone(label: str, seconds: float, sample_rate_hz: int = RATE) -> Samples:
    """A tone, or silence for a label that has no pitch."""
    times = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    amplitude = 0.5 if label in PITCHES_HZ else 0.0
    tone = amplitude * np.sin(2 * np.pi * PITCHES_HZ.get(label, 0.0) * times)
    return tone.astype(np.float32)


def stream_of(parts: Sequence[tuple[str, float]], sample_rate_hz: int = RATE) -> Samples:
    return np.concatenate([tone(label, seconds, sample_rate_hz) for label, seconds in parts])


MODEL = WindowClassifier(classify, LABELS, 4.0)


def recogniser_of(
    sample_rate_hz: int = RATE,
    segments: SegmentConfig | None = None,
    events: EventConfig | None = None,
) -> Recogniser:
    gate = PeakGate(sample_rate_hz)
    return Recogniser(MODEL, gate, sample_rate_hz, segments, events)


def recognise(parts: Sequence[tuple[str, float]]) -> list[Event]:
    recogniser = recogniser_of()
    return recogniser.feed(stream_of(parts)) + recogniser.finish()


def test_one_bark_is_one_event() -> None:
    (event,) = recognise([("", 2.0), ("low", 0.35), ("", 3.0)])
    assert event.label == "low" and event.score > 0.9
    assert event.start_seconds == pytest.approx(2.0, abs=0.011)
    assert event.end_seconds == pytest.approx(2.35, abs=0.011)


def test_a_row_of_barks_is_one_event() -> None:
    (event,) = recognise([("", 2.0), *[("low", 0.35), ("", 0.8)] * 20, ("", 3.0)])
    assert event.start_seconds == pytest.approx(2.0, abs=0.011)
    assert event.end_seconds == pytest.approx(2.0 + 20 * 1.15 - 0.8, abs=0.011)
    assert len(recognise([("", 2.0), *[("low", 0.35), ("", 1.6)] * 20])) == 20


def test_barks_and_a_bell() -> None:
    events = recognise([("", 1.0), ("low", 0.4), ("", 0.7), ("high", 0.4), ("", 0.7), ("low", 0.4)])
    assert [event.label for event in events] == ["low", "high", "low"]


@pytest.mark.parametrize("first", [4.0, 6.0, 10.0])
def test_a_change_of_sound_is_found_within_a_second(first: float) -> None:
    low, high = recognise([("", 1.0), ("low", first), ("high", 8.0), ("", 1.0)])
    assert (low.label, high.label) == ("low", "high")
    assert low.end_seconds == high.start_seconds
    assert high.start_seconds == pytest.approx(1.0 + first, abs=1.0)


def test_an_event_is_told_while_the_silence_lasts() -> None:
    recogniser = recogniser_of()
    assert not recogniser.feed(stream_of([("", 1.0), ("low", 0.5)]))
    current = recogniser.tracker.current
    assert current is not None and current.label == "low"
    assert not recogniser.feed(stream_of([("", 0.9)]))
    assert recogniser.tracker.current is None
    assert len(recogniser.feed(stream_of([("", 0.2)]))) == 1
    assert not recogniser.finish()


def test_lost_samples_move_events() -> None:
    recogniser = recogniser_of()
    events = recogniser.feed(stream_of([("", 1.0), ("low", 0.5)]))
    events += recogniser.skip(10 * RATE)
    events += recogniser.feed(stream_of([("low", 0.5), ("", 2.0)]))
    assert [(event.start_seconds, event.end_seconds) for event in events + recogniser.finish()] == [
        (pytest.approx(1.0, abs=0.011), 1.5),
        (11.5, pytest.approx(12.0, abs=0.011)),
    ]


def run_slowly(parts: Sequence[tuple[str, float]], windows_at_once: int) -> list[Event]:
    """A model so slow that several windows wait when it is ready for the next."""
    recogniser = recogniser_of()
    items: list[Item] = recogniser.segmenter.feed(stream_of(parts))
    items += recogniser.segmenter.finish()
    events: list[Event] = []
    waiting: list[Item] = []
    for item, following in pairwise([*items, None]):
        assert item is not None
        waiting.append(item)
        newest = [one for one in waiting if isinstance(one, Window)]
        if len(newest) < windows_at_once and isinstance(following, Window):
            continue
        for one in waiting:
            if not isinstance(one, Window) or one is newest[-1]:
                events += recogniser.handle(one)
        waiting = []
    return events + recogniser.tracker.finish()


@pytest.mark.parametrize("windows_at_once", [1, 2, 3, 6])
def test_a_slow_model_finds_the_same_sounds(windows_at_once: int) -> None:
    parts = [("", 2.0), ("low", 0.4), ("", 2.0), ("low", 9.0), ("high", 9.0), ("", 3.0)]
    bark, low, high = run_slowly(parts, windows_at_once)
    assert [bark.label, low.label, high.label] == ["low", "low", "high"]
    assert bark.start_seconds == pytest.approx(2.0, abs=0.011)
    assert bark.end_seconds == pytest.approx(2.4, abs=0.011)
    assert low.end_seconds == high.start_seconds
    assert high.start_seconds == pytest.approx(13.4, abs=0.5 + windows_at_once * 0.5)
    assert high.end_seconds == pytest.approx(22.4, abs=0.011)


def test_its_configurations_are_used() -> None:
    events = EventConfig(MinScores(1.0), report_unknown=True)
    recogniser = recogniser_of(events=events)
    (event,) = recogniser.feed(stream_of([("", 1.0), ("low", 1.0), ("", 3.0)]))
    assert event.label == "unknown"
    recogniser = recogniser_of(segments=SegmentConfig(trigger_frames=50))
    assert not recogniser.feed(stream_of([("", 1.0), ("low", 0.4), ("", 3.0)]))


parts = st.lists(
    st.tuples(st.sampled_from(["", "", "low", "high"]), st.floats(0.01, 4.0)),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(parts, st.sampled_from(RATES), st.lists(st.integers(0, 10**6), max_size=30), st.booleans())
def test_blocks_do_not_matter(
    parts: list[tuple[str, float]], rate: int, cuts: list[int], ones: bool
) -> None:
    stream = stream_of(parts, rate)
    whole = recogniser_of(rate)
    expected = whole.feed(stream) + whole.finish()
    places = sorted(place % (len(stream) + 1) for place in cuts)
    blocks = np.split(stream, places)
    if ones:  # the first block's samples one by one
        blocks = [*np.split(blocks[0], len(blocks[0]) or 1), *blocks[1:]]
    pieces = recogniser_of(rate)
    events = [event for block in blocks for event in pieces.feed(block)]
    assert events + pieces.finish() == expected


def room_of(parts: Sequence[tuple[str, float]], sample_rate_hz: int) -> Samples:
    """The same in a room that is never quite silent."""
    stream = stream_of(parts, sample_rate_hz)
    noise = np.random.default_rng(0).normal(0, 0.002, len(stream))
    return stream + noise.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["auto", "energy"])
@pytest.mark.parametrize("rate", [8000, 11_025, 44_100])
def test_with_the_gate_of_the_program(kind: str, rate: int) -> None:
    parts = [("", 2.0), ("low", 0.4), ("", 0.7), ("low", 0.4), ("", 2.0), ("high", 3.0), ("", 3.0)]
    stream = room_of(parts, rate)

    def recogniser_of_gate() -> Recogniser:
        gate = make_gate(GateConfig(kind=kind), rate)
        return Recogniser(MODEL, gate, rate)

    whole = recogniser_of_gate()
    events = whole.feed(stream) + whole.finish()
    assert [event.label for event in events] == ["low", "high"]
    for event, start, end in zip(events, (2.0, 5.5), (3.5, 8.5), strict=True):
        # The gate lingers for 40 ms, webrtcvad for longer.
        assert event.start_seconds == pytest.approx(start, abs=0.05)
        assert event.end_seconds == pytest.approx(end, abs=0.15)
    pieces = recogniser_of_gate()
    again: list[Event] = []
    random = np.random.default_rng(1)
    while len(stream):
        block, stream = np.split(stream, [int(random.integers(1, random.choice([3, 5000, rate])))])
        again += pieces.feed(block)
    assert again + pieces.finish() == events


def test_a_sound_is_mirrored_and_the_whole_of_it_decides() -> None:
    """The last window, which holds all of the sound, outvotes all before."""
    asked: list[np.ndarray] = []

    def classify(samples: np.ndarray, rate: int) -> np.ndarray:
        asked.append(samples)
        return np.array([0.1, 0.9] if len(asked) == 5 else [0.9, 0.1], np.float32)

    class Gate:
        def feed(self, samples: np.ndarray) -> list[FrameState]:
            return [FrameState(bool(samples.any()), 0.0, -60.0)]

        def hold(self, is_open: bool) -> None:
            pass

    segments = SegmentConfig(preroll_seconds=0.2)
    model = WindowClassifier(classify, ["a", "b"], 4.0)
    recogniser = Recogniser(model, Gate(), 1000, segments)
    sound = np.arange(1, 1501, dtype=np.float32) / 1500
    quiet = np.zeros(3000, np.float32)
    events = recogniser.feed(np.concatenate([quiet, sound, quiet]))
    assert [(event.label, event.start_seconds, event.end_seconds) for event in events] == [
        ("b", 3.0, 4.5)
    ]
    assert events[0].score == pytest.approx(0.9, abs=0.01)
    assert [len(samples) for samples in asked] == [4000] * 5
    # 0.05 s of the pre-roll of 0.2 s, then so much of the sound as there is: at last with 0.1 s of
    # the quiet after it.
    for samples, heard in ((asked[0], sound[:300]), (asked[-1], np.append(sound, quiet[:100]))):
        there_and_back = np.concatenate([heard, heard[::-1]])
        expected = np.concatenate([quiet[:50], np.resize(there_and_back, 3950)])
        np.testing.assert_array_equal(samples, expected)
