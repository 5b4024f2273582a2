"""Samples made fit for a model, and their levels: as ops on windows and whole recordings."""

from __future__ import annotations

import tensorflow as tf

from sound_pipeline.events.silence import SILENT_POWER

# Louder samples than this (80 dB over full scale) would overflow float32 in the power spectrum.
_LOUDEST_SAMPLE = 1e4


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


def audible_windows(power: tf.Tensor, quiet_db: float, reach: int | None = None) -> tf.Tensor:
    """Whether windows are not quiet beside the loudest around them.

    Args:
      power: float32 [batch, windows], mean of the squared samples.
      quiet_db: `WindowConfig.quiet_db`.
      reach: how many windows before and after each are around it; None: all.

    Returns:
      bool [batch, windows]; the loudest of all always is.
    """
    if reach is None:
        loudest = tf.reduce_max(power, axis=1, keepdims=True)
    else:
        around = tf.nn.max_pool1d(power[..., None], 2 * reach + 1, strides=1, padding="SAME")
        loudest = around[..., 0]
    return power >= loudest * 10.0 ** (quiet_db / 10.0)


def sounding_samples(waveform: tf.Tensor) -> tf.Tensor:
    """Samples up to the last that is not zero: int32 [batch] of float32 [batch, samples].

    Zeros behind it are padding, whoever put them there: batches of several lengths are made so.
    """
    samples = tf.shape(waveform)[1]

    def all_of_them() -> tf.Tensor:
        return tf.fill([tf.shape(waveform)[0]], samples)

    def search() -> tf.Tensor:
        after = tf.where(tf.not_equal(waveform, 0.0), tf.range(1, samples + 1), 0)
        return tf.maximum(tf.reduce_max(after, axis=1), 0)

    # Few recordings end with a zero.
    all_sound = tf.reduce_all(tf.not_equal(waveform[:, -1:], 0.0))
    return tf.cond(
        (samples > 0) & all_sound, lambda: tf.fill([tf.shape(waveform)[0]], samples), search
    )


def is_heard(samples: tf.Tensor) -> tf.Tensor:
    """Whether a stretch of sound, float32 [any], is more than silence: bool scalar.

    Its own offset doesn't count, so a lone sample is silent.
    """
    # float64, of which an offset takes nothing away. Of nothing, the variance is no number.
    return tf.math.reduce_variance(tf.cast(samples, tf.float64)) > SILENT_POWER
