"""Recordings in memory as the windows a model looks at, in-graph.

`window_stream` cuts the same windows from blocks, however long the recording is. Where windows
start is for `full_windows` and `grid_start` alone to say.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sound_pipeline.events.silence import SILENT_POWER
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.levels import (
    audible_windows,
    is_heard,
    sounding_samples,
    usable,
    without_offset,
)
from sound_pipeline.features.log_mel import window_samples

WINDOWS_AT_ONCE = 16
"""Windows given to a model at a time: enough to keep the machine busy, and a recording of an hour
doesn't put thousands of images into memory at once."""

WINDOWS_VERSION = 5
"""Raised whenever recordings are cut into other windows or beginnings: embeddings of all extractors
are then computed again."""


class Windows(NamedTuple):
    """Recordings cut into windows; those with fewer than others have fillers at the end.

    Attributes:
      waveform: float32 [batch, windows, samples], each `without_offset`.
      audible: bool [batch, windows], False for fillers and for those that are quiet beside the
        loudest of the half minute around them.
      starts: int32 [batch, windows], the sample each window starts at.
      power: float32 [batch, windows], mean of the squared samples; 0 of fillers.
      samples: int32 [batch], how long each recording is, without the zeros at its end.
    """

    waveform: tf.Tensor
    audible: tf.Tensor
    starts: tf.Tensor
    power: tf.Tensor
    samples: tf.Tensor


def split_windows(
    waveform: tf.Tensor,
    sample_rate_hz: tf.Tensor,
    config: FeatureConfig,
    heard: tf.Tensor | None = None,
) -> Windows:
    """Cuts recordings into overlapping windows, each as if it were alone.

    A window starts every hop for as long as the recording fills it; where sound is left behind the
    last, one more ends with the recording. Zeros at a recording's end are padding and not part of
    it. A recording shorter than a window is padded with silence at its end.

    Args:
      waveform: float32 [batch, samples]. Samples that are not finite count as zero.
      sample_rate_hz: int32 scalar, Hz.
      config: gives the window's length and hop, and what counts as quiet.
      heard: float32 [batch, samples], what decides where windows are and which are audible in
        place of the waveform: the sound before noise was mixed into it.
    """
    length = window_samples(config, sample_rate_hz)
    sound = usable(waveform)
    judged = sound if heard is None else usable(heard)
    samples = sounding_samples(judged)
    hop = tf.cast(sample_rate_hz, tf.float64) * config.windows.hop_seconds
    starts, is_window = _starts(judged, samples, length, hop)
    windows = _cut(sound, starts, length)
    of_judged = windows if heard is None else _cut(judged, starts, length)
    power = tf.where(is_window, tf.reduce_mean(tf.square(of_judged), axis=2), 0.0)
    audible = is_window & audible_windows(power, config.windows.quiet_db, config.windows.reach)
    return Windows(windows, audible, starts, power, samples)


def audible_seconds(
    windows: Windows, sample_rate_hz: tf.Tensor, config: FeatureConfig
) -> tf.Tensor:
    """Sound that an answer stands on: float32 [batch], seconds; 0 where all is silent.

    Args:
      windows: of recordings.
      sample_rate_hz: int32 scalar, Hz.
      config: what they were cut by.
    """
    heard = windows.audible & (windows.power > SILENT_POWER)
    count = tf.reduce_sum(tf.cast(heard, tf.float32), axis=1)
    seconds = config.windows.seconds + (count - 1) * config.windows.hop_seconds
    recorded = tf.cast(windows.samples / sample_rate_hz, tf.float32)
    return tf.where(count > 0, tf.minimum(seconds, recorded), 0.0)


def full_windows(samples: tf.Tensor, length: tf.Tensor, hop: tf.Tensor) -> tf.Tensor:
    """How many windows, a hop apart, a recording fills; a lone one it need not.

    Args:
      samples: int32 or int64, of any shape, the recording's length.
      length: int32 or int64 scalar, that of a window.
      hop: float64 scalar, samples from one start to the next, before they are rounded.

    Returns:
      int64, of that shape, 1 or more.
    """
    excess = tf.maximum(tf.cast(samples, tf.int64) - tf.cast(length, tf.int64), 0)
    return tf.cast(tf.floor(tf.cast(excess, tf.float64) / hop), tf.int64) + 1


def grid_start(number: tf.Tensor, hop: tf.Tensor) -> tf.Tensor:
    """Sample at which the numbered of those windows starts: int64, of the number's shape."""
    return tf.cast(tf.round(tf.cast(number, tf.float64) * hop), tf.int64)


def _starts(
    sound: tf.Tensor, samples: tf.Tensor, length: tf.Tensor, hop: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Starts of each recording's windows, int32 [batch, windows], and whether each is one."""
    full = full_windows(samples, length, hop)
    after_full = tf.cast(grid_start(full - 1, hop), tf.int32) + length

    def is_tail_heard(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        waveform, start, end = row
        return is_heard(waveform[tf.minimum(start, end) : end])

    has_tail = tf.map_fn(is_tail_heard, (sound, after_full, samples), fn_output_signature=tf.bool)
    count = tf.cast(full, tf.int32) + tf.cast(has_tail, tf.int32)
    number = tf.range(tf.reduce_max(tf.concat([count, [1]], axis=0)))[None]
    is_window = number < count[:, None]
    is_last = has_tail[:, None] & tf.equal(number, count[:, None] - 1)
    starts = tf.where(
        is_last, (samples - length)[:, None], tf.cast(grid_start(number, hop), tf.int32)
    )
    return tf.where(is_window, starts, 0), is_window


def _cut(sound: tf.Tensor, starts: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Windows [batch, windows, length] of recordings [batch, samples], `without_offset`."""
    missing = tf.maximum(length - tf.shape(sound)[1], 0)
    padded = tf.pad(sound, [[0, 0], [0, missing]])
    rows, columns = tf.unstack(tf.shape(padded))
    # As one long row, so that each window is a slice, wherever it starts in its own.
    long = tf.reshape(padded, [-1])
    firsts = tf.reshape(starts + columns * tf.range(rows)[:, None], [-1])

    def slices() -> tf.Tensor:
        return tf.map_fn(
            lambda first: long[first : first + length],
            firsts,
            fn_output_signature=tf.TensorSpec([None], tf.float32),
        )

    # Of no recordings, map_fn could not tell the shape of a window.
    cut = tf.cond(rows > 0, slices, lambda: tf.zeros([0, length]))
    return without_offset(tf.reshape(cut, [rows, tf.shape(starts)[1], length]))
