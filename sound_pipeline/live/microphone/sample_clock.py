"""Positions of samples in a stream that loses some: captured samples against the clock.

Sound systems lose samples without saying so (PulseAudio never set the overflow flag, even when
four seconds were missing). What they can't hide is that a second has gone by and less than a
second of samples has come.
"""

from __future__ import annotations

import math

# A sound card's clock may differ from the computer's by tens to hundreds of parts per million,
# which is not a loss.
MAX_DRIFT = 500e-6
# Callbacks come late and then several at once. Over this time at least one is on time.
_WINDOW_SECONDS = 1.0
# A longer silence starts the window anew: what comes after it may be a backlog being caught up.
_LONGEST_SILENCE_SECONDS = 0.25
# How far the most punctual callback of a window wanders, many times over (0.2 ms on PulseAudio).
_SMALLEST_LOSS_SECONDS = 0.05
# The same where PortAudio says that there is a loss to look for.
_SMALLEST_FLAGGED_LOSS_SECONDS = 0.01
# A flag may come in the middle of a window, whose first half then hides the loss.
_FLAGGED_WINDOWS = 2


class SampleClock:
    """Gives every block its position, leaving a gap where samples were lost.

    A block's delay is its arrival less its position in seconds. Late callbacks raise it for a
    moment; lost samples raise it for good. So the least delay of each second is compared with the
    least delay so far, which may rise only as fast as clocks drift apart, and what exceeds that
    was lost. A loss is noticed one to two seconds after it, and put before the block at which it
    is noticed.

    Attributes:
      captured: samples that came.
      lost: samples that didn't, as far as noticed.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        """Starts at position 0 with the first block."""
        self.captured = 0
        self.lost = 0
        self._rate_hz = sample_rate_hz
        self._arrived_at = -math.inf
        self._least_delay = math.inf
        self._window_start = -math.inf
        self._window_delay = math.inf
        self._is_new_stream = True
        # A stream's first second tells what its delay is, and isn't judged by it.
        self._is_settling = True
        self._flagged_windows = 0

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.captured + self.lost

    @property
    def captured_at(self) -> float:
        """Time at which the last sample was captured (`time.monotonic()`), up to a constant delay.

        Free of the callbacks' jitter, and never after the last one.
        """
        return min(self._arrived_at, self._least_delay + self.end / self._rate_hz)

    def reopened(self) -> None:
        """Next block comes from a new stream; the time between the two is lost."""
        self._is_new_stream = True

    def add(
        self, samples: int, arrived_at: float, dropped: int = 0, overflowed: bool = False
    ) -> int:
        """Takes note of a block.

        Args:
          samples: of one channel.
          arrived_at: when its callback came (`time.monotonic()`).
          dropped: samples before it that are known to be lost.
          overflowed: some before it were lost, it isn't known how many.

        Returns:
          The position of the block's first sample.
        """
        self.lost += dropped
        delay = arrived_at - (self.end + samples) / self._rate_hz
        silence = arrived_at - self._arrived_at
        self._arrived_at = arrived_at
        if overflowed:
            self._flagged_windows = _FLAGGED_WINDOWS
        if self._is_new_stream:
            self._is_new_stream = False
            self._is_settling = True
            # Of the very first block the least delay is infinite, and so nothing lost.
            delay -= self._lose(delay - self._least_delay)
            self._least_delay = delay
            self._start_window()
        elif silence > _LONGEST_SILENCE_SECONDS:
            self._start_window()
        else:
            self._least_delay += MAX_DRIFT * silence
        self._least_delay = min(self._least_delay, delay)
        self._window_delay = min(self._window_delay, delay)
        if arrived_at - self._window_start >= _WINDOW_SECONDS:
            self._judge()
            self._start_window()
        start = self.end
        self.captured += samples
        return start

    def _start_window(self) -> None:
        self._window_start = self._arrived_at
        self._window_delay = math.inf

    def _judge(self) -> None:
        if self._is_settling:
            self._is_settling = False
            self._least_delay = self._window_delay
            return
        least = _SMALLEST_FLAGGED_LOSS_SECONDS if self._flagged_windows else _SMALLEST_LOSS_SECONDS
        self._flagged_windows = max(0, self._flagged_windows - 1)
        excess = self._window_delay - self._least_delay
        if excess > least:
            self._lose(excess)

    def _lose(self, seconds: float) -> float:
        """Notes a loss of so much, if it is above zero; returns it rounded to whole samples."""
        samples = round(max(0.0, seconds) * self._rate_hz)
        self.lost += samples
        return samples / self._rate_hz
