"""Base class of extractors."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import LOG_MEL_VERSION
from sound_pipeline.features.windows import WINDOWS_AT_ONCE


class Extractor(tf.Module, abc.ABC):
    """Turns windows of sound into embeddings, in two steps.

    `prepare` is the cheap part that runs inside the tf.data graph, beside the decoding;
    `__call__` is the heavy part that runs on ready batches. The exported model runs one after
    the other.

    Attributes:
      handle: what the user gave as --extractor.
      embedding_size: D, numbers in an embedding.
      fingerprint: changes whenever the same prepared input would give another embedding.
      config: what the features look like.
      benefits_from_low_precision: whether computing in less than float32 can make it faster.
      tflite_compatible: False where it is known that TensorFlow Lite lacks its operations.
      pieces: how many embeddings of pieces of a window stand side by side in its own.
    """

    benefits_from_low_precision = False
    tflite_compatible = True
    pieces = 1

    module: Any = None
    """The network that a TF Hub module brought along; None without one."""

    def __init__(
        self, handle: str, embedding_size: int, fingerprint: str, config: FeatureConfig
    ) -> None:
        """Sets the attributes."""
        super().__init__()
        self.handle = handle
        self.embedding_size = embedding_size
        self.fingerprint = fingerprint
        self.config = config

    @property
    def depends_on(self) -> dict[str, Any]:
        """Everything else that decides its embeddings of the same window, beside its fingerprint.

        JSON values by name: fields of `SpectrogramConfig`, and versions of what is computed of
        them. Embeddings are made anew where one of these changes, and only there.
        """
        return {}

    @property
    def windows_at_once(self) -> int:
        """Windows to give it at a time, so that it has `WINDOWS_AT_ONCE` images before it."""
        return max(1, WINDOWS_AT_ONCE // max(part.pieces for part in self.parts))

    @property
    def parts(self) -> tuple[Extractor, ...]:
        """Extractors whose embeddings stand side by side in this one's; itself if it is one."""
        return (self,)

    @property
    def tunable(self) -> tuple[tf.Variable, ...]:
        """Variables that fine-tuning may change, in the network's order; may be empty."""
        return tuple(getattr(self.module, "trainable_variables", ()))

    @property
    def weights(self) -> tuple[tf.Variable, ...]:
        """All that fine-tuning changes: `tunable`, and the statistics of batch normalisation."""
        return tuple(getattr(self.module, "variables", ()))

    @abc.abstractmethod
    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Windows to what `__call__` takes.

        Args:
          waveform: float32 [batch, samples], -1..1, each exactly one window long.
          sample_rate_hz: int32 scalar, Hz.

        Returns:
          A tensor whose first axis is the batch; one for each of several `parts`.
        """

    @abc.abstractmethod
    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Prepared windows to embeddings: float32 [batch, embedding_size].

        Args:
          prepared: what `prepare` gives.
        """


def spectrogram_fields(config: FeatureConfig, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Fields that decide a window's log-mel spectrogram, for `Extractor.depends_on`.

    Args:
      config: the features.
      leave_out: fields of `SpectrogramConfig` that an extractor doesn't look at.
    """
    fields = dataclasses.asdict(config.spectrogram) | {"log_mel_version": LOG_MEL_VERSION}
    return {name: value for name, value in fields.items() if name not in leave_out}
