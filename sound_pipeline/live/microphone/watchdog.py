"""Watchdog of silent devices: when one counts as frozen, and when to try again."""

from __future__ import annotations

from collections.abc import Callable

# Time that a look at the device accounts for at the most. A program that was itself stopped
# (Ctrl-Z, a suspended laptop, a starved machine) must not take its own absence for the device's.
_LONGEST_LOOK_SECONDS = 0.25

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 1.0
# A stream that ran so long was a good one: the next failure is a new one.
_GOOD_RUN_SECONDS = 5.0


class Silence:
    """For how long a device that was watched all the time has given nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Starts to watch; `clock` is `time.monotonic`, or a simulation."""
        self.seconds = 0.0
        self._clock = clock
        self._looked_at = clock()

    def heard(self) -> None:
        """Something came."""
        self.seconds = 0.0
        self._looked_at = self._clock()

    def nothing(self) -> None:
        """Nothing came since the last look."""
        now = self._clock()
        self.seconds += min(now - self._looked_at, _LONGEST_LOOK_SECONDS)
        self._looked_at = now


class BackOff:
    """Longer and longer pauses between attempts, up to one second."""

    def __init__(self) -> None:
        """Starts with the shortest pause."""
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def next_pause(self, ran_seconds: float) -> float:
        """Pause before the next attempt.

        Args:
          ran_seconds: how long the attempt that failed had given sound.
        """
        if ran_seconds >= _GOOD_RUN_SECONDS:
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        pause = self._pause_seconds
        self._pause_seconds = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return pause
