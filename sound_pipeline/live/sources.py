"""Sources of live sound: blocks of a microphone, or of a recording replayed like one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sound_pipeline.live.microphone.capture import Block, Microphone

_BLOCK_SECONDS = 0.02


class Source(Protocol):
    """A stream of sound.

    Attributes:
      name: the recording's path, or the microphone's name.
      sample_rate_hz: of the stream.
      is_live: whether sound comes by the clock, and waits for nobody.
      is_over: whether no block will come any more.
      lost_seconds: sound that was made and did not arrive.
    """

    name: str
    sample_rate_hz: int
    is_live: bool

    @property
    def is_over(self) -> bool:
        """See above."""

    @property
    def lost_seconds(self) -> float:
        """See above."""

    def read(self, timeout_seconds: float) -> Block | None:
        """Next block; None where none came in time."""

    def notices(self) -> list[str]:
        """Notices for the person since the last call."""


class MicrophoneSource:
    """A microphone as a `Source`."""

    is_live = True

    def __init__(self, microphone: Microphone, longest_seconds: float = math.inf) -> None:
        """Takes an open microphone.

        Args:
          microphone: it.
          longest_seconds: time after which it is over, whatever has come.
        """
        self._ends_at = time.monotonic() + longest_seconds
        self.name = microphone.name
        self.sample_rate_hz = microphone.sample_rate_hz
        self._microphone = microphone

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() >= self._ends_at

    @property
    def lost_seconds(self) -> float:
        """Sound that was made and did not arrive, a present outage included."""
        return self._microphone.statistics.lost_seconds

    def read(self, timeout_seconds: float) -> Block | None:
        """Next block; None where none came in time."""
        return self._microphone.read(timeout_seconds)

    def notices(self) -> list[str]:
        """Notices for the person since the last call."""
        return [notice.text for notice in self._microphone.take_notices()]


class Replay:
    """A recording as a `Source`: as fast as it is taken, or by the clock."""

    lost_seconds = 0.0

    def __init__(
        self,
        name: str,
        samples: Iterable[npt.NDArray[np.float32]],
        sample_rate_hz: int,
        is_live: bool = False,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Starts at the beginning.

        Args:
          name: the recording's path.
          samples: float32 [n] each, -1..1; stretches of it, of any length, in order. What raises
            where they are taken goes through `read`.
          sample_rate_hz: its rate.
          is_live: whether a second of it takes a second.
          seconds: the clock.
          sleep: waits.
        """
        self.name = name
        self.sample_rate_hz = sample_rate_hz
        self.is_live = is_live
        self._stretches = iter(samples)
        self._waiting = np.zeros(0, np.float32)
        self._position = 0
        self._block = max(1, round(_BLOCK_SECONDS * sample_rate_hz))
        self._seconds = seconds
        self._sleep = sleep
        self._started = seconds()

    @property
    def is_over(self) -> bool:
        """Whether everything was read."""
        self._fill(1)
        return not len(self._waiting)

    def read(self, timeout_seconds: float) -> Block | None:
        """Next 20 ms; by the clock, None where they aren't due in time."""
        self._fill(self._block)
        start = self._position
        end = start + min(self._block, len(self._waiting))
        if end == start:
            return None
        due = self._started + end / self.sample_rate_hz
        if self.is_live:
            wait = due - self._seconds()
            if wait > timeout_seconds:
                self._sleep(timeout_seconds)
                return None
            if wait > 0:
                self._sleep(wait)
        self._position = end
        samples, self._waiting = np.split(self._waiting, [end - start])
        return Block(samples, start, due if self.is_live else self._seconds())

    def notices(self) -> list[str]:
        """None."""
        return []

    def _fill(self, wanted: int) -> None:
        """Takes stretches until so many samples wait, or there are no more."""
        while len(self._waiting) < wanted:
            following = next(self._stretches, None)
            if following is None:
                break
            self._waiting = np.concatenate((self._waiting, following))


class Clock:
    """Time of day of positions in a stream."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Knows nothing before the first block."""
        self._rate = sample_rate_hz
        self._end = 0
        self._at = datetime.now().astimezone()

    def note(self, block: Block) -> None:
        """Takes the latest block."""
        age = timedelta(seconds=time.monotonic() - block.captured_at)
        self._end = block.start + len(block.samples)
        self._at = datetime.now().astimezone() - age

    def time_of(self, position_seconds: float) -> datetime:
        """Time at which the sound at a position of the stream was made."""
        return self._at - timedelta(seconds=self._end / self._rate - position_seconds)
