"""The classifier on top of an embedding: standardise, optional hidden layer, softmax."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from sound_pipeline.config import HeadConfig
from sound_pipeline.memory import memory_bytes
from sound_pipeline.rows import Floats, Matrix

Ints = npt.NDArray[np.int32]

# Examples that take up to this share of the memory, in float32, are held there while a head is
# trained; more are read from disk again in every epoch.
_SHARE_OF_MEMORY = 1 / 8
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
        activation = _standardised(embedding, self.mean, self.deviation)
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            activation = tf.nn.relu(tf.matmul(activation, kernel) + bias)
        logits = tf.matmul(activation, self.kernels[-1]) + self.biases[-1]
        return logits / self.temperature


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
    tf.random.set_seed(config.seed)
    mean, deviation = _moments(training.embeddings)
    smallest = np.maximum(_SMALLEST_DEVIATION, _SMALLEST_RELATIVE_DEVIATION * np.abs(mean))
    deviation = np.where(deviation > smallest, deviation, np.float32(1.0))

    model = _model(training.embeddings.shape[1], classes, config)
    weights = training.weights * _class_weights(training, classes, config)[training.labels]
    train_epoch = _epoch_function(
        model,
        _Inputs(training.embeddings, mean, deviation, config.batch_size),
        training.labels,
        weights,
        config,
    )
    validation_loss = None
    if validation is not None:
        inputs = _Inputs(validation.embeddings, mean, deviation, config.batch_size)
        validation_loss = _loss_function(model, inputs, validation.labels, validation.weights)

    curves: dict[str, list[float]] = {"loss": []}
    if validation_loss is not None:
        curves["validation_loss"] = []
    best = model.get_weights()
    for epoch in range(epochs or config.epochs):
        curves["loss"].append(train_epoch(epoch))
        if validation_loss is None:
            continue
        curves["validation_loss"].append(validation_loss())
        behind = epoch - int(np.argmin(curves["validation_loss"]))
        if behind == 0:
            best = model.get_weights()
        elif behind >= config.patience:
            break
    if validation is None:
        best = model.get_weights()
    layers = list(zip(best[::2], best[1::2], strict=True))
    watched = curves.get("validation_loss")
    return Fit(
        Head(mean, deviation, layers),
        int(np.argmin(watched)) + 1 if watched else len(curves["loss"]),
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


def _epoch_function(
    model: tf_keras.Model, inputs: _Inputs, labels: Ints, weights: Floats, config: HeadConfig
) -> Callable[[int], float]:
    """One pass over the training windows; takes the epoch's number, returns the mean loss.

    A portion is one call of a graph: `Model.fit` spends ten times as long on its own.
    """
    count = len(labels)
    steps = -(-count // config.batch_size)
    optimizer = tf_keras.optimizers.Adam(
        tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    )
    optimizer.build(model.trainable_variables)
    # Keras' losses are means where scikit-learn's convention for the penalty takes the sum.
    penalty = config.l2 / (2.0 * float(weights.sum()))
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    shuffled = tf.function(
        lambda seed: tf.random.experimental.stateless_shuffle(tf.range(count), seed)
    )

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, model.input_shape[1]], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
        ]
    )
    def train(
        rows: tf.Tensor, order: tf.Tensor, targets: tf.Tensor, shares: tf.Tensor
    ) -> tf.Tensor:
        total = tf.constant(0.0)
        for start in tf.range(0, tf.size(order), config.batch_size):
            batch = slice(start, start + config.batch_size)
            with tf.GradientTape() as tape:
                logits = model(tf.gather(rows, order[batch]), training=True)
                loss = _mean_loss(logits, targets[batch], shares[batch])
                decay = tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
                objective = loss + penalty * decay
            gradients = tape.gradient(objective, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            total += loss * tf.reduce_sum(shares[batch])
        return total

    def train_epoch(epoch: int) -> float:
        order = shuffled(tf.constant([config.seed, epoch])).numpy()
        total = 0.0
        for rows, among, positions in inputs.in_order(order):
            total += float(train(rows, among, labels[positions], weights[positions]))
        return total / float(weights.sum())

    return train_epoch


def _loss_function(
    model: tf_keras.Model, inputs: _Inputs, labels: Ints, weights: Floats
) -> Callable[[], float]:
    """The mean loss of the model as it is, on windows that are not learned from."""

    @tf.function(reduce_retracing=True)
    def mean_loss(rows: tf.Tensor, targets: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        return _mean_loss(model(rows), targets, shares)

    def loss() -> float:
        total = 0.0
        for rows, part in inputs.once():
            total += float(mean_loss(rows, labels[part], weights[part])) * float(
                weights[part].sum()
            )
        return total / float(weights.sum())

    return loss


def _mean_loss(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


def _class_weights(training: Examples, classes: int, config: HeadConfig) -> Floats:
    """A factor a class: float32 [classes]."""
    if config.class_weights == "none":
        return np.ones(classes, np.float32)
    totals = np.bincount(training.labels, training.weights, classes)
    return np.asarray(totals.sum() / (classes * totals), np.float32)


def _model(inputs: int, classes: int, config: HeadConfig) -> tf_keras.Model:
    model = tf_keras.Sequential([tf_keras.Input([inputs])])
    if config.hidden_units:
        # With a seed of its own: one drawn by tf_keras 2.17 is a TypeError on Python 3.12.
        start = tf_keras.initializers.GlorotUniform(config.seed)
        model.add(tf_keras.layers.Dense(config.hidden_units, "relu", kernel_initializer=start))
        model.add(tf_keras.layers.Dropout(config.dropout, seed=config.seed))
    # From zero, nothing but the examples moves the weights: a random start would survive in the
    # directions that the (few) examples don't span.
    model.add(tf_keras.layers.Dense(classes, kernel_initializer="zeros"))
    return model
