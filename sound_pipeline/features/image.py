"""Log-mel spectrogram to coloured image: pure functions of core TensorFlow ops."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.errors import UserError, nearest_name
from sound_pipeline.features.banded_matrix import banded_resize
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import log_mel

IMAGE_SIZE = 299
"""Height and width of `display_image`, in pixels: what Inception v3 takes."""


def grey_image(spectrogram: tf.Tensor, height: int, width: int, config: FeatureConfig) -> tf.Tensor:
    """A log-mel spectrogram as a grey image: time to the right, low frequencies at the bottom.

    Args:
      spectrogram: float32 [batch, frames, mel_bands] from `log_mel`.
      height: rows of the image.
      width: columns of the image.
      config: gives the floor.

    Returns:
      float32 [batch, height, width], 0 at the floor to 1 at the loudest cell.
    """
    unit = 1.0 - spectrogram / config.spectrogram.floor_db
    rows = resize_matrix(config.spectrogram.mel_bands, height)[
        ::-1
    ]  # row 0, the top, is the highest band
    columns = resize_matrix(config.frames, width)
    # Resizing the scalar spectrogram costs a fraction of resizing three channels.
    return banded_resize(unit, rows, columns)


def apply_colormap(grey: tf.Tensor, colormap: str) -> tf.Tensor:
    """Colours a grey image through a matplotlib colormap's table of colours.

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


def coloured_image(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, height: int, width: int, config: FeatureConfig
) -> tf.Tensor:
    """Windows to images in a colormap's colours, by `log_mel`, `grey_image` and `apply_colormap`.

    Args:
      waveform: float32 [batch, samples], -1..1; finite, exactly `window_samples` long.
      sample_rate_hz: int32 scalar, Hz, of every window in the batch.
      height: rows of the image.
      width: columns of the image.
      config: the features.

    Returns:
      float32 [batch, height, width, 3], RGB, 0..1.
    """
    grey = grey_image(log_mel(waveform, sample_rate_hz, config), height, width, config)
    return apply_colormap(grey, config.spectrogram.colormap)


def display_image(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, config: FeatureConfig
) -> tf.Tensor:
    """Windows as people look at them: uint8 [batch, 299, 299, 3], RGB; see `coloured_image`."""
    coloured = coloured_image(waveform, sample_rate_hz, IMAGE_SIZE, IMAGE_SIZE, config)
    return tf.cast(tf.round(coloured * 255.0), tf.uint8)


def colormap_table(name: str) -> npt.NDArray[np.float32]:
    """Colours of a matplotlib colormap, mostly 256: float32 [colours, 3], RGB, 0..1.

    Raises:
      UserError: matplotlib has no such colormap.
    """
    if name not in matplotlib.colormaps:
        hint = nearest_name(name, matplotlib.colormaps, "give magma, viridis or gray, say")
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
