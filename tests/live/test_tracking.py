"""Events: what is kept of scores that jump, when labels change, what is merged, when it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.events.min_scores import MinScores, parse_min_score
from sound_pipeline.live.segments import Item, Quiet, SegmentEnd, Window
from sound_pipeline.live.tracking import UNKNOWN, EventConfig, EventTracker

LABELS = ("background", "cat", "dog", "rain")
RATE = 1000
HOP = 500
WINDOW = 4000
PREROLL = 300
HANG = 500

Scores = npt.NDArray[np.float32]


def scores(**given: float) -> Scores:
    """Scores of LABELS; what is left is shared by the others."""
    others = [label for label in LABELS if label not in given]
    rest = (1 - sum(given.values())) / max(len(others), 1)
    return np.array([given.get(label, rest) for label in LABELS], np.float32)


CAT, DOG, RAIN = scores(cat=0.8), scores(dog=0.9), scores(rain=0.8)
NOISE = scores(background=0.9)
UNSURE = scores(cat=0.3, dog=0.35)


@dataclasses.dataclass
class Segment:
    """A segment that begins with its pre-roll at `start` and has a row of scores a hop.

    None where a window was left out. Windows end a hop after another; the sound ends at the end of
    the last one.
    """

    start: int
    rows: Sequence[Scores | None]

    @property
    def onset(self) -> int:
        return self.start + PREROLL

    @property
    def active_until(self) -> int:
        return self.start + len(self.rows) * HOP

    @property
    def end(self) -> int:
        return self.active_until + HANG


def window(segment: int, start: int, end: int, onset: int) -> Window:
    return Window(segment, start, end, onset, end, np.zeros(end - start, np.float32))


def items_of(segments: Sequence[Segment]) -> list[tuple[Item, Scores | None]]:
    """What the tracker is told, silence included, up to a second after the last segment."""
    items: list[tuple[Item, Scores | None]] = []
    position = 0
    for index, segment in enumerate(segments):
        for until in range(position + 100, segment.onset, 100):
            items.append((Quiet(until), None))
        for count, row in enumerate(segment.rows, start=1):
            end = segment.start + count * HOP
            if row is not None:
                start = max(segment.start, end - WINDOW)
                items.append((window(index, start, end, segment.onset), row))
        items.append((SegmentEnd(index, segment.end, segment.active_until), None))
        position = segment.end
    return items


def tell(tracker: EventTracker, item: Item, row: Scores | None) -> list[Event]:
    if isinstance(item, Window):
        assert row is not None
        return tracker.add(item, row)
    return tracker.end(item) if isinstance(item, SegmentEnd) else tracker.advance(item)


def track(*segments: Segment, config: EventConfig | None = None) -> list[Event]:
    tracker = EventTracker(config or EventConfig(), LABELS, RATE)
    events = [event for item, row in items_of(segments) for event in tell(tracker, item, row)]
    return events + tracker.finish()


def brief(events: Sequence[Event]) -> list[tuple[str, float, float]]:
    return [(event.label, event.start_seconds, event.end_seconds) for event in events]


def test_constant_scores_give_one_event_from_onset_to_end_of_activity() -> None:
    (event,) = track(Segment(1000, [DOG] * 9))
    assert brief([event]) == [("dog", 1.3, 5.5)]
    assert event.score == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 60])
@pytest.mark.parametrize("row", [CAT, DOG, RAIN])
def test_one_event_whatever_the_length(count: int, row: Scores) -> None:
    (event,) = track(Segment(0, [row] * count))
    assert event.label == LABELS[row.argmax()]
    assert event.score == pytest.approx(float(row.max()), abs=1e-6)


@pytest.mark.parametrize("smoothing_seconds", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("others", [(CAT, RAIN), (DOG, UNSURE), (UNSURE, DOG)])
@pytest.mark.parametrize("change_windows", [2, 3])
def test_scores_that_alternate_do_not_flicker(
    smoothing_seconds: float, others: tuple[Scores, Scores], change_windows: int
) -> None:
    config = EventConfig(smoothing_seconds=smoothing_seconds, change_windows=change_windows)
    assert len(track(Segment(0, others * 30), config=config)) == 1


def test_the_view_does_not_flicker_either() -> None:
    tracker = EventTracker(EventConfig(smoothing_seconds=0.0), LABELS, RATE)
    seen = []
    for item, row in items_of([Segment(0, [CAT, DOG] * 20)])[:-1]:
        tell(tracker, item, row)
        if isinstance(item, Window):
            assert tracker.current is not None
            seen.append(tracker.current.label)
    assert seen == ["cat"] + ["dog"] * 39


def test_a_single_odd_window_changes_nothing() -> None:
    assert brief(track(Segment(0, [DOG] * 10 + [RAIN] + [DOG] * 10))) == [("dog", 0.3, 10.5)]
    impossible = np.array([0.0, 1.0, 0.0, 0.0], np.float32)
    assert brief(track(Segment(0, [DOG] * 10 + [impossible] + [DOG] * 10))) == [("dog", 0.3, 10.5)]


@pytest.mark.parametrize("smoothing_seconds", [0.0, 0.5, 1.0])
def test_a_change_ends_one_event_and_starts_another(smoothing_seconds: float) -> None:
    config = EventConfig(smoothing_seconds=smoothing_seconds)
    first, second = track(Segment(0, [DOG] * 20 + [RAIN] * 20), config=config)
    assert (first.label, second.label) == ("dog", "rain")
    assert first.end_seconds == second.start_seconds
    # The first window that says rain ends at 10.5 s; its middle is at 8.5 s.
    assert 8.0 <= second.start_seconds <= 9.0
    assert (first.start_seconds, second.end_seconds) == (0.3, 20.0)
    assert second.score == pytest.approx(0.8, abs=1e-3)


def test_long_smoothing_finds_a_change_later_but_dates_it_the_same() -> None:
    config = EventConfig(MinScores(0.2), smoothing_seconds=3.0)
    _, second = track(Segment(0, [DOG] * 20 + [RAIN] * 20), config=config)
    assert 8.0 <= second.start_seconds <= 9.0


def test_without_smoothing_a_change_is_dated_to_the_middle_of_its_first_window() -> None:
    config = EventConfig(smoothing_seconds=0.0)
    events = track(Segment(0, [DOG] * 20 + [RAIN] * 20), config=config)
    assert brief(events) == [("dog", 0.3, 8.5), ("rain", 8.5, 20.0)]
    # One window is not enough, and another's in between starts the count again.
    events = track(Segment(0, [DOG] * 20 + [RAIN, DOG] * 5 + [RAIN] * 2), config=config)
    assert brief(events) == [("dog", 0.3, 13.5), ("rain", 13.5, 16.0)]


def test_a_label_hardly_ahead_does_not_take_over() -> None:
    near = scores(dog=0.46, cat=0.54)
    assert brief(track(Segment(0, [DOG] * 10 + [near] * 30))) == [("dog", 0.3, 20.0)]
    clear = scores(dog=0.44, cat=0.56)
    assert [event.label for event in track(Segment(0, [DOG] * 10 + [clear] * 30))] == ["dog", "cat"]


def test_a_first_guess_is_corrected() -> None:
    """A window of 0.2 s of sound says little, and one filled up with silence says wrong things."""
    assert brief(track(Segment(0, [CAT] + [DOG] * 5))) == [("dog", 0.3, 3.0)]
    assert brief(track(Segment(0, [CAT, DOG]))) == [("dog", 0.3, 1.0)]
    assert brief(track(Segment(0, [CAT] * 4 + [RAIN] * 20))) == [("rain", 0.3, 12.0)]
    assert brief(track(Segment(0, [UNSURE] * 7 + [DOG] * 10))) == [("dog", 0.3, 8.5)]
    assert brief(track(Segment(0, [UNSURE, NOISE, NOISE]))) == []


def test_a_label_is_corrected_only_by_a_window_that_heard_all_of_it() -> None:
    config = EventConfig(smoothing_seconds=0.0)

    def labels(*rows: Scores | None) -> list[str]:
        return [event.label for event in track(Segment(0, rows), config=config)]

    # The 8th window is the last to begin at the segment's start, the 9th the last at its onset.
    assert labels(*[CAT] * 8, *[DOG] * 8) == ["cat", "dog"]
    assert labels(*[CAT] * 7, *[DOG] * 8) == ["dog"]
    # Left out windows change nothing of that.
    assert labels(CAT, *[None] * 10, DOG, DOG) == ["cat", "dog"]
    assert labels(CAT, *[None] * 4, DOG, DOG) == ["dog"]
    # Most of an unknown sound is enough.
    assert labels(*[UNSURE] * 11, *[DOG] * 8) == ["dog"]
    assert labels(*[UNSURE] * 13, *[DOG] * 8) == [UNKNOWN, "dog"]
    # A label that came and went within a window.
    assert labels(*[DOG] * 20, *[RAIN] * 3, *[DOG] * 20) == ["dog"]
    assert labels(*[DOG] * 20, *[RAIN] * 8, *[DOG] * 20) == ["dog", "rain", "dog"]


def test_a_first_guess_is_corrected_without_pre_roll_too() -> None:
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    for count, row in enumerate([CAT, CAT, CAT, DOG, DOG, DOG], start=1):
        assert not tracker.add(window(0, 0, count * HOP, 0), row)
    assert brief(tracker.finish()) == [("dog", 0.0, 3.0)]


def test_an_event_has_the_highest_score_of_its_own_time() -> None:
    config = EventConfig(smoothing_seconds=0.0)
    rain = [scores(rain=score) for score in (0.9, 0.7, 0.6, 0.8)]
    dog, rained = track(Segment(0, [DOG] * 20 + rain), config=config)
    assert (dog.label, rained.label) == ("dog", "rain")
    assert rained.score == pytest.approx(0.9, abs=1e-6)
    (dog,) = track(Segment(0, [CAT] * 3 + [scores(dog=0.7)] * 4), config=config)
    assert dog.score == pytest.approx(0.7, abs=1e-6)


def test_longer_windows_hold_more_evidence() -> None:
    # 0.2 s of sound against 0.7 s, both as sure.
    assert brief(track(Segment(0, [scores(cat=0.8), scores(dog=0.8)]))) == [("dog", 0.3, 1.0)]
    config = EventConfig(smoothing_seconds=60.0)
    (event,) = track(Segment(0, [scores(cat=0.8), scores(dog=0.8)]), config=config)
    # Weights 0.2 and 0.7: exp of the weighted mean of the logarithms, normalised.
    logs = 0.2 * np.log([0.8, 0.2 / 3, 0.2 / 3]) + 0.7 * np.log([0.2 / 3, 0.8, 0.2 / 3])
    shares = np.exp(logs / 0.9)
    expected = shares[1] / (shares.sum() + shares[2])
    assert event.score == pytest.approx(expected, abs=5e-3)


def test_unknown_that_lasts_is_an_event_of_its_own() -> None:
    events = track(Segment(0, [UNSURE] * 20 + [DOG] * 10))
    assert [event.label for event in events] == [UNKNOWN, "dog"]
    # What comes first after it need not prove itself.
    one = track(Segment(0, [UNSURE] * 20 + [DOG]), config=EventConfig(smoothing_seconds=0.0))
    assert brief(one) == [(UNKNOWN, 0.3, 8.5), ("dog", 8.5, 10.5)]
    assert events[0].score == pytest.approx(0.35, abs=1e-6)
    assert events[0].end_seconds == events[1].start_seconds
    # A label that led for a window in between is not its score.
    config = EventConfig(smoothing_seconds=0.0)
    _, event = track(Segment(0, [DOG] * 20 + [CAT] + [UNSURE] * 10), config=config)
    assert event.label == UNKNOWN and event.score == pytest.approx(0.35, abs=1e-6)
    quiet = EventConfig(report_unknown=False)
    assert brief(track(Segment(0, [UNSURE] * 20 + [DOG] * 10), config=quiet)) == brief(events[1:])
    assert track(Segment(0, [UNSURE] * 20), config=quiet) == []


def test_a_label_is_held_a_little_below_its_min_score() -> None:
    weak = scores(dog=0.42, cat=0.2)
    assert brief(track(Segment(0, [DOG] * 4 + [weak] * 30))) == [("dog", 0.3, 17.0)]
    assert brief(track(Segment(0, [weak] * 34))) == [(UNKNOWN, 0.3, 17.0)]
    lost = scores(dog=0.38, cat=0.2)
    labels = [event.label for event in track(Segment(0, [DOG] * 20 + [lost] * 30))]
    assert labels == ["dog", UNKNOWN]
    # Once all of it was heard again and is no longer clear, it never was.
    assert brief(track(Segment(0, [DOG] * 4 + [lost] * 30))) == [(UNKNOWN, 0.3, 17.0)]


def test_background_is_not_reported() -> None:
    assert track(Segment(0, [NOISE] * 30)) == []
    likeliest = scores(background=0.4, dog=0.3, cat=0.2)
    assert track(Segment(0, [likeliest] * 30)) == []
    events = track(Segment(0, [NOISE] * 20 + [DOG] * 10 + [NOISE] * 20))
    assert [event.label for event in events] == ["dog"]
    assert 8.0 <= events[0].start_seconds <= 9.0
    assert 13.0 <= events[0].end_seconds <= 14.0


def test_background_and_unknown() -> None:
    """Neither needs a min_score, so the one must be ahead of the other by the margin."""
    config = EventConfig(MinScores(0.9, {"background": 0.3}))
    start = [scores(background=0.5, dog=0.4)] * 20

    def labels(*rows: Scores) -> list[str]:
        return [event.label for event in track(Segment(0, rows), config=config)]

    # The background's min_score is reached in all of these: it leads, and nothing else can.
    assert labels(*start, *[scores(background=0.31, dog=0.6)] * 20) == []
    config = EventConfig(MinScores(0.9, {"background": 0.6}))
    start = [scores(background=0.8, dog=0.1)] * 20
    assert labels(*start, *[scores(background=0.51, dog=0.49)] * 20) == []
    config = EventConfig(MinScores(0.9, {"background": 0.45}), change_margin=0.1)
    start = [scores(background=0.8, dog=0.1)] * 20
    assert labels(*start, *[scores(background=0.42, dog=0.48)] * 20) == []
    assert labels(*start, *[scores(background=0.42, dog=0.53)] * 20) == [UNKNOWN]
    start = [scores(background=0.2, dog=0.6)] * 20
    assert labels(*start, *[scores(background=0.42, dog=0.38)] * 20)[0] == UNKNOWN
    barely = track(Segment(0, [*start, *[scores(background=0.42, dog=0.38)] * 20]), config=config)
    assert brief(barely) == [(UNKNOWN, 0.3, 20.0)]
    clearly = track(Segment(0, [*start, *[scores(background=0.44, dog=0.3)] * 20]), config=config)
    assert [event.label for event in clearly] == [UNKNOWN] and clearly[0].end_seconds < 10.0


def test_a_min_score_for_one_label() -> None:
    config = EventConfig(MinScores(0.5, {"dog": 0.95, "rain": 0.2}))
    assert brief(track(Segment(0, [DOG] * 9), config=config)) == [(UNKNOWN, 0.3, 4.5)]
    assert brief(track(Segment(0, [CAT] * 9), config=config)) == [("cat", 0.3, 4.5)]
    # Dog is likelier, but only rain has what it needs.
    rain = scores(rain=0.25, dog=0.6)
    assert brief(track(Segment(0, [rain] * 9), config=config)) == [("rain", 0.3, 4.5)]


@pytest.mark.parametrize("score", [0.0, 0.1, 0.3, 0.7, 0.9])
def test_a_score_equal_to_min_score_reaches_it(score: float) -> None:
    config = EventConfig(MinScores(score))
    row = np.array([0.0, score, 1 - score, 0.0], np.float32)
    assert UNKNOWN not in {event.label for event in track(Segment(0, [row] * 5), config=config)}


def barks(count: int, gap: int, row: Scores = DOG) -> list[Segment]:
    """Segments whose sound is 700 ms, `gap` ms apart."""
    return [Segment(1000 + number * (700 + gap), [row] * 2) for number in range(count)]


def test_a_row_of_barks_is_one_event() -> None:
    (event,) = track(*barks(20, 900))
    assert brief([event]) == [("dog", 1.3, 32.4)]
    assert len(track(*barks(20, 1000))) == 20
    assert len(track(*barks(20, 500), config=EventConfig(merge_seconds=0.0))) == 20
    assert len(track(*barks(20, 900), config=EventConfig(merge_seconds=0.9))) == 20


def test_events_are_not_merged_over_another() -> None:
    dog, cat = barks(1, 0)[0], Segment(2600, [CAT] * 2)
    dogs = Segment(4200, [DOG] * 2)
    assert [event.label for event in track(dog, cat, dogs)] == ["dog", "cat", "dog"]
    # But over what is not reported.
    cat.rows = [NOISE] * 2
    far = EventConfig(merge_seconds=3.0)
    assert brief(track(dog, cat, dogs, config=far)) == [("dog", 1.3, 5.2)]


def test_a_merged_event_has_the_highest_score() -> None:
    first, second, third = barks(3, 900)
    first.rows, third.rows = [scores(dog=0.6)] * 2, [scores(dog=0.7)] * 2
    (event,) = track(first, second, third)
    assert event.score == pytest.approx(0.9, abs=1e-6)


def test_an_event_is_told_once_it_cannot_be_continued() -> None:
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    first = Segment(1000, [DOG] * 2)
    for item, row in items_of([first]):
        assert not tell(tracker, item, row)
    assert first.active_until == 2000
    assert not tracker.advance(Quiet(2900))
    assert not tracker.advance(Quiet(2999))
    assert brief(tracker.advance(Quiet(3000))) == [("dog", 1.3, 2.0)]
    assert not tracker.advance(Quiet(4000)) and not tracker.finish()


def test_another_label_releases_an_event_before_it_is_over_itself() -> None:
    """Rain for an hour must not keep the bark before it from being told."""
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    told = []
    segments = [Segment(1000, [DOG] * 2), Segment(2300, [RAIN] * 100)]
    for item, row in items_of(segments):
        told += [(event.label, item) for event in tell(tracker, item, row)]
    assert told[0][0] == "dog"
    # When no window can reach back to its start and find that it was the dog again.
    assert isinstance(told[0][1], Window) and told[0][1].end == 2300 + WINDOW + HOP


def test_an_event_waits_for_a_label_that_is_about_to_be_corrected() -> None:
    config = EventConfig(smoothing_seconds=0.0, change_windows=3)
    segments = [Segment(1000, [DOG] * 2), Segment(2300, [CAT] * 7 + [DOG] * 3)]
    assert brief(track(*segments, config=config)) == [("dog", 1.3, 7.3)]


@pytest.mark.parametrize("row", [NOISE, UNSURE])
def test_what_is_not_reported_does_not_hold_events_back(row: Scores) -> None:
    tracker = EventTracker(EventConfig(report_unknown=False), LABELS, RATE)
    segments = [Segment(1000, [DOG] * 2), Segment(2300, [row] * 100)]
    told = [
        item
        for item, scored in items_of(segments)
        for event in tell(tracker, item, scored)
        if event.label == "dog"
    ]
    assert isinstance(told[0], Window) and told[0].end <= 2300 + 2 * WINDOW + 2 * HOP


def test_what_goes_on() -> None:
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    assert tracker.current is None and tracker.latest_scores is None
    tracker.add(window(0, 1000, 1500, 1300), DOG)
    assert tracker.current is not None and tracker.latest_scores is not None
    assert brief([tracker.current]) == [("dog", 1.3, 1.5)]
    assert tracker.current.score == pytest.approx(0.9, abs=1e-6)
    np.testing.assert_allclose(tracker.latest_scores, DOG, atol=1e-6)
    tracker.end(SegmentEnd(0, 2000, 1500))
    assert tracker.current is None
    assert tracker.latest_scores is not None
    # Will be merged: it goes on since the first.
    tracker.add(window(1, 2000, 2500, 2300), DOG)
    assert tracker.current is not None and tracker.current.start_seconds == 1.3
    tracker.end(SegmentEnd(1, 3000, 2500))
    tracker.add(window(2, 6000, 6500, 6300), NOISE)
    assert tracker.current is None
    tracker.add(window(2, 6000, 7000, 6300), UNSURE)
    tracker.add(window(2, 6000, 7500, 6300), UNSURE)
    tracker.add(window(2, 6000, 8000, 6300), UNSURE)
    assert tracker.current is not None and tracker.current.label == UNKNOWN


def test_a_segment_none_of_whose_windows_was_labelled() -> None:
    assert track(Segment(0, [None] * 5)) == []
    assert brief(track(Segment(0, [None] * 5), Segment(9000, [DOG]))) == [("dog", 9.3, 9.5)]


@pytest.mark.parametrize("every", [2, 3, 5])
def test_windows_left_out(every: int) -> None:
    """Inference at half the speed of sound, and slower: the same events, a bit later."""
    full = [DOG] * 30 + [RAIN] * 30
    rows = [row if index % every == every - 1 else None for index, row in enumerate(full)]
    first, second = track(Segment(0, rows))
    assert (first.label, first.start_seconds) == ("dog", 0.3)
    assert (second.label, second.end_seconds) == ("rain", 30.0)
    # The sound changes at 15 s, windows say so from then on.
    assert 13.0 <= first.end_seconds == second.start_seconds <= 14.0 + every * 0.5


def test_a_change_in_the_hang_over_adds_no_event_after_the_sound() -> None:
    tracker = EventTracker(EventConfig(smoothing_seconds=0.0), LABELS, RATE)
    silence = np.zeros(1000, np.float32)
    for end, row in [(1000, DOG), (1500, DOG), (2000, DOG), (2500, CAT), (3000, CAT), (3500, CAT)]:
        assert not tracker.add(Window(0, end - 1000, end, 300, min(end, 1600), silence), row)
    assert brief(tracker.end(SegmentEnd(0, 3600, 1600))) == [("dog", 0.3, 1.6)]
    assert tracker.finish() == []


def test_a_stream_that_stops_in_a_segment() -> None:
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    tracker.add(window(0, 1000, 1500, 1300), DOG)
    assert brief(tracker.finish()) == [("dog", 1.3, 1.5)]
    assert tracker.current is None


def test_misuse_is_not_passed_over() -> None:
    tracker = EventTracker(EventConfig(), LABELS, RATE)
    one = window(1, 0, 500, 300)
    for bad in (DOG[:3], np.full(4, np.nan), DOG * 2, -DOG):
        with pytest.raises(ValueError, match="scores"):
            tracker.add(one, bad)
    tracker.add(one, DOG)
    with pytest.raises(ValueError, match="segment 1 has not ended"):
        tracker.add(window(2, 1000, 1500, 1300), DOG)
    tracker.end(SegmentEnd(1, 1000, 500))
    with pytest.raises(ValueError, match="segment 1 is over"):
        tracker.add(one, DOG)


rows = st.one_of(
    st.sampled_from([CAT, DOG, RAIN, NOISE, UNSURE]),
    st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4)
    .filter(lambda values: sum(values) > 0.01)
    .map(lambda values: (np.array(values) / sum(values)).astype(np.float32)),
)
# A row that stays, some windows, and whether they are left out.
stretches = st.lists(st.tuples(rows, st.integers(1, 8), st.booleans()), min_size=1, max_size=6)
configs = st.builds(
    EventConfig,
    min_scores=st.builds(
        MinScores,
        st.sampled_from([0.0, 0.3, 0.5, 0.9]),
        st.dictionaries(st.sampled_from(LABELS), st.floats(0.0, 1.0)),
    ),
    report_unknown=st.booleans(),
    smoothing_seconds=st.sampled_from([0.0, 0.5, 1.0, 10.0]),
    change_margin=st.sampled_from([0.0, 0.1, 0.5]),
    change_windows=st.integers(1, 4),
    merge_seconds=st.sampled_from([0.0, 0.5, 0.9, 1.0, 2.0, 10.0]),
    background=st.sampled_from(["background", "none"]),
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Segment]:
    segments = []
    position = 0
    for parts in draw(st.lists(stretches, min_size=1, max_size=5)):
        position += draw(st.sampled_from([0, 1, 400, 700, 1300, 5000]))
        laid = [None if left else row for row, count, left in parts for _ in range(count)]
        segments.append(Segment(position, laid))
        position = segments[-1].end
    return segments


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(sessions(), configs)
def test_what_holds_for_all_events(segments: list[Segment], config: EventConfig) -> None:
    tracker = EventTracker(config, LABELS, RATE)
    events: list[Event] = []
    for item, row in items_of(segments):
        events += tell(tracker, item, row)
        if tracker.current is not None:
            assert isinstance(item, Window)
            assert tracker.current.end_seconds == item.active_until / RATE
            assert not events or tracker.current.start_seconds >= events[-1].end_seconds
    events += tracker.finish()
    heard = [one for one in segments if any(row is not None for row in one.rows)]
    needs = dict(zip(LABELS, config.min_scores.of(LABELS), strict=True))

    for event in events:
        start, end = round(event.start_seconds * RATE), round(event.end_seconds * RATE)
        assert start < end
        assert any(one.onset <= start < one.active_until for one in heard)
        assert any(one.onset < end <= one.active_until for one in heard)
        assert event.label != config.background
        assert 0 <= event.score <= 1
        if event.label == UNKNOWN:
            assert config.report_unknown
            assert event.score < max(needs.values())
        else:
            assert event.score >= needs[event.label] - 2e-6
    for before, after in pairwise(events):
        assert before.end_seconds <= after.start_seconds
        if before.label == after.label:
            gap = round((after.start_seconds - before.end_seconds) * RATE)
            assert gap >= config.merge_seconds * RATE
    if config.report_unknown and config.background == "none":
        # Nothing is left unreported: all of the sound is in events, and what is between segments
        # is where two were merged.
        total = sum(event.end_seconds - event.start_seconds for event in events)
        sound = sum(one.active_until - one.onset for one in heard) / RATE
        bridged = sum(
            after.onset - before.active_until
            for before, after in pairwise(heard)
            if any(
                event.start_seconds < before.active_until / RATE
                and event.end_seconds > after.onset / RATE
                for event in events
            )
        )
        assert total == pytest.approx(sound + bridged / RATE, abs=1e-6)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(sessions(), configs)
def test_when_silence_is_told_does_not_change_events(
    segments: list[Segment], config: EventConfig
) -> None:
    tracker = EventTracker(config, LABELS, RATE)
    items = [pair for pair in items_of(segments) if not isinstance(pair[0], Quiet)]
    events = [event for item, row in items for event in tell(tracker, item, row)]
    assert events + tracker.finish() == track(*segments, config=config)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(sessions(), configs)
def test_long_silence_leaves_nothing_to_tell(segments: list[Segment], config: EventConfig) -> None:
    tracker = EventTracker(config, LABELS, RATE)
    events = [event for item, row in items_of(segments) for event in tell(tracker, item, row)]
    last = segments[-1].active_until
    events += tracker.advance(Quiet(last + round(config.merge_seconds * RATE)))
    assert tracker.finish() == []
    assert events == track(*segments, config=config)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(1, 30), configs)
def test_constant_scores_never_give_two_events(
    row: Scores, count: int, config: EventConfig
) -> None:
    events = track(Segment(0, [row] * count), config=config)
    assert len(events) <= 1
    if events:
        assert brief(events)[0][1:] == (0.3, count * 0.5)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], MinScores(0.4)),
        (["0.5"], MinScores(0.5)),
        (["dog=0.7", "rain=0.3"], MinScores(0.4, {"dog": 0.7, "rain": 0.3})),
        (["0.5", "dog=0.7"], MinScores(0.5, {"dog": 0.7})),
        (["dog = 0.7", " 0.5"], MinScores(0.5, {"dog": 0.7})),
        (["a=b=1"], MinScores(0.4, {"a=b": 1.0})),
    ],
)
def test_min_score_is_read(words: list[str], expected: MinScores) -> None:
    assert parse_min_score(words, (*LABELS, "a=b"), 0.4) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dgo=0.5"], "no label 'dgo': did you mean 'dog'?"),
        (["zebra=0.5"], "no label 'zebra': it has background, cat, dog, rain"),
        (["=0.5"], "no label ''"),
        (["dog"], "--min_score=dog: give a number"),
        ([""], "--min_score=: give a number"),
        (["dog=0.5x"], "--min_score=dog=0.5x: give a number"),
        (["1.5"], "--min_score=1.5: give a number from 0 to 1"),
        (["nan"], "--min_score=nan: give a number from 0 to 1"),
        (["dog=-1"], "--min_score=dog=-1: give a number from 0 to 1"),
        (["0.5", "0.6"], "two scores for all labels"),
        (["dog=0.5", "dog=0.6"], "two scores for 'dog'"),
    ],
)
def test_a_bad_min_score_is_explained(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_min_score(words, LABELS, 0.5)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--min_score") and "\n" not in str(caught.value)


def test_what_each_label_needs() -> None:
    scores = MinScores(0.5, {"dog": 0.7})
    np.testing.assert_array_equal(scores.of(LABELS), [0.5, 0.5, 0.7, 0.5])
    with pytest.raises(UserError, match="did you mean 'dog'"):
        EventTracker(EventConfig(MinScores(0.5, {"dogs": 0.7})), LABELS, RATE)


@pytest.mark.parametrize(
    ("make", "flag"),
    [
        (lambda: EventConfig(smoothing_seconds=-1), "events.smoothing_seconds=-1:"),
        (lambda: EventConfig(change_margin=1.5), "events.change_margin=1.5:"),
        (lambda: EventConfig(change_windows=0), "events.change_windows=0:"),
        (lambda: EventConfig(merge_seconds=float("nan")), "--merge_seconds=nan:"),
    ],
)
def test_values_out_of_range_name_their_flag(make: Callable[[], object], flag: str) -> None:
    with pytest.raises(UserError, match=f"^{flag}"):
        make()
