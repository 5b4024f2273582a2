"""A window heard piece by piece, by an extractor that is made for such pieces."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from sound_pipeline.extractors.base import Extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.levels import audible_windows
from sound_pipeline.features.log_mel import window_samples


class PiecesExtractor(Extractor):
    """Embeddings of a window's equal pieces side by side, in the order of time."""

    def __init__(self, of_piece: Extractor, pieces: int, config: FeatureConfig) -> None:
        """Wraps an extractor.

        Args:
          of_piece: made for windows as long as a piece.
          pieces: how many fill a window.
          config: the features of the whole window.
        """
        super().__init__(
            handle=of_piece.handle,
            embedding_size=pieces * of_piece.embedding_size,
            fingerprint=f"{of_piece.fingerprint}-in-{pieces}",
            config=config,
        )
        self.pieces = pieces
        self.benefits_from_low_precision = of_piece.benefits_from_low_precision
        self.tflite_compatible = of_piece.tflite_compatible
        self.module = of_piece.module
        self._of_piece = of_piece

    @property
    def depends_on(self) -> dict[str, Any]:
        """As the extractor of its pieces."""
        return self._of_piece.depends_on

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Prepares each piece for its extractor: [batch, pieces, ...]."""
        length = window_samples(self._of_piece.config, sample_rate_hz)
        # Evenly spread, whole samples apart: the last ends with the window.
        rest = tf.shape(waveform)[1] - length
        starts = [rest * number // (self.pieces - 1) for number in range(self.pieces)]
        cut = tf.stack([waveform[:, start : start + length] for start in starts], axis=1)
        pieces = tf.reshape(_audible(cut, self.config.windows.quiet_db), [-1, length])
        prepared = self._of_piece.prepare(pieces, sample_rate_hz)
        return tf.reshape(prepared, [-1, self.pieces, *prepared.shape[1:]])

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Prepared windows to embeddings float32 [batch, pieces * D of a piece]."""
        pieces = tf.reshape(prepared, [-1, *prepared.shape[2:]])
        embeddings = self._of_piece(pieces)
        return tf.reshape(embeddings, [-1, self.embedding_size])


def _audible(pieces: tf.Tensor, quiet_db: float) -> tf.Tensor:
    """Pieces [batch, pieces, samples], the loudest of a window in place of its quiet ones.

    What a window is named after is not in those, as it is not in the quiet windows of a recording.
    Left out, they would give windows embeddings of different lengths.
    """
    power = tf.reduce_mean(tf.square(pieces), axis=2)
    loudest = tf.argmax(power, axis=1, output_type=tf.int32)[:, tf.newaxis]
    itself = tf.range(tf.shape(pieces)[1])[tf.newaxis]
    chosen = tf.where(audible_windows(power, quiet_db), itself, loudest)
    return tf.gather(pieces, chosen, batch_dims=1)
