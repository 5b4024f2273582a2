"""From the scores of windows to events: what was heard, from when to when, how surely."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import check
from sound_pipeline.events.event import Event
from sound_pipeline.events.min_scores import NO_LABEL, UNKNOWN, MinScores, leader
from sound_pipeline.live.segments import Quiet, SegmentEnd, Window

# Added to scores while they are smoothed: a single zero would silence a label for seconds.
_OFFSET = 1e-4

Scores = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class EventConfig:
    """Smoothing, thresholds and merging of live scores.

    Attributes:
      min_scores: what a label needs to be reported.
      report_unknown: whether sound that no label has enough score for is an event, "unknown".
      smoothing_seconds: time after which a window's say has fallen to 1/e; 0: only the latest
        counts. Windows overlap and smooth by themselves, and a segment's first ones know little,
        so it is short.
      change_margin: how far another label must be ahead to take over, in score.
      change_windows: for how many windows in a row. As many at the start of a segment change
        its first label at once.
      merge_seconds: events of one label closer than this are one. Segments are at least
        `hang_seconds` apart, so a shorter time merges nothing.
      background: the label of what is no event; nothing special where the model lacks it.
    """

    min_scores: MinScores = dataclasses.field(default_factory=MinScores)
    report_unknown: bool = True
    smoothing_seconds: float = 0.5
    change_margin: float = 0.1
    change_windows: int = 2
    merge_seconds: float = 1.0
    background: str = "background"

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(
            0 <= self.smoothing_seconds <= 60,
            f"events.smoothing_seconds={self.smoothing_seconds:g}: give a time from 0 to 60 s",
        )
        check(
            0 <= self.change_margin <= 1,
            f"events.change_margin={self.change_margin:g}: give a score from 0 to 1",
        )
        check(
            1 <= self.change_windows <= 100,
            f"events.change_windows={self.change_windows}: give a number from 1 to 100",
        )
        check(
            0 <= self.merge_seconds <= 3600,
            f"--merge_seconds={self.merge_seconds:g}: give a time from 0 to 3600 s",
        )


class EventTracker:
    """Follows what is heard from window to window.

    Scores are smoothed over the windows of a segment by a weighted mean of their logarithms, as
    a model combines the windows of a recording, so `min_score` keeps its meaning. A window's
    weight is the segment's sound in it, times a decay with its age: longer windows hold more
    evidence, and windows that were left out only lengthen the steps.

    The leader is the label with the highest smoothed score among those that reach their
    min_score. If there is none, it is the background where that is the likeliest of all, else
    "unknown". Another leader takes over from the label held when it was `change_margin` ahead,
    or the one held fell as far below its min_score, in `change_windows` windows in a row; from
    "unknown" at once. The change is dated to the first of these windows, and there to the
    weighted mean of the middles of the windows so far: a new sound comes to lead when it fills
    half of what the scores are made of.

    A window that reaches back to where the label held started has heard all that label rests on:
    then the label is corrected from its start on, and no event is left of it. At a segment's
    start that is the rule, not the exception: a second of rain and then the silence that models
    fill their window with sounds like a sneeze. The first `change_windows` windows correct at
    once. An unknown sound is corrected also when half of it or more was heard again.

    Where a whole segment fits into one window, nothing more can be heard of it: that window's
    scores alone decide.

    An event ends where activity ended, not where the gate closed. Times lie between a segment's
    onset and the end of its activity. Events come once, in order, and don't overlap; one that a
    later sound may still continue is held back until it can't, so `advance` must be called
    in silence.

    Attributes:
      current: what goes on and will be reported if it ends now; its score is the present one.
        None in silence.
      latest_scores: float64 [labels], smoothed, of the latest window; None before the first.
    """

    def __init__(self, config: EventConfig, labels: Sequence[str], sample_rate_hz: int) -> None:
        """Starts with nothing heard.

        Args:
          config: thresholds and times.
          labels: the model's, in the order of its scores.
          sample_rate_hz: of the positions in windows.

        Raises:
          UserError: a min_score for a label the model doesn't have.
        """
        self._config = config
        self._labels = tuple(labels)
        self._rate = sample_rate_hz
        self._min_scores = config.min_scores.reached_at(self._labels)
        # Half of a small min_score, so that its label can be lost at all.
        self._lost_scores = np.maximum(
            self._min_scores - config.change_margin, self._min_scores / 2
        )
        self._is_event = np.array([label != config.background for label in self._labels])
        # Of one label and with nothing between, spans are one event in any case.
        self._merge = config.merge_seconds * sample_rate_hz
        self._segment = -1
        self._open: _Open | None = None
        self._held: _Held | None = None
        self.current: Event | None = None
        self.latest_scores: npt.NDArray[np.float64] | None = None

    def add(self, window: Window, scores: Scores) -> list[Event]:
        """Takes the scores of a window; some of a segment's windows may be left out.

        Args:
          window: later than those before.
          scores: float [labels], 0..1, their sum is 1.

        Returns:
          Events that are over for certain.
        """
        probabilities = np.asarray(scores, np.float64)
        if probabilities.shape != (len(self._labels),):
            raise ValueError(f"scores have shape {probabilities.shape}, not [{len(self._labels)}]")
        if not (probabilities >= 0).all() or abs(probabilities.sum() - 1) > 1e-2:
            raise ValueError(f"scores are no probabilities: {probabilities}")
        if self._open is None:
            if window.segment <= self._segment:
                raise ValueError(f"segment {window.segment} is over")
            self._segment = window.segment
            self._open = _Open(self._no_evidence())
        elif window.segment != self._segment:
            raise ValueError(f"segment {self._segment} has not ended")
        open_ = self._open
        if window.is_whole:
            open_.evidence = self._no_evidence()
        open_.evidence.add(window, probabilities)
        smoothed = open_.evidence.scores
        events = self._settle(open_, window) if window.is_whole else self._follow(open_, window)
        open_.active_until = window.active_until
        self.latest_scores = smoothed
        self.current = self._ongoing(open_.span, window.active_until, smoothed)
        return events + self._release(self._earliest_next(open_, window))

    def end(self, end: SegmentEnd) -> list[Event]:
        """Ends a segment; none of its windows need have been added. Returns as `add`."""
        events: list[Event] = []
        if self._open is not None and end.segment == self._segment:
            events = self._complete(self._open.span, end.active_until)
        self._segment = max(self._segment, end.segment)
        self._open = None
        self.current = None
        return events + self._release(end.end)

    def advance(self, quiet: Quiet) -> list[Event]:
        """Learns how far it stayed quiet. Returns as `add`."""
        return self._release(quiet.until)

    def finish(self) -> list[Event]:
        """Ends the stream, and a segment whose end was not told; returns what was held back."""
        events: list[Event] = []
        if self._open is not None:
            events = self._complete(self._open.span, self._open.active_until)
        self._open = None
        self.current = None
        return events + self._release(math.inf)

    def _no_evidence(self) -> _Evidence:
        return _Evidence(len(self._labels), self._config.smoothing_seconds * self._rate)

    def _settle(self, open_: _Open, window: Window) -> list[Event]:
        """Takes a whole segment's scores for what is left of it under one label."""
        smoothed = open_.evidence.scores
        leader = self._leader(smoothed)
        unknown_score = self._likeliest(smoothed) if leader == NO_LABEL else 0.0
        start = open_.span.start if open_.windows else window.onset
        open_.windows += 1
        open_.challenge = None
        open_.span = _Span(leader, start, np.append(smoothed, unknown_score))
        return []

    def _follow(self, open_: _Open, window: Window) -> list[Event]:
        """Decides which label is held after a window; completes the one held before."""
        smoothed = open_.evidence.scores
        leader = self._leader(smoothed)
        unknown_score = self._likeliest(smoothed) if leader == NO_LABEL else 0.0
        scores = np.append(smoothed, unknown_score)
        open_.windows += 1
        if open_.windows == 1:
            open_.span = _Span(leader, window.onset, scores)
            return []
        span = open_.span
        if leader == span.label or not self._is_ahead(leader, span.label, smoothed):
            span.peak = np.maximum(span.peak, scores)
            open_.challenge = None
            return []
        if open_.challenge is None:
            start = self._changed_at(open_, window)
            # Nothing is lost with an unknown sound of which most was heard again.
            anew = (span.start + start) / 2 if span.label == NO_LABEL else span.start
            open_.challenge = _Challenge(start, np.zeros_like(scores), window.start <= anew)
        challenge = open_.challenge
        challenge.windows += 1
        challenge.peak = np.maximum(challenge.peak, scores)
        is_settling = open_.windows <= self._config.change_windows
        is_at_once = is_settling or span.label == NO_LABEL
        if not is_at_once and challenge.windows < self._config.change_windows:
            return []
        open_.challenge = None
        start = span.start if challenge.is_correction else challenge.start
        open_.span = _Span(leader, start, challenge.peak)
        return self._complete(span, start)

    def _leader(self, smoothed: Scores) -> int:
        return leader(smoothed, self._min_scores, self._is_event)

    def _is_ahead(self, leader: int, held: int, smoothed: Scores) -> bool:
        """Whether a leader that is not the label held could take over from it."""
        margin = self._config.change_margin
        if held == NO_LABEL:
            reaches = smoothed[leader] >= self._min_scores[leader]
            return bool(reaches or smoothed[leader] >= self._likeliest(smoothed) + margin)
        if smoothed[held] < self._lost_scores[held]:
            return True
        if leader == NO_LABEL:
            is_background = not self._is_event[held]
            return is_background and self._likeliest(smoothed) >= smoothed[held] + margin
        return bool(smoothed[leader] >= smoothed[held] + margin)

    def _likeliest(self, smoothed: Scores) -> float:
        """Highest score but the background's."""
        return float(smoothed[self._is_event].max(initial=0.0))

    @staticmethod
    def _changed_at(open_: _Open, window: Window) -> int:
        """Dates a change that a window brings; never before where an earlier would be dated."""
        return max(open_.span.start, min(round(open_.evidence.middle), window.active_until))

    def _complete(self, span: _Span, end: int) -> list[Event]:
        """Ends a span. It continues the event held back, or takes its place."""
        if end <= span.start or not self._is_reported(span.label):
            return []
        held, score = self._held, float(span.peak[span.label])
        if held is not None and self._continues(span, held):
            self._held = _Held(held.label, held.start, end, max(held.score, score))
            return []
        events = self._release(math.inf)
        self._held = _Held(span.label, span.start, end, score)
        return events

    def _release(self, earliest_next: float) -> list[Event]:
        """Event held back, if nothing from a position on can continue it."""
        held = self._held
        if held is None or earliest_next - held.end < self._merge:
            return []
        self._held = None
        return [self._event(held.start, held.end, held.label, held.score)]

    def _earliest_next(self, open_: _Open, window: Window) -> float:
        """Start of sound that may continue the event held back; inf if none can."""
        span = open_.span
        # Later windows may reach back as far as this one, to an unknown sound a window farther.
        reach = window.end - window.start if span.label == NO_LABEL else 0
        is_challenged = open_.challenge is not None and open_.challenge.is_correction
        may_be_corrected = is_challenged or window.start <= span.start + reach
        if may_be_corrected or window.active_until <= span.start:
            return span.start
        if self._is_reported(span.label):
            is_same = self._held is not None and span.label == self._held.label
            return span.start if is_same else math.inf
        return open_.challenge.start if open_.challenge else self._changed_at(open_, window)

    def _continues(self, span: _Span, held: _Held) -> bool:
        return span.label == held.label and span.start - held.end < self._merge

    def _is_reported(self, label: int) -> bool:
        return self._config.report_unknown if label == NO_LABEL else bool(self._is_event[label])

    def _ongoing(self, span: _Span, end: int, smoothed: Scores) -> Event | None:
        if not self._is_reported(span.label):
            return None
        held = self._held
        start = held.start if held is not None and self._continues(span, held) else span.start
        is_unknown = span.label == NO_LABEL
        score = self._likeliest(smoothed) if is_unknown else float(smoothed[span.label])
        return self._event(start, end, span.label, score)

    def _event(self, start: int, end: int, label: int, score: float) -> Event:
        name = UNKNOWN if label == NO_LABEL else self._labels[label]
        return Event(start / self._rate, end / self._rate, name, min(score, 1.0))


