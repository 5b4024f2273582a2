"""A recording as the windows a model looks at, and one answer from several windows.

`split_windows` cuts what is in memory, in-graph; `stream_windows` cuts the same windows from
blocks, however long the recording is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import window_samples
from sound_pipeline.system.arrays import Floats

WINDOWS_AT_ONCE = 16
"""Windows given to a model at a time: enough to keep the machine busy, and a recording of an hour
doesn't put thousands of images into memory at once."""

WINDOWS_VERSION = 3
"""Raised whenever recordings are cut into other windows or beginnings: embeddings of all extractors
are then computed again."""

# Louder samples than this (80 dB over full scale) would overflow float32 in the power spectrum.
_LOUDEST_SAMPLE = 1e4
# A remainder shorter than this share of a hop is not worth a window of its own: encoders pad
# their files by a few milliseconds.
_IGNORED_REMAINDER = 0.1


class StreamedWindow(NamedTuple):
    """One window of a recording.

    Attributes:
      waveform: float32 [samples], finite.
      start: the sample it starts at.
      end: the sample after its last, or after the recording's last where it is padded.
    """

    waveform: Floats
    start: int
    end: int


class Windows(NamedTuple):
    """Recordings cut into windows.

    Attributes:
      waveform: float32 [batch, windows, samples].
      audible: bool [batch, windows], False for those that are quiet beside the loudest of their
        recording.
      starts: int32 [windows], the sample each window starts at.
    """

    waveform: tf.Tensor
    audible: tf.Tensor
    starts: tf.Tensor


def split_windows(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> Windows:
    """Cuts recordings into overlapping windows.

    A recording shorter than a window is padded with silence at its end. In a longer one windows
    start every `config.windows.hop_seconds`, and the last is moved to end with the recording, so
    every window but a lone one is full of sound. A remainder shorter than a tenth of a hop makes
    no window of its own; beyond a lone window it is left out.

    Args:
      waveform: float32 [batch, samples]; all of one length. Samples that are not finite count as
        zero.
      sample_rate_hz: int32 scalar, Hz.
      config: gives the window's length and hop, and what counts as quiet.
    """
    length = window_samples(config, sample_rate_hz)
    hop = tf.cast(sample_rate_hz, tf.float64) * config.windows.hop_seconds
    samples = tf.shape(waveform)[1]
    excess = tf.maximum(samples - length, 0)
    further = tf.math.ceil(tf.cast(excess, tf.float64) / hop - _IGNORED_REMAINDER)
    count = 1 + tf.cast(tf.maximum(further, 0.0), tf.int32)
    starts = tf.cast(tf.round(tf.range(count, dtype=tf.float64) * hop), tf.int32)
    is_last = tf.equal(tf.range(count), count - 1)
    starts = tf.where(is_last & (count > 1), excess, starts)
    padded = tf.pad(usable(waveform), [[0, 0], [0, tf.maximum(length - samples, 0)]])
    cut = tf.map_fn(
        lambda start: padded[:, start : start + length],
        starts,
        fn_output_signature=tf.TensorSpec([None, None], tf.float32),
    )
    windows = tf.transpose(cut, [1, 0, 2])
    power = tf.reduce_mean(tf.square(windows), axis=2)
    return Windows(windows, audible_windows(power, config.windows.quiet_db), starts)


def stream_windows(
    blocks: Iterable[Floats], sample_rate_hz: int, config: FeatureConfig
) -> Iterator[StreamedWindow]:
    """The windows of `split_windows`, cut from blocks, in constant memory.

    Args:
      blocks: float32 [n] each, the recording in order.
      sample_rate_hz: its rate.
      config: gives the window's length and hop.
    """
    length = round(config.windows.seconds * sample_rate_hz)
    hop = sample_rate_hz * config.windows.hop_seconds
    waiting, position = np.zeros(0, np.float32), 0  # the samples from a position on
    windows = 0
    for block in blocks:
        limited = _limited(block)
        waiting = np.append(waiting, limited) if len(waiting) else limited
        excess = position + len(waiting) - length
        # One with another after it can't be the last, which is moved.
        while excess >= 0 and math.ceil(excess / hop - _IGNORED_REMAINDER) > windows:
            start = round(windows * hop)
            # The last may start behind this one, by any distance.
            waiting, position = waiting[start - position :], start
            yield StreamedWindow(waiting[:length], start, start + length)
            windows += 1
    total = position + len(waiting)
    start = max(total - length, 0) if windows else 0
    cut = waiting[start - position :][:length]
    padded = np.pad(cut, (0, length - len(cut)))
    yield StreamedWindow(padded, start, min(start + length, total))


def _limited(block: Floats) -> Floats:
    """What `split_windows` makes of samples; the same array where it would change none."""
    # Without a copy in the usual case. Comparisons with NaN are false.
    if not block.size or (block.min() >= -_LOUDEST_SAMPLE and block.max() <= _LOUDEST_SAMPLE):
        return block
    finite = np.where(np.isfinite(block), block, np.float32(0))
    return np.clip(finite, -_LOUDEST_SAMPLE, _LOUDEST_SAMPLE)


def usable(waveform: tf.Tensor) -> tf.Tensor:
    """Samples that a power spectrum can be made of: finite, of bounded size; shaped as given."""
    finite = tf.where(tf.math.is_finite(waveform), waveform, 0.0)
    return tf.clip_by_value(finite, -_LOUDEST_SAMPLE, _LOUDEST_SAMPLE)


def audible_windows(power: tf.Tensor, quiet_db: float) -> tf.Tensor:
    """Which windows are not quiet beside the loudest of their recording, which never is.

    Args:
      power: float32 [batch, windows], mean of the squared samples.
      quiet_db: `WindowConfig.quiet_db`.

    Returns:
      bool [batch, windows].
    """
    loudest = tf.reduce_max(power, axis=1, keepdims=True)
    return power >= loudest * 10.0 ** (quiet_db / 10.0)
