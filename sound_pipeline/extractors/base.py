"""What every extractor offers."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from sound_pipeline.features.config import FeatureConfig
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
      gains_from_less: whether computing in less than float32 can make it faster.
      takes_pictures: whether it is an image network, which `config.image_channels` is for.
      for_small_devices: False where it is known that TensorFlow Lite lacks its operations.
      pieces: how many embeddings of pieces of a window stand side by side in its own.
    """

    gains_from_less = False
    takes_pictures = False
    for_small_devices = True
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
    def windows_at_once(self) -> int:
        """Windows to give it at a time, so that it has `WINDOWS_AT_ONCE` pictures before it."""
        return max(1, WINDOWS_AT_ONCE // max(part.pieces for part in self.parts))

    @property
    def parts(self) -> tuple[Extractor, ...]:
        """The extractors whose embeddings stand side by side in this one's; itself if it is one."""
        return (self,)

    @property
    def tunable(self) -> tuple[tf.Variable, ...]:
        """What fine-tuning may change, in the network's order; empty: there is nothing."""
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
    def __call__(self, prepared: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Prepared windows to embeddings: float32 [batch, embedding_size].

        Args:
          prepared: what `prepare` gives.
          training: whether a network that can tell the difference behaves as in training: batch
            normalisation goes by this batch, and dropout drops.
        """