@dataclasses.dataclass
class _Span:
    """A stretch of a segment under one label, up to now.

    Attributes:
      label: its index, or `NO_LABEL`.
      start: position.
      peak: float64 [labels + 1]: the highest smoothed scores; last, that of the unknown.
    """

    label: int
    start: int
    peak: Scores


@dataclasses.dataclass
class _Challenge:
    """Label that is ahead of a span's.

    Attributes:
      start: where the change is dated to.
      peak: as a span's, since then.
      is_correction: whether the window that brought it had heard all of the span.
      windows: how many it lasts.
    """

    start: int
    peak: Scores
    is_correction: bool
    windows: int = 0


@dataclasses.dataclass(frozen=True)
class _Held:
    """An event that is complete but may be continued; start and end are positions."""

    label: int
    start: int
    end: int
    score: float


class _Open:
    """State of the open segment: `span` from its first window on."""

    def __init__(self, evidence: _Evidence) -> None:
        self.evidence = evidence
        self.windows = 0
        self.active_until = 0
        self.span = _Span(NO_LABEL, 0, np.append(evidence.scores, 0.0))
        self.challenge: _Challenge | None = None


class _Evidence:
    """Weighted mean of windows, older ones fading: of their log-scores and of their time.

    Attributes:
      scores: float64 [labels], 0..1, of the sum that the latest window's have.
      middle: position: of the middles of the windows' sound.
    """

    def __init__(self, labels: int, fade: float) -> None:
        """Starts with none; weights fall to 1/e in `fade` samples, at once if it is 0."""
        self._fade = fade
        self._weight = 0.0
        self._logs = np.zeros(labels)
        self._end = 0
        self.scores = np.zeros(labels)
        self.middle = 0.0

    def add(self, window: Window, scores: Scores) -> None:
        heard_from = max(window.start, window.onset)
        weight = window.end - heard_from
        if self._fade:
            self._weight *= math.exp((self._end - window.end) / self._fade)
        else:
            self._weight = 0.0
        self._weight += weight
        share = weight / self._weight
        self._logs += share * (np.log(scores + _OFFSET) - self._logs)
        self.middle += share * ((heard_from + window.end) / 2 - self.middle)
        self._end = window.end
        means = np.exp(self._logs)
        total = scores.sum() + len(scores) * _OFFSET
        self.scores = np.maximum(means * total / means.sum() - _OFFSET, 0.0)
