"""From a stream of samples to events, with any classifier: knows no device and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sound_pipeline.events.event import Event
from sound_pipeline.features.mirroring import LEAD_SECONDS, mirrored_index
from sound_pipeline.live.gate import Gate
from sound_pipeline.live.segments import Item, Quiet, SegmentConfig, SegmentEnd, Segmenter, Window
from sound_pipeline.live.tracking import EventConfig, EventTracker

# A sound's decay after its last active frame that is heard.
_DECAY_SECONDS = 0.1

# float32 [samples] in -1..1 and their rate in Hz -> float32 [labels], which sum to 1.
Classify = Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.float32]]


class WindowClassifier(NamedTuple):
    """A model that labels windows.

    Attributes:
      classify: its scores.
      labels: in the order of the scores.
      window_seconds: how long a window is.
    """

    classify: Classify
    labels: Sequence[str]
    window_seconds: float


class Recogniser:
    """Gate, segmenter, classifier and tracker in a row.

    `feed`, `skip` and `finish` do everything at once. A program that must not keep the stream
    waiting for the classifier calls those of `segmenter` instead, and `handle` with what they
    return elsewhere: the two halves share nothing.

    Attributes:
      segmenter: from samples to windows.
      tracker: from scores to events.
    """

    def __init__(
        self,
        model: WindowClassifier,
        gate: Gate,
        sample_rate_hz: int,
        segments: SegmentConfig | None = None,
        events: EventConfig | None = None,
    ) -> None:
        """Starts at the beginning of a stream.

        Args:
          model: labels the windows.
          gate: this recogniser's own.
          sample_rate_hz: of the stream.
          segments: when segments begin and end; None for the defaults.
          events: how scores become events; None for the defaults.

        Raises:
          UserError: the configuration doesn't fit the labels or the window.
        """
        self._classify = model.classify
        self._rate = sample_rate_hz
        self._window = round(model.window_seconds * sample_rate_hz)
        self._lead = round(LEAD_SECONDS * sample_rate_hz)
        self._decay = round(_DECAY_SECONDS * sample_rate_hz)
        self.segmenter = Segmenter(
            segments or SegmentConfig(), gate, sample_rate_hz, model.window_seconds
        )
        self.tracker = EventTracker(events or EventConfig(), model.labels, sample_rate_hz)

    def feed(self, samples: npt.NDArray[np.float32]) -> list[Event]:
        """Takes the next samples, float32 [n], -1..1; returns events that are over."""
        return self._handle_all(self.segmenter.feed(samples))

    def skip(self, samples: int) -> list[Event]:
        """Counts lost samples; returns events that are over."""
        return self._handle_all(self.segmenter.skip(samples))

    def finish(self) -> list[Event]:
        """Ends the stream; returns the events left."""
        return self._handle_all(self.segmenter.finish()) + self.tracker.finish()

    def handle(self, item: Item) -> list[Event]:
        """Labels a window, or notes that there is none; returns events that are over."""
        match item:
            case Window():
                return self.tracker.add(item, self._classify(self._filled(item), self._rate))
            case SegmentEnd():
                return self.tracker.end(item)
            case Quiet():
                return self.tracker.advance(item)

    def _filled(self, window: Window) -> npt.NDArray[np.float32]:
        """Window filled up for the model: float32 [samples].

        Cut off and padded with silence, the first second of a rain is a short sound to the model,
        and it would name short sounds (docs/live.md has figures). So a sound that doesn't fill the
        window is mirrored until it does, like the beginnings that models train on, without the
        quiet at its end.
        """
        if len(window.samples) >= self._window:
            return window.samples
        onset = window.onset - window.start
        lead = min(onset, self._lead)
        heard = window.samples[onset - lead : window.active_until + self._decay - window.start]
        return heard[mirrored_index(np.arange(self._window), lead, len(heard))]

    def _handle_all(self, items: Iterable[Item]) -> list[Event]:
        return [event for item in items for event in self.handle(item)]
