"""Several heads that answer together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from sound_pipeline.head import Head


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


def mean_head(heads: Sequence[AnyHead], embedding_size: int) -> JointHead:
    """Heads that look at the same embeddings, all with the same weight."""
    return JointHead([Member(head, (0, embedding_size), 1 / len(heads)) for head in heads])
