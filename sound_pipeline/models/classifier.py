"""Whole path as one module: waveform in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from sound_pipeline.extractors.base import Extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.levels import (
    mean_power,
    usable,
    usable_windows,
    without_offset_unbranched,
)
from sound_pipeline.features.windows import Windows, audible_seconds, split_windows
from sound_pipeline.heads.combining import combine_windows
from sound_pipeline.heads.head import AnyHead


class SoundClassifier(tf.Module):
    """Waveforms to class scores: window, log-mel, image, embedding, head.

    Attributes:
      labels: string [classes], their names, in the order of the scores.
      sample_rate: int32 scalar, Hz, assumed where a caller names no rate.
      window_seconds: float32 scalar, what one image shows.
      min_score: float32 scalar, the score under which an answer is better not believed.
    """

    def __init__(
        self,
        extractor: Extractor,
        head: AnyHead,
        labels: Sequence[str],
        config: FeatureConfig,
        min_score: float = 0.0,
    ) -> None:
        """Joins a trained head to the extractor that made its embeddings."""
        super().__init__()
        self.extractor = extractor
        self.head = head
        self.config = config
        # Variables, so that they can be read from the exported model by name.
        self.labels = tf.Variable(list(labels), trainable=False, name="labels")
        self.sample_rate = tf.Variable(
            config.spectrogram.sample_rate_hz, trainable=False, name="sample_rate"
        )
        self.window_seconds = tf.Variable(
            config.windows.seconds, trainable=False, dtype=tf.float32, name="window_seconds"
        )
        self.min_score = tf.Variable(min_score, trainable=False, dtype=tf.float32, name="min_score")

    def scores(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """One answer a recording.

        Args:
          waveform: float32 [batch, samples], -1..1. Shorter than a window: padded with silence.
            Longer: overlapping windows; the log-probabilities of the audible ones are averaged.
            Zeros at its end are padding: a recording is answered as if it came without them.
          sample_rate_hz: int32 scalar, Hz.

        Returns:
          float32 [batch, classes], each row summing to 1.
        """
        return self.answer(waveform, sample_rate_hz)[0]

    def answer(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`scores` of recordings, and how much sound they stand on.

        Returns:
          scores: float32 [batch, classes], each row summing to 1.
          audible_seconds: float32 [batch], 0 where all is silent and the scores mean nothing.
        """
        windows = split_windows(waveform, sample_rate_hz, self.config)
        embeddings, recording = self._audible_embeddings(windows, sample_rate_hz)
        seconds = audible_seconds(windows, sample_rate_hz, self.config)
        return combine_windows(self.head(embeddings), recording), seconds

    def window_scores(
        self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """An answer for every window of one recording.

        Args:
          waveform: float32 [samples], -1..1.
          sample_rate_hz: int32 scalar, Hz.

        Returns:
          scores: float32 [windows, classes], each row summing to 1.
          start_seconds: float32 [windows].
        """
        windows = split_windows(waveform[None], sample_rate_hz, self.config)
        scores = tf.nn.softmax(self.head(self._embed(windows.waveform[0], sample_rate_hz)))
        return scores, tf.cast(windows.starts[0] / sample_rate_hz, tf.float32)

    def each_window(
        self, windows: tf.Tensor, sample_rate_hz: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Scores, embedding and power of each of many whole windows.

        Args:
          windows: float32 [batch, samples], each exactly one window long. Samples that are not
            finite count as zero.
          sample_rate_hz: int32 scalar, Hz.

        Returns:
          scores: float32 [batch, classes], each row summing to 1.
          embedding: float32 [batch, D].
          power: float32 [batch], the mean of the squared samples, by which `audible_windows` are
            told.
        """
        windows = usable_windows(windows)
        embedding = self._embed(windows, sample_rate_hz)
        # Not a plain softmax: the last digit is that of a recording of this one window.
        scores = combine_windows(self.head(embedding), tf.range(tf.shape(windows)[0]))
        return scores, embedding, mean_power(windows)

    def full_window_scores(self, windows: tf.Tensor) -> tf.Tensor:
        """An answer for each of a few full windows, without any step that depends on their length.

        It is what `scores` says of a recording of just that length, in operations that
        TensorFlow Lite has.

        Args:
          windows: float32 [batch, samples], -1..1, at `sample_rate`, each exactly one window long.

        Returns:
          float32 [batch, classes], each row summing to 1.
        """
        rate = tf.constant(self.config.spectrogram.sample_rate_hz)
        sound = without_offset_unbranched(usable(windows), tf.float32)
        return tf.nn.softmax(self.head(self._embed_at_once(sound, rate)))

    def embedding(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Mean embedding of each recording's audible windows: float32 [batch, D].

        Args:
          waveform: float32 [batch, samples], -1..1.
          sample_rate_hz: int32 scalar, Hz.
        """
        windows = split_windows(waveform, sample_rate_hz, self.config)
        return tf.math.segment_mean(*self._audible_embeddings(windows, sample_rate_hz))

    def _audible_embeddings(
        self, windows: Windows, sample_rate_hz: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """[windows, D] of the audible windows, and whose each is."""
        embeddings = self._embed(tf.boolean_mask(windows.waveform, windows.audible), sample_rate_hz)
        return embeddings, tf.cast(tf.where(windows.audible)[:, 0], tf.int32)

    # Traced once for all who ask: making this graph is most of what an export takes.
    @partial(
        tf.function,
        input_signature=[tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    def _embed(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """[windows, samples] -> [windows, D], a few windows at a time."""
        count = tf.shape(windows)[0]
        at_once = self.extractor.windows_at_once
        chunks = -(-count // at_once)
        embeddings = tf.TensorArray(
            tf.float32,
            chunks,
            infer_shape=False,
            element_shape=[None, self.extractor.embedding_size],
        )

        def embed(chunk: tf.Tensor, done: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            start = chunk * at_once
            few = windows[start : start + at_once]
            return chunk + 1, done.write(chunk, self._embed_at_once(few, sample_rate_hz))

        _, embeddings = tf.while_loop(lambda chunk, _: chunk < chunks, embed, [0, embeddings])
        return embeddings.concat()

    def _embed_at_once(self, windows: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """[windows, samples] -> [windows, D]."""
        return self.extractor(self.extractor.prepare(windows, sample_rate_hz))
