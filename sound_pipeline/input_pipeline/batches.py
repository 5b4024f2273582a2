"""Batches of windows on their way to an extractor, and which of them have come."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# Position given to the rows that only fill a batch up.
FILLER = -1


class Batch(NamedTuple):
    """Windows of several recordings, ready for an extractor.

    Attributes:
      prepared: [batch, ...], what the extractor takes.
      recording: int32 [batch], position of the recording; FILLER in rows without meaning.
      window: int32 [batch], which of the recording's windows: the audible ones, then one for each
        of `config.beginnings`.
      windows: int32 [batch], how many the recording has.
      reason: object [batch] of bytes, why the recording can't be read; empty where it can. Such a
        recording comes as one window of silence.
      remark: object [batch] of bytes, how the recording is decoded if it isn't as it should be.
    """

    prepared: tf.Tensor
    recording: npt.NDArray[np.int32]
    window: npt.NDArray[np.int32]
    windows: npt.NDArray[np.int32]
    reason: npt.NDArray[np.object_]
    remark: npt.NDArray[np.object_]


class DeliveryTracker:
    """Lets every window through once, and knows which recordings have not come whole.

    Workers of a data service may die with a part of a recording delivered; it is then read again.
    """

    def __init__(self, recordings: int) -> None:
        """Expects the windows of so many recordings."""
        self._is_whole = np.zeros(recordings, bool)
        self._whole = 0
        self._came: dict[int, set[int]] = {}

    @property
    def missing(self) -> npt.NDArray[np.int32]:
        """Positions of the recordings that are not whole."""
        return np.flatnonzero(~self._is_whole).astype(np.int32)

    @property
    def is_done(self) -> bool:
        """Whether every recording has come whole."""
        return self._whole == len(self._is_whole)

    def sift(self, batch: Batch) -> Batch:
        """Batch, with fillers in place of what came before."""
        recording = batch.recording.copy()
        columns = (batch.recording.tolist(), batch.window.tolist(), batch.windows.tolist())
        for row, (position, window, windows) in enumerate(zip(*columns, strict=True)):
            if position == FILLER:
                continue
            came = self._came.setdefault(position, set())
            if self._is_whole[position] or window in came:
                recording[row] = FILLER
            came.add(window)
            if len(came) == windows and not self._is_whole[position]:
                self._is_whole[position] = True
                self._whole += 1
            if self._is_whole[position]:
                del self._came[position]
        return batch._replace(recording=recording)
