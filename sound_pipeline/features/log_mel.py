"""Waveform to log-mel spectrogram to coloured image: pure functions of core TensorFlow ops.

The one feature path: training, evaluation, the exported model and the microphone call these.
Every function takes a batch of windows that share one sample rate.
"""

from __future__ import annotations

import math

import tensorflow as tf

from sound_pipeline.features.banded_matrix import banded_product
from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig
from sound_pipeline.features.frames import hann_frames
from sound_pipeline.features.mel import mel_matrix

LOG_MEL_VERSION = 3
"""Raised whenever the same configuration gives other spectrograms: embeddings that depend on them
are then computed again."""


# The least mel power taken to decibels (librosa.power_to_db's `amin`).
_LEAST_POWER = 1e-10


def window_samples(config: FeatureConfig, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Samples in one window at a rate: int32 scalar from an int32 scalar."""
    seconds = tf.constant(config.windows.seconds, tf.float64)
    return tf.cast(tf.round(seconds * tf.cast(sample_rate_hz, tf.float64)), tf.int32)


def log_mel(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Log-mel spectrograms of a batch of windows at any sample rate.

    At `sample_rate_hz` equal to librosa's `power_to_db(melspectrogram(...), ref=max,
    top_db=-floor_db)` with its default Hann window, centred frames and zero padding. At other
    rates frames and hops keep their duration, so bins keep their spacing and the same mel matrix
    applies; power is scaled by the frame length, and bins that a lower rate lacks are zero.

    Args:
      waveform: float32 [batch, samples], -1..1; finite, exactly `window_samples` long.
      sample_rate_hz: int32 scalar, Hz, of every window in the batch.
      config: the spectrogram's shape.

    Returns:
      float32 [batch, frames, mel_bands], dB relative to the window's loudest cell (or to
      `reference_floor_db` if that is louder), `floor_db`..0.
    """
    frames, frame_length = hann_frames(waveform, sample_rate_hz, config)
    power = power_spectrum(tf.signal.rfft(frames, [frame_length]), config.spectrogram)
    return decibels(mel_power(power, config.spectrogram), config.spectrogram)


def power_spectrum(spectrum: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
    """Power in each bin of a spectrum: the first step of `log_mel` after the Fourier transform.

    Args:
      spectrum: complex64 [batch, frames, bins], as many as the sample rate gives.
      config: gives the number of bins at its own sample rate.

    Returns:
      float32 [batch, frames, at least `config.bins`]; bins that a lower rate lacks are zero.
    """
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    missing = tf.maximum(config.bins - tf.shape(power)[-1], 0)
    # At most rates nothing is missing, and padding would copy the largest tensor of all.
    return tf.cond(
        tf.equal(missing, 0), lambda: power, lambda: tf.pad(power, [[0, 0], [0, 0], [0, missing]])
    )


def mel_power(power: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
    """Mel power float32 [batch, frames, mel_bands] of a `power_spectrum`."""
    matrix = mel_matrix(
        config.bins,
        config.sample_rate_hz / config.frame_length,
        config.mel_bands,
        config.min_hz,
        config.max_hz,
    )
    return banded_product(power, matrix.T)


def decibels(mel: tf.Tensor, config: SpectrogramConfig) -> tf.Tensor:
    """`mel_power` in dB relative to each window's loudest cell, shaped as given; see `log_mel`."""
    absolute = (10.0 / math.log(10.0)) * tf.math.log(tf.maximum(mel, _LEAST_POWER))
    loudest = tf.reduce_max(absolute, axis=[1, 2], keepdims=True)
    reference = tf.maximum(loudest, config.reference_floor_db)
    return tf.clip_by_value(absolute - reference, config.floor_db, 0.0)
