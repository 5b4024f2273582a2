"""The feature path as one would write it first: what the package's own is compared with."""

from __future__ import annotations

import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.image import apply_colormap
from sound_pipeline.features.log_mel import decibels
from sound_pipeline.features.mel import mel_matrix


def plain_image(waveform: tf.Tensor, height: int, width: int, config: FeatureConfig) -> tf.Tensor:
    """A window's coloured image, with a dense mel matrix, coloured before it is resized.

    Args:
      waveform: float32 [samples] at `config.spectrogram.sample_rate_hz`, one window long.
      height: rows of the image.
      width: columns of the image.
      config: the features.

    Returns:
      float32 [height, width, 3], 0..1.
    """
    length = config.spectrogram.frame_length
    padded = tf.pad(waveform, [[length // 2, length // 2]])
    hop = round(config.spectrogram.hop_seconds * config.spectrogram.sample_rate_hz)
    spectrum = tf.signal.stft(padded, length, hop, length)
    spacing = config.spectrogram.sample_rate_hz / length
    filters = mel_matrix(
        config.spectrogram.bins,
        spacing,
        config.spectrogram.mel_bands,
        config.spectrogram.min_hz,
        config.spectrogram.max_hz,
    )
    mel = tf.matmul(tf.square(tf.abs(spectrum)), tf.constant(filters))
    spectrogram = decibels(mel[tf.newaxis], config.spectrogram)[0]
    grey = tf.transpose(1.0 - spectrogram / config.spectrogram.floor_db)[::-1]
    coloured = apply_colormap(grey, config.spectrogram.colormap)
    return tf.image.resize(coloured, [height, width])
