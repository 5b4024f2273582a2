"""A recording as the windows a model looks at, and one answer from several windows.

`split_windows` cuts what is in memory, in-graph; `stream_windows` cuts the same windows from
blocks, however long the recording is. Where windows start is for `window_starts` alone to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sound_pipeline.events.silence import SILENT_POWER
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import window_samples
from sound_pipeline.system.arrays import Floats

WINDOWS_AT_ONCE = 16
"""Windows given to a model at a time: enough to keep the machine busy, and a recording of an hour
doesn't put thousands of images into memory at once."""

WINDOWS_VERSION = 4
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
      waveform: float32 [samples], as they were read: a model makes them usable by itself.
      start: the sample it starts at.
      end: the sample after its last, or after the recording's last where it is padded.
    """

    waveform: Floats
    start: int
    end: int


class Windows(NamedTuple):
    """Recordings cut into windows.

    Attributes:
      waveform: float32 [batch, windows, samples], each `without_offset`.
      audible: bool [batch, windows], False for those that are quiet beside the loudest of their
        recording.
      starts: int32 [windows], the sample each window starts at.
      power: float32 [batch, windows], mean of the squared samples.
    """

    waveform: tf.Tensor
    audible: tf.Tensor
    starts: tf.Tensor
    power: tf.Tensor


def split_windows(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> Windows:
    """Cuts recordings into overlapping windows, which start as `window_starts` says.

    A recording shorter than a window is padded with silence at its end.

    Args:
      waveform: float32 [batch, samples]; all of one length. Samples that are not finite count as
        zero.
      sample_rate_hz: int32 scalar, Hz.
      config: gives the window's length and hop, and what counts as quiet.
    """
    length = window_samples(config, sample_rate_hz)
    samples = tf.shape(waveform)[1]
    hop = tf.cast(sample_rate_hz, tf.float64) * config.windows.hop_seconds
    starts = tf.cast(window_starts(samples, length, hop), tf.int32)
    padded = tf.pad(usable(waveform), [[0, 0], [0, tf.maximum(length - samples, 0)]])
    cut = tf.map_fn(
        lambda start: padded[:, start : start + length],
        starts,
        fn_output_signature=tf.TensorSpec([None, None], tf.float32),
    )
    windows = without_offset(tf.transpose(cut, [1, 0, 2]))
    power = tf.reduce_mean(tf.square(windows), axis=2)
    return Windows(windows, audible_windows(power, config.windows.quiet_db), starts, power)


def audible_seconds(
    windows: Windows, samples: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig
) -> tf.Tensor:
    """Sound that an answer stands on: float32 [batch], seconds; 0 where all is silent.

    Args:
      windows: of recordings.
      samples: int32 scalar, the recordings' length.
      sample_rate_hz: int32 scalar, Hz.
      config: what they were cut by.
    """
    heard = windows.audible & (windows.power > SILENT_POWER)
    count = tf.reduce_sum(tf.cast(heard, tf.float32), axis=1)
    seconds = config.windows.seconds + (count - 1) * config.windows.hop_seconds
    recorded = tf.cast(samples / sample_rate_hz, tf.float32)
    return tf.where(count > 0, tf.minimum(seconds, recorded), 0.0)


def stream_windows(
    blocks: Iterable[Floats], sample_rate_hz: int, config: FeatureConfig
) -> Iterator[StreamedWindow]:
    """Windows of `split_windows`, cut from blocks, in constant memory, as they were read.

    Args:
      blocks: float32 [n] each, the recording in order.
      sample_rate_hz: its rate.
      config: gives the window's length and hop.
    """
    # The CPU's, even where there is a GPU: that has a model to run.
    with tf.device("/device:CPU:0"):
        length = int(window_samples(config, tf.constant(sample_rate_hz)))
    hop = sample_rate_hz * config.windows.hop_seconds
    waiting, position = np.zeros(0, np.float32), 0  # the samples from a position on
    windows, starts = 0, np.zeros(1, np.int64)
    for block in blocks:
        waiting = np.append(waiting, block) if len(waiting) else block
        with tf.device("/device:CPU:0"):
            starts = _traced_starts(position + len(waiting), length, hop, windows).numpy()
        # The last one may be moved by what comes, or have another after it; the others may not.
        for start in map(int, starts[:-1]):
            waiting, position = waiting[start - position :], start
            yield StreamedWindow(waiting[:length], start, start + length)
            windows += 1
    start = int(starts[-1])
    cut = waiting[start - position :][:length]
    padded = np.pad(cut, (0, length - len(cut)))
    yield StreamedWindow(padded, start, min(start + length, position + len(waiting)))


def window_starts(
    samples: tf.Tensor, length: tf.Tensor, hop: tf.Tensor, first: tf.Tensor | int = 0
) -> tf.Tensor:
    """Starts of the windows of a recording.

    One starts every hop, and the last is moved to end with the recording, so every window but a
    lone one is full of sound. A remainder shorter than a tenth of a hop makes no window of its own;
    beyond a lone window it is left out. If the recording goes on, all but the last stay where they
    are.

    Args:
      samples: int32 or int64 scalar, the recording's length.
      length: int32 or int64 scalar, that of a window.
      hop: float64 scalar, samples from one start to the next, before they are rounded.
      first: int scalar, how many of the first windows to leave out, at most all but the last.

    Returns:
      int64 [windows], rising.
    """
    excess = tf.maximum(tf.cast(samples, tf.int64) - tf.cast(length, tf.int64), 0)
    further = tf.math.ceil(tf.cast(excess, tf.float64) / hop - _IGNORED_REMAINDER)
    last = tf.cast(tf.maximum(further, 0.0), tf.int64)
    number = tf.range(tf.cast(first, tf.int64), last + 1)
    starts = tf.cast(tf.round(tf.cast(number, tf.float64) * hop), tf.int64)
    return tf.where(tf.equal(number, last) & (last > 0), excess, starts)


# Op by op, it would take several times as long.
_traced_starts = tf.function(
    window_starts,
    input_signature=[
        tf.TensorSpec([], dtype) for dtype in (tf.int64, tf.int64, tf.float64, tf.int64)
    ],
    autograph=False,
)


def usable(waveform: tf.Tensor) -> tf.Tensor:
    """Samples that a power spectrum can be made of: finite, of bounded size; shaped as given."""
    finite = tf.where(tf.math.is_finite(waveform), waveform, 0.0)
    return tf.clip_by_value(finite, -_LOUDEST_SAMPLE, _LOUDEST_SAMPLE)


def without_offset(windows: tf.Tensor) -> tf.Tensor:
    """Windows less the mean of each: what a cheap microphone adds, and nobody hears.

    An offset would leak into the lowest mel bands and raise every level. Zeros before the first
    sample that is not zero and after the last are padding: they neither count nor change.

    Args:
      windows: float32 [..., samples], `usable`.

    Returns:
      float32, shaped as given.
    """
    ends = tf.gather(windows, [0, tf.shape(windows)[-1] - 1], axis=-1)

    def less_the_mean() -> tf.Tensor:
        total = tf.reduce_sum(tf.cast(windows, tf.float64), axis=-1, keepdims=True)
        mean = total / tf.cast(tf.shape(windows)[-1], tf.float64)
        return windows - tf.cast(mean, tf.float32)

    # A third of the time, where it is enough.
    return tf.cond(
        tf.reduce_any(tf.equal(ends, 0.0)),
        lambda: without_offset_unbranched(windows, tf.float64),
        less_the_mean,
    )


def without_offset_unbranched(windows: tf.Tensor, sum_type: tf.DType) -> tf.Tensor:
    """`without_offset` without branches, adding up samples in a float type of choice.

    The sum of float64 is the same whatever is beside a window in its batch, and is kept where a
    graph is computed in less than float32. TensorFlow Lite adds up no float64.
    """
    samples = tf.shape(windows)[-1]
    sounding = tf.cast(tf.not_equal(windows, 0.0), tf.int32)
    first = tf.argmax(sounding, axis=-1, output_type=tf.int32)[..., None]
    mirrored = tf.reverse(sounding, [-1])
    end = samples - tf.argmax(mirrored, axis=-1, output_type=tf.int32)[..., None]
    total = tf.reduce_sum(tf.cast(windows, sum_type), axis=-1, keepdims=True)
    mean = tf.cast(total / tf.cast(end - first, sum_type), tf.float32)
    place = tf.range(samples)
    return tf.where((place >= first) & (place < end), windows - mean, 0.0)


def usable_windows(windows: tf.Tensor) -> tf.Tensor:
    """Whole windows as they were read, made `usable` and `without_offset`, as those of training."""
    return without_offset(usable(windows))


def mean_power(windows: tf.Tensor) -> tf.Tensor:
    """Mean of the squared samples: float32 [batch] of `usable_windows` [batch, samples]."""
    # float64, which a graph that is computed in less than float32 keeps.
    squares = tf.square(tf.cast(windows, tf.float64))
    return tf.cast(tf.reduce_mean(squares, axis=1), tf.float32)


def audible_windows(power: tf.Tensor, quiet_db: float) -> tf.Tensor:
    """Whether windows are not quiet beside the loudest of their recording, which never is.

    Args:
      power: float32 [batch, windows], mean of the squared samples.
      quiet_db: `WindowConfig.quiet_db`.

    Returns:
      bool [batch, windows].
    """
    loudest = tf.reduce_max(power, axis=1, keepdims=True)
    return power >= loudest * 10.0 ** (quiet_db / 10.0)
