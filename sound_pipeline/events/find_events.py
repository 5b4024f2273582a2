"""From the scores of a recording's windows to its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline.events.event import Event
from sound_pipeline.events.min_scores import NO_LABEL, UNKNOWN, MinScores, leader
from sound_pipeline.events.silence import SILENCE_DB, SILENT_POWER
from sound_pipeline.system.arrays import Floats

NOT_NUMBERS = "the model's scores of it are no numbers: its network overflows, or is damaged"
"""Why a recording gets no label whose scores are not `are_numbers`."""


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    """Thresholds that turn scores of windows into events.

    Attributes:
      min_scores: what a label needs to be reported.
      report_unknown: whether sound that no label has enough score for is an event, "unknown".
      background: the label of what is no event; nothing special where the model lacks it.
    """

    min_scores: MinScores = dataclasses.field(default_factory=MinScores)
    report_unknown: bool = False
    background: str = "background"


@dataclasses.dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores of each window of a recording.

    Attributes:
      scores: float32 [windows, classes], each row summing to 1.
      starts: int64 [windows], the sample each starts at; rising.
      ends: int64 [windows], the sample after the last of each, in the recording.
      power: float32 [windows], the mean of the squared samples.
      is_audible: bool [windows], False for those that are quiet beside the loudest around them.
      sample_rate_hz: of the recording.
      samples: of the recording.
    """

    scores: Floats
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    power: Floats
    is_audible: npt.NDArray[np.bool_]
    sample_rate_hz: int
    samples: int

    @property
    def are_numbers(self) -> bool:
        """Whether all scores are; a network that overflows, or is damaged, answers otherwise."""
        return bool(np.isfinite(self.scores).all())

    @property
    def seconds(self) -> float:
        """Recording's length."""
        return self.samples / self.sample_rate_hz


def find_events(
    windows: WindowScores, labels: Sequence[str], config: LabelConfig
) -> tuple[list[Event], str]:
    """Events of a recording.

    At any moment the scores are the mean of the logarithms of those of the audible windows over
    it, normalised: as a model combines the windows of a recording. The label is then the one with
    the highest score among those that reach their minimum. Moments of one label that adjoin are
    one event. Where a quiet window lies over a moment, or where a whole window is silent,
    there is no event.

    Args:
      windows: of one recording, at least one.
      labels: the names of the classes, in the order of the scores.
      config: thresholds.

    Returns:
      events: in the order of time; they don't overlap.
      reason: why there is none, one line; empty where there is one.

    Raises:
      UserError: a minimum for a label that the model doesn't have.
    """
    reached_at = config.min_scores.reached_at(labels)
    spans, scores = _moments(windows)
    if not (windows.power > SILENT_POWER).any():
        return [], f"the recording is silent: it holds no sound above {SILENCE_DB:g} dBFS"
    if not len(spans):
        return [], "every moment lies in a window that is quiet beside the loudest"
    is_event = np.array([label != config.background for label in labels])
    leaders = [leader(row, reached_at, is_event) for row in scores]
    likeliest = np.where(is_event, scores, -1.0)
    events: list[Event] = []
    last_end = -1
    rate = windows.sample_rate_hz
    for (start, end), row, index, others in zip(spans, scores, leaders, likeliest, strict=True):
        is_unknown = index == NO_LABEL
        if not (config.report_unknown if is_unknown else is_event[index]):
            continue
        label = UNKNOWN if is_unknown else labels[index]
        score = float(others.max() if is_unknown else row[index])
        event = Event(float(start / rate), float(end / rate), label, score, tuple(map(float, row)))
        if events and last_end == start and events[-1].label == label:
            before = events.pop()
            better = event if score > before.score else before
            event = dataclasses.replace(
                better, start_seconds=before.start_seconds, end_seconds=event.end_seconds
            )
        events.append(event)
        last_end = end
    return events, "" if events else _why_none(spans[:, 0] / rate, likeliest, labels, config)


def _moments(windows: WindowScores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Stretches over which the same windows lie, but for quiet ones.

    Returns:
      spans: int64 [stretches, 2], first sample and the one after the last; rising.
      scores: float64 [stretches, classes], of the windows together.
    """
    is_heard = windows.is_audible & (windows.power > SILENT_POWER)
    edges = np.unique(np.concatenate((windows.starts, windows.ends)))
    # The windows over a stretch follow one another: both ends rise.
    first = np.searchsorted(windows.ends, edges[:-1], side="right")
    after = np.searchsorted(windows.starts, edges[:-1], side="right")
    logs = np.log(np.maximum(windows.scores, np.finfo(np.float32).tiny), dtype=np.float64)
    spans, scores = [], []
    for start, end, low, high in zip(edges[:-1], edges[1:], first, after, strict=True):
        if low < high and is_heard[low:high].all():
            mean = logs[low:high].mean(axis=0)
            together = np.exp(mean - mean.max())
            spans.append((start, end))
            scores.append(together / together.sum())
    classes = windows.scores.shape[1]
    return (
        np.array(spans, np.int64).reshape(-1, 2),
        np.array(scores, np.float64).reshape(-1, classes),
    )


def _why_none(
    start_seconds: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    labels: Sequence[str],
    config: LabelConfig,
) -> str:
    """Why no stretch became an event; `scores` are -1 for the background."""
    place, index = divmod(int(scores.argmax()), scores.shape[1])
    best = (
        f"the best was {labels[index]} {scores[place, index]:.2f} at {start_seconds[place]:.1f} s"
    )
    needed = config.min_scores.of(labels)[index]
    if scores[place, index] >= needed:
        return f"only {config.background} was heard; {best}"
    return f"nothing reached its minimum score: {best}, which needs {needed:.2f}"
