"""Levels of frames, and the noise floor of the room.

The noise floor is the least of the levels of the last seconds (after Martin 2001, "Noise power
spectral density estimation based on optimal smoothing and minimum statistics"): the median level
of each half second is noted, and the lowest of the newest notes counts. A loud moment doesn't
raise it, a quieter room lowers it at once, and a louder one raises it when the older notes are
gone. While a segment is open nothing is noted, so that a long sound doesn't become its own floor;
but not without end: what is still there after a while counts as the room.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from sound_pipeline.events.silence import SILENT_POWER

FRAME_SECONDS = 0.01
NOTE_SECONDS = 0.5


def frames_in(seconds: float) -> int:
    """Frames of 10 ms in a time."""
    return round(seconds / FRAME_SECONDS)


def levels_db(
    before: npt.NDArray[np.float64], frames: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Levels of frames without what a room's rumble and a device's offset add to them.

    The running mean over one frame's length (10 ms) is taken off, which leaves 100 Hz as it is and
    takes 9 dB off 50 Hz and 24 dB off 20 Hz. It looks half a frame ahead, so levels are half a
    frame late.

    Args:
      before: [count, frame], the frame before each.
      frames: [count, frame], samples in -1..1.

    Returns:
      [count], mean squares in dB (0: a square wave from -1 to 1; -3: a sine), `SILENCE_DB` or
      more. Each depends on its own row alone, to the bit.
    """
    length = frames.shape[1]
    both = np.hstack((before, frames))
    sums = np.cumsum(np.hstack((np.zeros((len(both), 1)), both)), axis=1)
    means = (sums[:, length : 2 * length] - sums[:, :length]) / length
    middle = both[:, length // 2 : length // 2 + length]
    power = np.mean((middle - means) ** 2, axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, SILENT_POWER)))


class NoiseFloor:
    """Level of the room, learned frame by frame.

    Attributes:
      db: the floor as learned so far, dBFS.
    """

    def __init__(
        self, *, prior_db: float, min_db: float, memory_seconds: float, hold_seconds: float
    ) -> None:
        """Starts with nothing learned.

        Args:
          prior_db: the floor until the first half second is learned.
          min_db: the floor is never lower.
          memory_seconds: how long a note counts, while no segment is open.
          hold_seconds: how long an open segment keeps the floor as it was.
        """
        self.db = prior_db
        self._min_db = min_db
        self._levels: list[float] = []
        self._notes: deque[float] = deque(maxlen=round(memory_seconds / NOTE_SECONDS))
        self._hold_frames = frames_in(hold_seconds)
        self._held: int | None = None  # frames since a segment opened; None while none is open

    def hold(self, is_open: bool) -> None:
        """Says that a segment is open, or no longer, from the next frame on."""
        if not is_open:
            self._held = None
        elif self._held is None:
            self._held = 0

    def learn(self, level_db: float) -> None:
        """Takes the level of the next frame."""
        if self._held is not None:
            self._held += 1
            if self._held <= self._hold_frames:
                return
            if self._held == self._hold_frames + 1:
                # The room as it was is no longer there to be compared with.
                self._notes.clear()
                self._levels.clear()
        self._levels.append(level_db)
        if len(self._levels) == frames_in(NOTE_SECONDS):
            self._notes.append(float(np.median(self._levels)))
            self._levels.clear()
            self.db = max(self._min_db, min(self._notes))
