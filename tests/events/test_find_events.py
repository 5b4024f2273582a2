"""Events from the scores of windows, against the rule worked out sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.events.event import Event
from sound_pipeline.events.find_events import LabelConfig, WindowScores, find_events
from sound_pipeline.events.min_scores import MinScores
from sound_pipeline.heads.combining import combine_windows

LABELS = ("dog", "rain", "background")
RATE = 10


def windows(
    scores: list[tuple[float, ...]],
    starts: list[int] | None = None,
    length: int = 40,
    total: int | None = None,
    quiet: tuple[int, ...] = (),
    power: float = 1.0,
) -> WindowScores:
    starts = list(range(0, 20 * len(scores), 20)) if starts is None else starts
    ends = [start + length for start in starts]
    if total is not None:
        ends = [min(end, total) for end in ends]
    return WindowScores(
        np.array(scores, np.float32),
        np.array(starts),
        np.array(ends),
        np.full(len(scores), power, np.float32),
        np.array([index not in quiet for index in range(len(scores))]),
        RATE,
        ends[-1],
    )


def brief(events: list[Event]) -> list[tuple[str, float, float]]:
    return [(event.label, event.start_seconds, event.end_seconds) for event in events]


DOG, RAIN, NOTHING, UNSURE = (0.9, 0.05, 0.05), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.4, 0.35, 0.25)


def test_one_window_is_one_event_with_its_score() -> None:
    events, reason = find_events(windows([DOG], total=13), LABELS, LabelConfig())
    assert brief(events) == [("dog", 0.0, 1.3)] and reason == ""
    assert events[0].score == pytest.approx(0.9) and events[0].scores == pytest.approx(DOG)
    times = (events[0].start_seconds, events[0].end_seconds)
    assert {type(value) for value in (*times, events[0].score, *events[0].scores)} == {float}


def test_adjoining_windows_of_one_label_are_one_event() -> None:
    """Where a dog's window and one of rain overlap, the surer decides."""
    events, _ = find_events(windows([DOG, DOG, DOG, RAIN, RAIN]), LABELS, LabelConfig())
    assert brief(events) == [("dog", 0.0, 8.0), ("rain", 8.0, 12.0)]
    events, _ = find_events(windows([DOG, NOTHING, DOG]), LABELS, LabelConfig())
    # Over 2..4 s and 4..6 s lie a dog and nothing: the dog is surer, so nothing is left of that.
    assert brief(events) == [("dog", 0.0, 8.0)]
    apart = windows([DOG, NOTHING, DOG], starts=[0, 40, 80])
    assert brief(find_events(apart, LABELS, LabelConfig())[0]) == [
        ("dog", 0.0, 4.0),
        ("dog", 8.0, 12.0),
    ]


def test_windows_combine_as_those_of_a_recording_do() -> None:
    events, _ = find_events(windows([DOG, UNSURE]), LABELS, LabelConfig(MinScores(0.0)))
    together = combine_windows(tf.math.log(tf.constant([DOG, UNSURE])), [0, 0])[0].numpy()
    (event,) = events
    # The event's score is its highest: that of the first two seconds.
    assert event.score == pytest.approx(0.9)
    both = windows([DOG, UNSURE], starts=[0, 0])
    (event,), _ = find_events(both, LABELS, LabelConfig(MinScores(0.0)))
    np.testing.assert_allclose(event.scores, together, rtol=1e-5)
    assert event.score == pytest.approx(together[0])


def test_a_score_of_zero_is_a_score() -> None:
    scores = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    events, _ = find_events(windows(scores), LABELS, LabelConfig(MinScores(0.4)))
    assert [event.label for event in events] == ["dog", "rain"]
    assert all(np.isfinite(event.scores).all() for event in events)


def test_quiet_windows_make_no_event_and_end_those_beside_them() -> None:
    events, _ = find_events(windows([DOG, DOG, DOG, DOG], quiet=(0, 3)), LABELS, LabelConfig())
    assert brief(events) == [("dog", 4.0, 6.0)]


def test_labels_need_their_own_scores() -> None:
    config = LabelConfig(MinScores(0.5, {"dog": 0.95}))
    events, reason = find_events(windows([DOG, DOG]), LABELS, config)
    assert events == []
    assert reason == (
        "nothing reached its minimum score: the best was dog 0.90 at 0.0 s, which needs 0.95"
    )
    # A label that reaches its own comes before a likelier one that doesn't.
    config = LabelConfig(MinScores(0.3, {"dog": 0.95}))
    events, _ = find_events(windows([UNSURE]), LABELS, config)
    assert brief(events) == [("rain", 0.0, 4.0)]


def test_unknown_on_demand() -> None:
    events, reason = find_events(
        windows([UNSURE, UNSURE]), LABELS, LabelConfig(report_unknown=True)
    )
    assert brief(events) == [("unknown", 0.0, 6.0)] and reason == ""
    assert events[0].score == pytest.approx(0.4)
    # Background is what it is.
    events, _ = find_events(windows([NOTHING]), LABELS, LabelConfig(report_unknown=True))
    assert events == []


@pytest.mark.parametrize(
    ("scores", "options", "reason"),
    [
        (
            [UNSURE],
            {},
            "nothing reached its minimum score: the best was dog 0.40 at 0.0 s, which needs 0.50",
        ),
        ([NOTHING], {}, "nothing reached its minimum score: the best was dog 0.10 at 0.0 s"),
        ([DOG], {"power": 0.0}, "the recording is silent: it holds no sound above -120 dBFS"),
        ([DOG], {"quiet": (0,)}, "every moment lies in a window that is quiet beside the loudest"),
    ],
)
def test_an_empty_result_says_why(
    scores: list[tuple[float, ...]], options: dict[str, object], reason: str
) -> None:
    events, why = find_events(windows(scores, **options), LABELS, LabelConfig())  # type: ignore[arg-type]
    assert events == [] and why.startswith(reason)


def test_background_that_is_likelier_than_a_label_with_enough() -> None:
    config = LabelConfig(MinScores(0.05))
    events, reason = find_events(windows([NOTHING]), LABELS, config)
    assert events == []
    assert reason == "only background was heard; the best was dog 0.10 at 0.0 s"


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_moment_has_the_label_of_the_rule(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    hop, length = data.draw(st.sampled_from([(20, 40), (15, 40), (40, 40), (7, 40)]))
    starts = [hop * index for index in range(count)]
    if count > 1:  # the last window is moved
        starts[-1] -= data.draw(st.integers(0, hop - 1))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    scores = random.dirichlet([0.5] * 3, count)
    quiet = tuple(np.flatnonzero(random.random(count) < 0.2))
    given_ = windows([tuple(row) for row in scores], starts, length, quiet=quiet)
    events, reason = find_events(given_, LABELS, LabelConfig(MinScores(0.6)))
    assert bool(events) != bool(reason)
    said = [""] * int(given_.ends[-1])
    for event in events:
        start, end = round(event.start_seconds * RATE), round(event.end_seconds * RATE)
        assert said[start:end] == [""] * (end - start), "events don't overlap"
        said[start:end] = [event.label] * (end - start)
    for moment, label in enumerate(said):
        over = [i for i, start in enumerate(starts) if start <= moment < start + length]
        if not over or set(over) & set(quiet):
            assert label == ""
            continue
        logs = np.log(given_.scores[over].astype(np.float64)).mean(axis=0)
        mean = np.exp(logs) / np.exp(logs).sum()
        best = int(mean.argmax())
        if abs(mean[best] - 0.6) > 1e-4:
            assert label == (LABELS[best] if mean[best] > 0.6 and best != 2 else "")
