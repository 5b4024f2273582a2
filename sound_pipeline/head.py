"""The classifier on top of an embedding: standardise, optional hidden layer, softmax."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.config import HeadConfig
from sound_pipeline.memory import memory_bytes
from sound_pipeline.rows import Floats, Matrix
from sound_pipeline.trainer import Trainer, borrowed_trainer, dense_layers, shuffled

Ints = npt.NDArray[np.int32]

AT_ONCE = 4
"""Heads that may be trained at a time."""

# Examples of a head that take up to this share of the memory, in float32, are held there while it
# is trained; more are read from disk again in every epoch.
_SHARE_OF_MEMORY = 1 / (8 * AT_ONCE)
# Read at once where each row is needed once.
_ROWS_AT_ONCE = 4096

# A feature that deviates by less than this, or by less than this share of its mean, is constant
# but for rounding: scaled up to unit deviation, it would decide about every new sound.
_SMALLEST_DEVIATION = 1e-6
_SMALLEST_RELATIVE_DEVIATION = 1e-5
# No feature counts as farther from its mean, in deviations. Where training never reached (bands
# above 8 kHz, learned from recordings at 16 kHz) features are thousands of deviations off, and a
# few of them would outvote the rest. ESC-10 learned at 16 kHz and heard at 44.1 kHz, accuracy:
# 0.75 instead of 0.11; at one rate nothing changes.
_FARTHEST = 4.0


class Head(tf.Module):
    """Embeddings to logits: standardised, held to four deviations, dense layers, temperature.

    Attributes:
      classes: how many.
      temperature: float32 scalar variable that logits are divided by, so that scores are
        honest probabilities (temperature scaling, Guo et al. 2017); 1 until calibrated.
    """

    def __init__(
        self, mean: Floats, deviation: Floats, layers: Sequence[tuple[Floats, Floats]]
    ) -> None:
        """Keeps the weights.

        Args:
          mean: float32 [D], subtracted from the embedding.
          deviation: float32 [D], the result is divided by it.
          layers: (kernel [inputs, units], bias [units]) of each dense layer; ReLU between them.
        """
        super().__init__()
        self.mean = tf.Variable(mean, trainable=False, name="mean")
        self.deviation = tf.Variable(deviation, trainable=False, name="deviation")
        self.kernels = [tf.Variable(kernel, name="kernel") for kernel, _ in layers]
        self.biases = [tf.Variable(bias, name="bias") for _, bias in layers]
        self.temperature = tf.Variable(1.0, trainable=False, name="temperature")
        self.classes = int(layers[-1][1].shape[0])

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Embeddings float32 [batch, D] to logits float32 [batch, classes]."""
        values = _standardised(embedding, self.mean, self.deviation)
        return dense_layers(values, self.kernels, self.biases) / self.temperature


@dataclasses.dataclass(frozen=True)
class Examples:
    """Windows to learn from.

    Attributes:
      embeddings: float32 [windows, D]; may be on disk.
      labels: int32 [windows], class ids.
      weights: float32 [windows]; a recording's windows share its weight of 1.
    """

    embeddings: Matrix
    labels: Ints
    weights: Floats


@dataclasses.dataclass(frozen=True)
class Fit:
    """A trained head and how it came about.

    Attributes:
      head: the trained head.
      epochs: how many it was trained for.
      curves: per-epoch values of `loss` and, where watched, `validation_loss`.
    """

    head: Head
    epochs: int
    curves: dict[str, list[float]]


