"""The classifier on top of an embedding: standardise, optional hidden layer, softmax."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from sound_pipeline.config import HeadConfig

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

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
      embeddings: float32 [windows, D].
      labels: int32 [windows], class ids.
      weights: float32 [windows]; a recording's windows share its weight of 1.
    """

    embeddings: Floats
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
    mean = training.embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = training.embeddings.std(axis=0, dtype=np.float64).astype(np.float32)
    smallest = np.maximum(_SMALLEST_DEVIATION, _SMALLEST_RELATIVE_DEVIATION * np.abs(mean))
    deviation = np.where(deviation > smallest, deviation, np.float32(1.0))

    model = _model(training.embeddings.shape[1], classes, config)
    weights = training.weights * _class_weights(training, classes, config)[training.labels]
    train_epoch = _epoch_function(
        model,
        _standardised(training.embeddings, mean, deviation),
        training.labels,
        weights,
        config,
    )
    validation_loss = None
    if validation is not None:
        inputs = _standardised(validation.embeddings, mean, deviation)
        labels, shares = tf.constant(validation.labels), tf.constant(validation.weights)

        @tf.function
        def validation_loss() -> tf.Tensor:
            return _mean_loss(model(inputs), labels, shares)

    curves: dict[str, list[float]] = {"loss": []}
    if validation_loss is not None:
        curves["validation_loss"] = []
    best = model.get_weights()
    for epoch in range(epochs or config.epochs):
        curves["loss"].append(float(train_epoch(tf.constant([config.seed, epoch]))))
        if validation_loss is None:
            continue
        curves["validation_loss"].append(float(validation_loss()))
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


def _epoch_function(
    model: tf_keras.Model, inputs: tf.Tensor, labels: Ints, weights: Floats, config: HeadConfig
) -> Callable[[tf.Tensor], tf.Tensor]:
    """One pass over the training windows as one graph; takes a seed [2], returns the mean loss.

    An epoch here takes about a millisecond, a tenth of what `Model.fit` spends on its own.
    """
    count = len(labels)
    steps = -(-count // config.batch_size)
    optimizer = tf_keras.optimizers.Adam(
        tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    )
    optimizer.build(model.trainable_variables)
    targets, shares = tf.constant(labels), tf.constant(weights)
    # Keras' losses are means where scikit-learn's convention for the penalty takes the sum.
    penalty = config.l2 / (2.0 * float(weights.sum()))
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]

    @tf.function
    def train_epoch(seed: tf.Tensor) -> tf.Tensor:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
        total = tf.constant(0.0)
        for start in tf.range(0, count, config.batch_size):
            chosen = order[start : start + config.batch_size]
            share = tf.gather(shares, chosen)
            with tf.GradientTape() as tape:
                logits = model(tf.gather(inputs, chosen), training=True)
                loss = _mean_loss(logits, tf.gather(targets, chosen), share)
                decay = tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
                objective = loss + penalty * decay
            gradients = tape.gradient(objective, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            total += loss * tf.reduce_sum(share)
        return total / tf.reduce_sum(shares)

    return train_epoch


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
