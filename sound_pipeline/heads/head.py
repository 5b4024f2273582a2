"""Classifier on embeddings: one head, or several whose answers are combined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from sound_pipeline.heads.standardised_rows import FARTHEST
from sound_pipeline.system.arrays import Floats


class Head(tf.Module):
    """Embeddings to logits: standardised, held to four deviations, a linear layer, temperature.

    Where an embedding is several pieces of a window side by side, each piece is asked by itself,
    and the answer is the mean of their log-probabilities.

    Attributes:
      classes: how many.
      temperature: float32 scalar variable that logits are divided by, so that scores are
        honest probabilities (temperature scaling, Guo et al. 2017); 1 until calibrated.
    """

    def __init__(
        self,
        mean: Floats,
        deviation: Floats,
        kernel: Floats,
        bias: Floats,
        pieces: int = 1,
    ) -> None:
        """Keeps the weights.

        Args:
          mean: float32 [D], subtracted from the embedding of a piece.
          deviation: float32 [D], the result is divided by it.
          kernel: float32 [D, classes] of the linear layer.
          bias: float32 [classes].
          pieces: how many are side by side.
        """
        super().__init__()
        self._pieces = pieces
        self.mean = tf.Variable(mean, trainable=False, name="mean")
        self.deviation = tf.Variable(deviation, trainable=False, name="deviation")
        self.kernel = tf.Variable(kernel, name="kernel")
        self.bias = tf.Variable(bias, name="bias")
        self.temperature = tf.Variable(1.0, trainable=False, name="temperature")
        self.classes = int(bias.shape[0])

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Embeddings float32 [batch, pieces * D] to logits float32 [batch, classes]."""
        if self._pieces > 1:
            embedding = tf.reshape(embedding, [-1, self.mean.shape[0]])
        values = (embedding - self.mean) / self.deviation
        values = tf.clip_by_value(values, -FARTHEST, FARTHEST)
        logits = tf.matmul(values, self.kernel) + self.bias
        if self._pieces > 1:
            by_piece = tf.reshape(tf.nn.log_softmax(logits), [-1, self._pieces, self.classes])
            logits = tf.reduce_mean(by_piece, axis=1)
        return logits / self.temperature


@dataclasses.dataclass(frozen=True)
class Member:
    """One of the heads.

    Attributes:
      head: answers at its own temperature.
      columns: the first of the embedding's numbers that it looks at, and the one after the last.
      weight: of its answer; those of all members sum to 1.
    """

    head: AnyHead
    columns: tuple[int, int]
    weight: float


class JointHead(tf.Module):
    """Embeddings to logits: the weighted mean of the log-probabilities of several heads.

    Hinton: Products of Experts, ICANN 1999. docs/design.md says why it isn't one head on all
    columns.

    Attributes:
      classes: how many.
      temperature: float32 scalar variable, as of `Head`, beside those of the members.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """Joins heads of the same classes."""
        super().__init__()
        self.heads = [member.head for member in members]
        self._columns = tuple(member.columns for member in members)
        self._weights = tuple(member.weight for member in members)
        self.temperature = tf.Variable(1.0, trainable=False, name="temperature")
        self.classes: int = members[0].head.classes

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Embeddings float32 [batch, D] to logits float32 [batch, classes]."""
        logits = [
            weight * tf.nn.log_softmax(head(embedding[:, start:end]))
            for head, (start, end), weight in zip(
                self.heads, self._columns, self._weights, strict=True
            )
        ]
        return tf.add_n(logits) / self.temperature


AnyHead = Head | JointHead
