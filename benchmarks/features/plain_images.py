"""The feature path as one would write it first: what the package's own is compared with."""

from __future__ import annotations

import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import decibels
from sound_pipeline.features.mel import mel_matrix
from sound_pipeline.features.picture import colour


def plain_picture(waveform: tf.Tensor, height: int, width: int, config: FeatureConfig) -> tf.Tensor:
    """A window's coloured picture, with a dense mel matrix, coloured before it is resized.

    Args:
      waveform: float32 [samples] at `config.sample_rate_hz`, one window long.
      height: rows of the picture.
      width: columns of the picture.
      config: the features.

    Returns:
      float32 [height, width, 3], 0..1.
    """
    length = config.frame_length
    padded = tf.pad(waveform, [[length // 2, length // 2]])
    hop = round(config.hop_seconds * config.sample_rate_hz)
    spectrum = tf.signal.stft(padded, length, hop, length)
    spacing = config.sample_rate_hz / length
    filters = mel_matrix(config.bins, spacing, config.mel_bands, config.min_hz, config.max_hz)
    mel = tf.matmul(tf.square(tf.abs(spectrum)), tf.constant(filters))
    spectrogram = decibels(mel[tf.newaxis], config)[0]
    grey = tf.transpose(1.0 - spectrogram / config.floor_db)[::-1]
    coloured = colour(grey, config.colormap)
    return tf.image.resize(coloured, [height, width])
