"""A recording as the windows a model looks at, and one answer from several windows."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sound_pipeline.config import FeatureConfig
from sound_pipeline.features import window_samples

# Louder samples than this (80 dB over full scale) would overflow float32 in the power spectrum.
_LOUDEST_SAMPLE = 1e4
# A remainder shorter than this share of a hop is not worth a window of its own: encoders pad
# their files by a few milliseconds.
_IGNORED_REMAINDER = 0.1


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
    start every `config.window_hop_seconds`, and the last is moved to end with the recording, so
    every window but a lone one is full of sound. A remainder shorter than a tenth of a hop makes
    no window of its own; beyond a lone window it is left out.

    Args:
      waveform: float32 [batch, samples]; all of one length. Samples that are not finite count as
        zero.
      sample_rate_hz: int32 scalar, Hz.
      config: gives the window's length and hop, and what counts as quiet.
    """
    length = window_samples(config, sample_rate_hz)
    hop = tf.cast(sample_rate_hz, tf.float64) * config.window_hop_seconds
    samples = tf.shape(waveform)[1]
    excess = tf.maximum(samples - length, 0)
    further = tf.math.ceil(tf.cast(excess, tf.float64) / hop - _IGNORED_REMAINDER)
    count = 1 + tf.cast(tf.maximum(further, 0.0), tf.int32)
    starts = tf.cast(tf.round(tf.range(count, dtype=tf.float64) * hop), tf.int32)
    is_last = tf.equal(tf.range(count), count - 1)
    starts = tf.where(is_last & (count > 1), excess, starts)
    padded = tf.pad(bounded(waveform), [[0, 0], [0, tf.maximum(length - samples, 0)]])
    cut = tf.map_fn(
        lambda start: padded[:, start : start + length],
        starts,
        fn_output_signature=tf.TensorSpec([None, None], tf.float32),
    )
    windows = tf.transpose(cut, [1, 0, 2])
    return Windows(windows, _audible(windows, config.quiet_window_db), starts)


def bounded(waveform: tf.Tensor) -> tf.Tensor:
    """Samples of any float32 values as ones that features can be made of, of the same shape.

    Those that are not finite count as zero, those louder than 80 dB over full scale are clipped.
    """
    finite = tf.where(tf.math.is_finite(waveform), waveform, 0.0)
    return tf.clip_by_value(finite, -_LOUDEST_SAMPLE, _LOUDEST_SAMPLE)


def combine_windows(logits: tf.Tensor, recording: tf.Tensor) -> tf.Tensor:
    """One answer a recording: the mean of its windows' log-probabilities, normalised.

    Args:
      logits: float32 [windows, classes].
      recording: int32 [windows], which recording a window belongs to: 0, 0, 1, 2, 2, ...; sorted,
        none left out.

    Returns:
      float32 [recordings, classes], each row summing to 1.
    """
    return tf.exp(combine_windows_log(logits, recording))


def combine_windows_log(logits: tf.Tensor, recording: tf.Tensor) -> tf.Tensor:
    """The logarithms of `combine_windows`, exact also where a score is smaller than float32 has."""
    return tf.nn.log_softmax(tf.math.segment_mean(tf.nn.log_softmax(logits), recording))


def _audible(windows: tf.Tensor, quiet_db: float) -> tf.Tensor:
    """[batch, windows, samples] -> bool [batch, windows]; the loudest of a recording always is."""
    power = tf.reduce_mean(tf.square(windows), axis=2)
    loudest = tf.reduce_max(power, axis=1, keepdims=True)
    return power >= loudest * 10.0 ** (quiet_db / 10.0)
