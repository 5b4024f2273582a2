"""Several extractors that look at the same window, as one."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from sound_pipeline.extractors.base import Extractor


class CombinedExtractor(Extractor):
    """Embeddings of several extractors side by side."""

    def __init__(self, parts: Sequence[Extractor]) -> None:
        """Joins extractors that were made for the same features."""
        super().__init__(
            handle=",".join(part.handle for part in parts),
            embedding_size=sum(part.embedding_size for part in parts),
            fingerprint="+".join(part.fingerprint for part in parts),
            config=parts[0].config,
        )
        self._parts = tuple(parts)
        self.benefits_from_low_precision = any(part.benefits_from_low_precision for part in parts)
        self.tflite_compatible = all(part.tflite_compatible for part in parts)

    @property
    def parts(self) -> tuple[Extractor, ...]:
        """Extractors, in the order of their numbers in the embedding."""
        return tuple(self._parts)

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Prepares windows for each of the parts."""
        return tuple(part.prepare(waveform, sample_rate_hz) for part in self._parts)

    def __call__(self, prepared: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Windows prepared for each part to embeddings float32 [batch, embedding_size]."""
        embeddings = [part(own) for part, own in zip(self._parts, prepared, strict=True)]
        return tf.concat(embeddings, axis=1)
