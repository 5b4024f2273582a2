"""Classifiers with random heads: all that an exported model consists of, and nothing to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sound_pipeline.extractors.base import Extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.heads.head import Head
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model

LABELS = ("dog bark", "Straßenmusik", "サイレン")
CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5, overlap=0.4))
SIDE = 24


class PictureModule(tf.Module):
    """Pictures float32 [batch, SIDE, SIDE, 3] to float32 [batch, 12], as TF Hub modules do."""

    def __init__(self) -> None:
        super().__init__()
        shape = [SIDE * SIDE * 3, 12]
        self.kernel = tf.Variable(np.random.default_rng(1).normal(0, 0.05, shape).astype("f4"))

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.reshape(images, [-1, SIDE * SIDE * 3]), self.kernel)


class WaveformModule(tf.Module):
    """Waveforms float32 [samples] at 16 kHz to what YAMNet gives, with 3 numbers a frame of 0.1 s.

    These are a variable times a frame's level, its mean and how quickly it changes.
    """

    FRAME = 1600

    def __init__(self, gain: float = 2.0) -> None:
        super().__init__()
        self.gain = tf.Variable(gain)

    def frames(self, waveform: tf.Tensor) -> tf.Tensor:
        """Float32 [frames, 3]."""
        cut = tf.signal.frame(waveform, self.FRAME, self.FRAME, pad_end=True)
        level = tf.sqrt(tf.reduce_mean(tf.square(cut), axis=1))
        change = tf.reduce_mean(tf.abs(cut[:, 1:] - cut[:, :-1]), axis=1)
        return self.gain * tf.stack([level, tf.reduce_mean(cut, axis=1), change], axis=1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, waveform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        frames = self.frames(waveform)
        return frames[:, :1], frames, tf.tile(frames, [1, 2])


class LoudnessExtractor(Extractor):
    """Root mean square of ten parts of a window: quick to export."""

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__("loudness", 10, "loudness-1", config)

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        part = tf.shape(waveform)[1] // self.embedding_size
        return tf.reshape(
            waveform[:, : part * self.embedding_size], [-1, self.embedding_size, part]
        )

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(tf.reduce_mean(tf.square(prepared), axis=2))


def random_classifier(extractor: Extractor, labels: Sequence[str] = LABELS) -> SoundClassifier:
    """A classifier whose scores for noise, tones and silence differ and are far from 0 and 1."""
    random = np.random.default_rng(0)
    samples = round(extractor.config.windows.seconds * extractor.config.spectrogram.sample_rate_hz)
    windows = random.normal(0, 0.1, [8, samples]).astype("f4")
    rate = tf.constant(extractor.config.spectrogram.sample_rate_hz)
    embeddings = extractor(extractor.prepare(windows, rate)).numpy()
    size = embeddings.shape[1]
    head = Head(
        embeddings.mean(axis=0),
        np.abs(embeddings.mean(axis=0)) + 0.1,
        random.normal(0, 1.5 / size**0.5, [size, len(labels)]).astype("f4"),
        random.normal(0, 0.3, len(labels)).astype("f4"),
    )
    return SoundClassifier(extractor, head, labels, extractor.config)


def save_image_module(directory: Path) -> str:
    """Writes a `PictureModule` as a TF2 SavedModel; returns its handle."""
    tf.saved_model.save(PictureModule(), str(directory))
    return str(directory)


def save_waveform_module(directory: Path, gain: float = 2.0) -> str:
    """Writes a `WaveformModule` as a TF2 SavedModel; returns its handle."""
    tf.saved_model.save(WaveformModule(gain), str(directory))
    return str(directory)


QUIET, LOUD = 0.03, 0.3
"""Levels (root mean square) that `export_loudness_model`'s model calls quiet and loud."""


def export_loudness_model(directory: Path) -> Path:
    """Exports a model that compares ten levels of a window with one between quiet and loud."""
    extractor = LoudnessExtractor(CONFIG)
    size = extractor.embedding_size
    between = np.full(size, (QUIET + LOUD) / 2, np.float32)
    kernel = np.tile(np.array([-2, 2], np.float32), [size, 1])
    head = Head(between, np.full_like(between, 0.1), kernel, np.zeros(2, np.float32))
    export_model(SoundClassifier(extractor, head, ["quiet", "loud"], CONFIG), directory, {})
    return directory
