"""Embedded extractor: a fixed bank of two-dimensional Gabor filters, nothing to download.

Gabor patches on the log-mel image model the spectro-temporal receptive fields of the auditory
cortex (Mesgarani, Slaney & Shamma, IEEE TASLP 14(3), 2006; Schaedler, Meyer & Kollmeier, JASA
131(5), 2012): each answers to ripples of one period and one direction, so onsets, steady tones,
sweeps and textures each excite their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.extractors.base import Extractor, spectrogram_fields
from sound_pipeline.features import image, log_mel
from sound_pipeline.features.config import FeatureConfig

# Raised whenever the same image gives other numbers.
GABOR_VERSION = 1

HEIGHT = 150
# Columns belong to durations, whatever the window's length: a filter means the same ripple in all.
COLUMNS_PER_SECOND = 30
STRIPS = 15
BANDS = 40
ORIENTATIONS = 6
# (wavelength in pixels, stride): the energy of a filter varies about as slowly as its wavelength,
# so long ones are evaluated on a coarser grid. Every stride leaves a multiple of STRIPS rows.
SCALES = ((3, 1), (6, 2), (12, 5), (24, 5))
# Energies are compressed as log(energy + _SMALLEST_ENERGY); below it a ripple is inaudible grain.
_SMALLEST_ENERGY = 1e-5


class GaborExtractor(Extractor):
    """Statistics of Gabor filter energies over time, in strips of frequency: 800 numbers.

    Of each of 24 filters the mean and deviation of the log energy in 15 strips of frequency;
    of the image itself the mean and deviation in 40 bands.
    """

    def __init__(self, config: FeatureConfig) -> None:
        """Builds the filter bank for images made with `config`."""
        super().__init__(
            handle="gabor",
            embedding_size=2 * (len(SCALES) * ORIENTATIONS * STRIPS + BANDS),
            fingerprint=f"gabor-{GABOR_VERSION}",
            config=config,
        )
        self.width = max(1, round(COLUMNS_PER_SECOND * config.windows.seconds))

    @property
    def depends_on(self) -> dict[str, Any]:
        """Grey image is made of the whole spectrogram, and has no colours."""
        return spectrogram_fields(self.config, leave_out=("colormap",))

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Grey image: float32 [batch, 150, 30 a second], 0..1."""
        spectrogram = log_mel.log_mel(waveform, sample_rate_hz, self.config)
        return image.grey_image(spectrogram, HEIGHT, self.width, self.config)

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Grey images float32 [batch, 150, width] to embeddings float32 [batch, 800]."""
        statistics = [_pooled_moments(_bands(prepared)[..., None], BANDS)]
        for wavelength, stride in SCALES:
            energy = _energies(prepared, wavelength, stride)
            statistics.append(_pooled_moments(tf.math.log(energy + _SMALLEST_ENERGY), STRIPS))
        embedding = tf.concat(statistics, axis=1)
        return tf.ensure_shape(embedding, [None, self.embedding_size])


def gabor_filters(wavelength: int, orientations: int) -> npt.NDArray[np.float32]:
    """Pairs of even and odd Gabor filters of one wavelength.

    Args:
      wavelength: period of the ripple, pixels.
      orientations: directions, evenly spread over half a turn.

    Returns:
      float32 [size, size, 1, 2 * orientations]: first the even (cosine) filters, then the odd.
      Each sums to zero, so a constant image excites none, and has unit absolute sum.
    """
    radius = math.ceil(wavelength)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    envelope = np.exp(-0.5 * (x**2 + y**2) / (0.5 * wavelength) ** 2)
    banks = []
    for wave in (np.cos, np.sin):
        for turn in np.arange(orientations) * math.pi / orientations:
            ripple = wave(2 * math.pi * (x * math.cos(turn) + y * math.sin(turn)) / wavelength)
            patch = envelope * (ripple - (envelope * ripple).sum() / envelope.sum())
            banks.append(patch / np.abs(patch).sum())
    return np.stack(banks, axis=-1)[:, :, None, :].astype(np.float32)


def _energies(grey: tf.Tensor, wavelength: int, stride: int) -> tf.Tensor:
    """[batch, HEIGHT, width] -> energy [batch, HEIGHT/stride, width/stride, ORIENTATIONS]."""
    filters = gabor_filters(wavelength, ORIENTATIONS)
    edge = filters.shape[0] // 2
    # Repeated edges: a border of zeros would look like the onset of a sound.
    rows = np.clip(np.arange(-edge, HEIGHT + edge), 0, HEIGHT - 1)
    columns = np.clip(np.arange(-edge, grey.shape[2] + edge), 0, grey.shape[2] - 1)
    bordered = tf.gather(tf.gather(grey, rows, axis=1), columns, axis=2)[..., None]
    answer = tf.nn.conv2d(bordered, tf.constant(filters), stride, "VALID")
    even, odd = tf.split(answer, 2, axis=-1)
    return tf.square(even) + tf.square(odd)


def _bands(grey: tf.Tensor) -> tf.Tensor:
    """[batch, HEIGHT, width] -> [batch, BANDS, width]."""
    weights = image.resize_matrix(HEIGHT, BANDS)
    return tf.einsum("nhw,bh->nbw", grey, tf.constant(weights))


def _pooled_moments(maps: tf.Tensor, strips: int) -> tf.Tensor:
    """[batch, rows, columns, channels] -> mean and deviation [batch, strips*channels*2]."""
    rows, columns, channels = maps.shape[1:]
    grouped = tf.reshape(maps, [-1, strips, rows // strips, columns, channels])
    mean, variance = tf.nn.moments(grouped, axes=[2, 3])
    moments = tf.concat([mean, tf.sqrt(variance + 1e-12)], axis=-1)
    return tf.reshape(moments, [-1, strips * channels * 2])
