"""Scores of a recording's windows to those of the recording."""

from __future__ import annotations

import tensorflow as tf


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
    """Logarithms of `combine_windows`, exact also where a score is smaller than float32 has."""
    return tf.nn.log_softmax(tf.math.segment_mean(tf.nn.log_softmax(logits), recording))
