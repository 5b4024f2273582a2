"""Figures of a live session: what was captured, what was labelled, and how late the labels came."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sound_pipeline.events.text import clock_text, latency_text

_SHORTEST_SECONDS = 1e-4
_LONGEST_SECONDS = 1e3
_BINS_PER_DECADE = 120

# A percentile lies at most this far, relatively, from the one of the latencies themselves.
LATENCY_TOLERANCE = 10 ** (0.5 / _BINS_PER_DECADE) - 1


class LatencyHistogram:
    """Percentiles of any number of latencies in 7 kB, off by 1 % at most.

    Latencies are counted in bins of equal width on a logarithmic scale from 0.1 ms to 1000 s, and
    a percentile is the middle of the bin that holds it. The tolerance is `LATENCY_TOLERANCE`;
    beyond the scale's ends, and at 0 and 100 %, the least and the greatest latency are exact.
    """

    def __init__(self) -> None:
        """Starts without any."""
        decades = math.log10(_LONGEST_SECONDS / _SHORTEST_SECONDS)
        self._counts = np.zeros(round(decades * _BINS_PER_DECADE), np.int64)
        self._least = math.inf
        self._greatest = 0.0

    @property
    def count(self) -> int:
        """Number of latencies added."""
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        """Counts a latency, 0 or more seconds."""
        place = math.log10(max(seconds, _SHORTEST_SECONDS) / _SHORTEST_SECONDS)
        self._counts[min(int(place * _BINS_PER_DECADE), len(self._counts) - 1)] += 1
        self._least = min(self._least, seconds)
        self._greatest = max(self._greatest, seconds)

    def percentile(self, percent: float) -> float:
        """Least latency, in seconds, that `percent` of them don't exceed (nearest rank).

        Raises:
          ValueError: none was added yet.
        """
        count = self.count
        if not count:
            raise ValueError("no latency was added yet")
        rank = max(1, math.ceil(percent / 100 * count))
        if rank == 1:
            return self._least
        if rank == count:
            return self._greatest
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        if place == len(self._counts) - 1:
            return self._greatest
        middle = _SHORTEST_SECONDS * 10 ** ((place + 0.5) / _BINS_PER_DECADE)
        return float(min(max(middle, self._least), self._greatest))


@dataclasses.dataclass
class SessionStatistics:
    """Counts and latencies of a live session so far.

    Attributes:
      captured_seconds: sound that arrived.
      lost_seconds: sound that was made and did not arrive, by the clock.
      windows: windows labelled.
      skipped_windows: windows left out because labelling was slower than the sound.
      events: events reported.
      latency: of labels, from the end of a window's sound.
    """

    captured_seconds: float = 0.0
    lost_seconds: float = 0.0
    windows: int = 0
    skipped_windows: int = 0
    events: int = 0
    latency: LatencyHistogram = dataclasses.field(default_factory=LatencyHistogram)

    def summary(self) -> str:
        """Session in two or three lines."""
        lines = [
            f"captured {clock_text(self.captured_seconds)} of sound, "
            f"lost {self.lost_seconds:.1f} s",
            f"labelled {_counted(self.windows, 'window')}, skipped {self.skipped_windows}; "
            f"{_counted(self.events, 'event')}",
        ]
        if self.latency.count:
            shares = (
                f"{percent} % within {latency_text(self.latency.percentile(percent))}"
                for percent in (50, 95, 99)
            )
            lines.append(f"latency of labels: {', '.join(shares)}")
        return "\n".join(lines)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
