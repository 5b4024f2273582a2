"""Waveform to log-mel spectrogram to coloured picture: pure functions of core TensorFlow ops.

The one feature path: training, evaluation, the exported model and the microphone call these.
Every function takes a batch of windows that share one sample rate.
"""

from __future__ import annotations

import dataclasses
import difflib
import math

import matplotlib
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.banded import banded_product, banded_resize
from sound_pipeline.errors import UserError
from sound_pipeline.feature_config import FeatureConfig
from sound_pipeline.framing import hann_frames
from sound_pipeline.mel import mel_matrix

# Raised whenever the same configuration gives other numbers: embeddings kept under an older
# version are then computed again.
FEATURES_VERSION = 3

IMAGE_SIZE = 299
"""Height and width of `image`, in pixels: what Inception v3 takes."""

# The least mel power taken to decibels (librosa.power_to_db's `amin`).
_LEAST_POWER = 1e-10


def window_samples(config: FeatureConfig, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Samples in one window at a rate: int32 scalar from an int32 scalar."""
    seconds = tf.constant(config.window_seconds, tf.float64)
    return tf.cast(tf.round(seconds * tf.cast(sample_rate_hz, tf.float64)), tf.int32)


def log_mel(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Log-mel spectrograms of a batch of windows at any sample rate.

    At `config.sample_rate_hz` equal to librosa's `power_to_db(melspectrogram(...), ref=max,
    top_db=-floor_db)` with its default Hann window, centred frames and zero padding. At other
    rates frames and hops keep their duration, so bins keep their spacing and the same mel matrix
    applies; power is scaled by the frame length, and bins that a lower rate lacks are zero.

    Args:
      waveform: float32 [batch, samples], -1..1; finite, exactly `window_samples` long.
      sample_rate_hz: int32 scalar, Hz, of every window in the batch.
      config: the spectrogram's shape.

    Returns:
      float32 [batch, frames, mel_bands], dB relative to the window's loudest cell (or to
      `config.reference_floor_db` if that is louder), `config.floor_db`..0.
    """
    frames, frame_length = hann_frames(waveform, sample_rate_hz, config)
    power = power_spectrum(tf.signal.rfft(frames, [frame_length]), config)
    return decibels(mel_power(power, config), config)


def power_spectrum(spectrum: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
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


def mel_power(power: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Mel power float32 [batch, frames, mel_bands] of a `power_spectrum`."""
    matrix = mel_matrix(
        config.bins,
        config.sample_rate_hz / config.frame_length,
        config.mel_bands,
        config.min_hz,
        config.max_hz,
    )
    return banded_product(power, matrix.T)


def decibels(mel: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """`mel_power` in dB relative to each window's loudest cell, shaped as given; see `log_mel`."""
    absolute = (10.0 / math.log(10.0)) * tf.math.log(tf.maximum(mel, _LEAST_POWER))
    loudest = tf.reduce_max(absolute, axis=[1, 2], keepdims=True)
    reference = tf.maximum(loudest, config.reference_floor_db)
    return tf.clip_by_value(absolute - reference, config.floor_db, 0.0)


def picture(spectrogram: tf.Tensor, height: int, width: int, config: FeatureConfig) -> tf.Tensor:
    """A log-mel spectrogram as a grey picture: time to the right, low frequencies at the bottom.

    Args:
      spectrogram: float32 [batch, frames, mel_bands] from `log_mel`.
      height: rows of the picture.
      width: columns of the picture.
      config: gives the floor.

    Returns:
      float32 [batch, height, width], 0 at the floor to 1 at the loudest cell.
    """
    unit = 1.0 - spectrogram / config.floor_db
    rows = resize_matrix(config.mel_bands, height)[::-1]  # row 0, the top, is the highest band
    columns = resize_matrix(config.frames, width)
    # Resizing the scalar spectrogram costs a fraction of resizing three channels.
    return banded_resize(unit, rows, columns)


def colour(grey: tf.Tensor, colormap: str) -> tf.Tensor:
    """Colours a grey picture through a matplotlib colormap's table of colours.

    Args:
      grey: float32 [batch, height, width], 0..1.
      colormap: a matplotlib colormap's name.

    Returns:
      float32 [batch, height, width, 3], RGB, 0..1, as `matplotlib.colormaps[colormap](grey)`.
    """
    table = colormap_table(colormap)
    # matplotlib's own rule: equal bins, the top edge in the last.
    index = tf.cast(tf.minimum(grey * len(table), len(table) - 1.0), tf.int32)
    # As tf.gather, whose kernel takes half as long again for rows of three numbers.
    return tf.gather_nd(tf.constant(table), index[..., tf.newaxis])


def coloured_picture(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, height: int, width: int, config: FeatureConfig
) -> tf.Tensor:
    """Windows to pictures in a colormap's colours: `log_mel`, `picture` and `colour` in turn.

    Args:
      waveform: float32 [batch, samples], -1..1; finite, exactly `window_samples` long.
      sample_rate_hz: int32 scalar, Hz, of every window in the batch.
      height: rows of the picture.
      width: columns of the picture.
      config: the features.

    Returns:
      float32 [batch, height, width, 3], RGB, 0..1.
    """
    grey = picture(log_mel(waveform, sample_rate_hz, config), height, width, config)
    return colour(grey, config.colormap)


def network_picture(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, height: int, width: int, config: FeatureConfig
) -> tf.Tensor:
    """Windows to what an image network sees, as `config.image_channels` says.

    Either a `coloured_picture`, or the grey pictures of spectrograms with frames of different
    lengths as its three channels: the same centres of frames and mel bands, but the first channel
    resolves time finest, the last frequency (Palanisamy et al. 2020, arXiv:2007.11154).

    Args:
      waveform: float32 [batch, samples], -1..1; finite, exactly `window_samples` long.
      sample_rate_hz: int32 scalar, Hz, of every window in the batch.
      height: rows of the picture.
      width: columns of the picture.
      config: the features.

    Returns:
      float32 [batch, height, width, 3], 0..1.
    """
    if config.image_channels == "colormap":
        return coloured_picture(waveform, sample_rate_hz, height, width, config)
    channels = []
    for seconds in config.channel_frame_seconds:
        resolved = dataclasses.replace(config, image_channels="colormap", frame_seconds=seconds)
        spectrogram = log_mel(waveform, sample_rate_hz, resolved)
        channels.append(picture(spectrogram, height, width, resolved))
    return tf.stack(channels, axis=-1)


def image(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Windows as people look at them: uint8 [batch, 299, 299, 3], RGB; see `coloured_picture`."""
    coloured = coloured_picture(waveform, sample_rate_hz, IMAGE_SIZE, IMAGE_SIZE, config)
    return tf.cast(tf.round(coloured * 255.0), tf.uint8)


def colormap_table(name: str) -> npt.NDArray[np.float32]:
    """The colours of a matplotlib colormap, mostly 256: float32 [colours, 3], RGB, 0..1.

    Raises:
      UserError: matplotlib has no such colormap.
    """
    if name not in matplotlib.colormaps:
        nearest = difflib.get_close_matches(name, matplotlib.colormaps, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "give magma, viridis or gray, say"
        raise UserError(f"--colormap={name}: matplotlib has no such colormap; {hint}")
    colours = matplotlib.colormaps[name]
    return np.asarray(colours(np.arange(colours.N))[:, :3], np.float32)


def resize_matrix(size: int, new_size: int) -> npt.NDArray[np.float32]:
    """Linear resampling of one axis as a matrix: float32 [new_size, size].

    Pixel centres at half integers, edges repeated; when shrinking, the triangle filter widens so
    that every input counts: the weights of `tf.image.resize(..., "bilinear", antialias=True)`.
    """
    scale = size / new_size
    support = max(scale, 1.0)
    centre = (np.arange(new_size) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(size) - centre[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
