"""`resampling.resample` in core TensorFlow ops, for windows inside a graph."""

from __future__ import annotations

import tensorflow as tf

from sound_pipeline.audio.resampling import transform_lengths


def resample(
    waveform: tf.Tensor,
    sample_rate_hz: tf.Tensor,
    new_rate_hz: int | tf.Tensor,
    new_samples: int | tf.Tensor,
) -> tf.Tensor:
    """Windows at another rate; see `resampling.resample`, which gives the same numbers.

    Args:
      waveform: float32 [batch, samples].
      sample_rate_hz: int32 scalar, Hz.
      new_rate_hz: the rate wanted; a number or an int32 scalar.
      new_samples: how many samples to give, at most those of `waveform` and a second more.

    Returns:
      float32 [batch, new_samples].
    """
    length, new_length = transform_lengths(tf.shape(waveform)[1], sample_rate_hz, new_rate_hz)
    # Both transforms pad with zeros, or cut off, what doesn't have their length.
    spectrum = tf.signal.rfft(waveform, [length])
    resampled = tf.signal.irfft(spectrum, [new_length])[:, :new_samples]
    return resampled * tf.cast(new_rate_hz / sample_rate_hz, tf.float32)
