"""Windows of a recording of any length, cut from blocks as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.levels import is_heard, usable
from sound_pipeline.features.log_mel import window_samples
from sound_pipeline.features.windows import full_windows, grid_start
from sound_pipeline.system.arrays import Floats

# Zeros that are handed on at once, where they turn out to be no padding.
_ZEROS_AT_ONCE = 1 << 16


class StreamedWindow(NamedTuple):
    """One window of a recording.

    Attributes:
      waveform: float32 [samples], as they were read: a model makes them usable by itself.
      start: the sample it starts at.
      end: the sample after its last, or after the recording's last where it is padded.
    """

    waveform: Floats
    start: int
    end: int


class WindowStream:
    """Windows of `split_windows`, cut from blocks, in constant memory, as they were read.

    Attributes:
      samples: the recording's, those taken so far; all of them after the last window.
    """

    def __init__(
        self, blocks: Iterable[Floats], sample_rate_hz: int, config: FeatureConfig
    ) -> None:
        """Takes the recording, and what to cut it by.

        Args:
          blocks: float32 [n] each, the recording in order.
          sample_rate_hz: its rate.
          config: gives the window's length and hop.
        """
        self.samples = 0
        self._blocks = blocks
        # The CPU's, even where there is a GPU: that has a model to run.
        with tf.device("/device:CPU:0"):
            self._length = int(window_samples(config, tf.constant(sample_rate_hz)))
        self._hop = sample_rate_hz * config.windows.hop_seconds

    def __iter__(self) -> Iterator[StreamedWindow]:
        """The windows, in the order of their starts; to be asked for once."""
        length, hop = self._length, self._hop
        waiting, position = np.zeros(0, np.float32), 0  # the samples from a position on
        windows = 0
        for block in self._without_padding():
            waiting = np.append(waiting, block) if len(waiting) else block
            for start in _starts(position + len(waiting), length, hop, windows):
                waiting, position = waiting[start - position :], start
                yield StreamedWindow(waiting[:length], start, start + length)
                windows += 1
        end = position + len(waiting)
        if not windows:
            yield StreamedWindow(np.pad(waiting, (0, length - len(waiting))), 0, end)
        elif _is_heard(waiting[length:]):
            yield StreamedWindow(waiting[-length:], end - length, end)

    def _without_padding(self) -> Iterator[Floats]:
        """Blocks, without the zeros at the end of the recording; see `sounding_samples`."""
        zeros = 0
        for block in self._blocks:
            self.samples += len(block)
            sounding = np.flatnonzero(np.isfinite(block) & (block != 0))
            if not len(sounding):
                zeros += len(block)
                continue
            while zeros:
                few = min(zeros, _ZEROS_AT_ONCE)
                yield np.zeros(few, np.float32)
                zeros -= few
            end = int(sounding[-1]) + 1
            yield block[:end]
            zeros = len(block) - end


def _starts(samples: int, length: int, hop: float, first: int) -> list[int]:
    """Starts of the full windows of so many samples, but for the first ones."""
    if samples < length:
        return []
    with tf.device("/device:CPU:0"):
        return [int(start) for start in _traced_starts(samples, length, hop, first).numpy()]


def _is_heard(samples: Floats) -> bool:
    with tf.device("/device:CPU:0"):
        return bool(_traced_is_heard(samples))


# Op by op, they would take several times as long.
_traced_starts = tf.function(
    lambda samples, length, hop, first: grid_start(
        tf.range(first, full_windows(samples, length, hop)), hop
    ),
    input_signature=[
        tf.TensorSpec([], dtype) for dtype in (tf.int64, tf.int64, tf.float64, tf.int64)
    ],
    autograph=False,
)
_traced_is_heard = tf.function(
    lambda samples: is_heard(usable(samples)),
    input_signature=[tf.TensorSpec([None], tf.float32)],
    autograph=False,
)