def fit_head(
    training: Examples,
    validation: Examples | None,
    classes: int,
    config: HeadConfig,
    epochs: int | None = None,
) -> Fit:
    """Trains a head with Adam on a falling learning rate.

    Args:
      training: what is learned from; every class at least once.
      validation: watched for early stopping, never learned from; None to train for all epochs.
      classes: how many there are.
      config: regularisation, learning rate, seed and so on.
      epochs: stop after so many of `config.epochs` (the learning rate falls as if it went on).

    Returns:
      The head of the epoch with the least validation loss, or of the last.
    """
    mean, deviation = _moments(training.embeddings)
    smallest = np.maximum(_SMALLEST_DEVIATION, _SMALLEST_RELATIVE_DEVIATION * np.abs(mean))
    deviation = np.where(deviation > smallest, deviation, np.float32(1.0))

    inputs = _Inputs(training.embeddings, mean, deviation, config.batch_size)
    weights = training.weights * _class_weights(training, classes, config)[training.labels]
    watched = None
    if validation is not None:
        watched = _Inputs(validation.embeddings, mean, deviation, config.batch_size)

    curves: dict[str, list[float]] = {"loss": []}
    if watched is not None:
        curves["validation_loss"] = []
    with borrowed_trainer(training.embeddings.shape[1], classes, config) as graph:
        graph.reset(-(-len(training.labels) // config.batch_size) * config.epochs)
        best = graph.layers
        for epoch in range(epochs or config.epochs):
            curves["loss"].append(
                _train_epoch(graph, inputs, training.labels, weights, config, epoch)
            )
            if validation is None or watched is None:
                continue
            curves["validation_loss"].append(_mean_loss(graph, watched, validation))
            behind = epoch - int(np.argmin(curves["validation_loss"]))
            if behind == 0:
                best = graph.layers
            elif behind >= config.patience:
                break
        if validation is None:
            best = graph.layers
    losses = curves.get("validation_loss")
    return Fit(
        Head(mean, deviation, best),
        int(np.argmin(losses)) + 1 if losses else len(curves["loss"]),
        curves,
    )


def _standardised(
    embedding: tf.Tensor | Floats, mean: tf.Tensor | Floats, deviation: tf.Tensor | Floats
) -> tf.Tensor:
    return tf.clip_by_value((embedding - mean) / deviation, -_FARTHEST, _FARTHEST)


class _Inputs:
    """Standardised embeddings: held in memory where they fit, else read portion by portion."""

    def __init__(
        self, embeddings: Matrix, mean: Floats, deviation: Floats, batch_size: int
    ) -> None:
        self._embeddings = embeddings
        self._mean = mean
        self._deviation = deviation
        rows, size = embeddings.shape
        most = int(memory_bytes() * _SHARE_OF_MEMORY) // (4 * size)
        self._everything = None
        # Two portions are in memory at a time, each of them twice while it is being made. Whole
        # batches, so that they are the same as if everything were in memory.
        self._portion = max(most // (4 * batch_size), 1) * batch_size
        if rows <= most:
            held = np.empty([rows, size], np.float32)
            for start in range(0, rows, _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                held[part] = self._read(part)
            self._everything = tf.constant(held)

    def in_order(self, order: Ints) -> Iterator[tuple[tf.Tensor, Ints, Ints]]:
        """The rows in an order, as portions: some rows, the order among them, their positions."""
        if self._everything is not None:
            yield self._everything, order, order
            return
        portions = [
            order[start : start + self._portion] for start in range(0, len(order), self._portion)
        ]
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self._read, np.sort(portions[0]))
            for number, portion in enumerate(portions):
                inputs = ahead.result()
                if number + 1 < len(portions):
                    ahead = thread.submit(self._read, np.sort(portions[number + 1]))
                among = np.searchsorted(np.sort(portion), portion).astype(np.int32)
                yield tf.constant(inputs), among, portion

    def once(self) -> Iterator[tuple[tf.Tensor, slice]]:
        """All rows as they come, as portions with their positions."""
        if self._everything is not None:
            yield self._everything, slice(None)
            return
        for start in range(0, len(self._embeddings), self._portion):
            part = slice(start, start + self._portion)
            yield tf.constant(self._read(part)), part

    def _read(self, index: Ints | slice) -> Floats:
        rows = self._embeddings[index]
        return np.asarray(_standardised(rows, self._mean, self._deviation))


def _moments(embeddings: Matrix) -> tuple[Floats, Floats]:
    """Mean and deviation of each column."""
    count, size = embeddings.shape
    starts = range(0, count, _ROWS_AT_ONCE)
    mean, variance = np.zeros(size), np.zeros(size)
    for start in starts:
        mean += embeddings[start : start + _ROWS_AT_ONCE].sum(axis=0, dtype=np.float64) / count
    for start in starts:
        distance = embeddings[start : start + _ROWS_AT_ONCE] - mean
        variance += np.square(distance).sum(axis=0) / count
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)


def _train_epoch(
    graph: Trainer, inputs: _Inputs, labels: Ints, weights: Floats, config: HeadConfig, epoch: int
) -> float:
    """One pass over the training windows; the mean loss."""
    total = float(weights.sum())
    # Keras' losses are means where scikit-learn's convention for the penalty takes the sum.
    penalty = config.l2 / (2.0 * total)
    order = shuffled(len(labels), [config.seed, epoch]).numpy()
    loss = 0.0
    for rows, among, positions in inputs.in_order(order):
        loss += graph.train(rows, among, labels[positions], weights[positions], penalty)
    return loss / total


def _mean_loss(graph: Trainer, inputs: _Inputs, examples: Examples) -> float:
    """The mean loss of the layers as they are, on windows that are not learned from."""
    loss = 0.0
    for rows, part in inputs.once():
        loss += graph.loss(rows, examples.labels[part], examples.weights[part])
    return loss / float(examples.weights.sum())


def _class_weights(training: Examples, classes: int, config: HeadConfig) -> Floats:
    """A factor a class: float32 [classes]."""
    if config.class_weights == "none":
        return np.ones(classes, np.float32)
    totals = np.bincount(training.labels, training.weights, classes)
    return np.asarray(totals.sum() / (classes * totals), np.float32)
