"""The graph that trains a head's layers, built once for all heads of one shape."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from sound_pipeline.config import HeadConfig

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.integer]
Layers = list[tuple[Floats, Floats]]


def dense_layers(
    values: tf.Tensor,
    kernels: Sequence[tf.Variable],
    biases: Sequence[tf.Variable],
    drop: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:
    """Float32 [batch, inputs] to [batch, units of the last]; ReLU, then `drop`, between layers."""
    for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
        values = drop(tf.nn.relu(tf.matmul(values, kernel) + bias))
    return tf.matmul(values, kernels[-1]) + biases[-1]


class Trainer:
    """Dense layers under Adam, with a learning rate that falls along a cosine.

    Building and tracing this takes half a second, as long as training a head on a few hundred
    windows; so it is kept (see `borrowed_trainer`), and `reset` starts the next head.
    """

    def __init__(self, inputs: int, classes: int, config: HeadConfig) -> None:
        """Makes the layers and the optimiser.

        Args:
          inputs: numbers in a standardised embedding.
          classes: units of the last layer.
          config: hidden layer, dropout, learning rate and so on.
        """
        self._config = config
        self._start = []
        last = inputs
        if config.hidden_units:
            glorot = tf_keras.initializers.GlorotUniform(config.seed)
            self._start.append(glorot([inputs, config.hidden_units]))
            last = config.hidden_units
        # From zero, nothing but the examples moves the weights: a random start would survive in
        # the directions that the (few) examples don't span.
        self._start.append(tf.zeros([last, classes]))
        self._kernels = [tf.Variable(start) for start in self._start]
        self._biases = [tf.Variable(tf.zeros(start.shape[1])) for start in self._start]
        self._steps = tf.Variable(1.0, trainable=False)
        schedule = tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, self._steps)
        self._optimizer = tf_keras.optimizers.Adam(schedule)
        self._variables = [*self._kernels, *self._biases]
        self._optimizer.build(self._variables)
        rows = tf.TensorSpec([None, inputs], tf.float32)
        numbers, floats = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
        scalar = tf.TensorSpec([], tf.float32)
        self._train_graph = tf.function(self._train, [rows, numbers, numbers, floats, scalar])
        self._loss_graph = tf.function(self._loss, [rows, numbers, floats])

    @property
    def layers(self) -> Layers:
        """Copies of (kernel [inputs, units], bias [units]) of each layer."""
        pairs = zip(self._kernels, self._biases, strict=True)
        return [(kernel.numpy(), bias.numpy()) for kernel, bias in pairs]

    def reset(self, steps: int) -> None:
        """Forgets what was learned.

        Args:
          steps: batches until the learning rate has fallen to zero.
        """
        for kernel, start in zip(self._kernels, self._start, strict=True):
            kernel.assign(start)
        for variable in (*self._biases, *self._optimizer.variables):
            variable.assign(tf.zeros_like(variable))
        self._steps.assign(steps)

    def train(
        self, rows: tf.Tensor, order: Ints, labels: Ints, weights: Floats, penalty: float
    ) -> float:
        """Learns from some rows, batch by batch.

        Args:
          rows: float32 [rows, inputs].
          order: [n], the rows in the order in which they are learned from.
          labels: [n], their classes.
          weights: float32 [n].
          penalty: factor of the sum of the kernels' squares, beside the mean loss.

        Returns:
          The sum of the weighted losses, each of the model as it was at its batch.
        """
        return float(self._train_graph(rows, order, labels, weights, penalty))

    def loss(self, rows: tf.Tensor, labels: Ints, weights: Floats) -> float:
        """The sum of the weighted losses of the model as it is."""
        return float(self._loss_graph(rows, labels, weights))

    def _train(
        self,
        rows: tf.Tensor,
        order: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        penalty: tf.Tensor,
    ) -> tf.Tensor:
        total = tf.constant(0.0)
        size = self._config.batch_size
        for start in tf.range(0, tf.size(order), size):
            batch = slice(start, start + size)
            shares = tf.reduce_sum(weights[batch])
            with tf.GradientTape() as tape:
                logits = dense_layers(
                    tf.gather(rows, order[batch]), self._kernels, self._biases, self._drop
                )
                loss = _weighted_losses(logits, labels[batch], weights[batch])
                decay = tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in self._kernels])
                objective = loss / shares + penalty * decay
            gradients = tape.gradient(objective, self._variables)
            self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
            total += loss
        return total

    def _loss(self, rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return _weighted_losses(dense_layers(rows, self._kernels, self._biases), labels, weights)

    def _drop(self, values: tf.Tensor) -> tf.Tensor:
        # By the number of the step, so that every head is trained as if it were the first.
        seed = [self._config.seed, tf.cast(self._optimizer.iterations, tf.int32)]
        return tf.nn.experimental.stateless_dropout(values, self._config.dropout, seed)


_Shape = tuple[int, int, HeadConfig]
# Those that nobody uses, the one used last at the end; more are forgotten, the oldest first.
_idle: list[tuple[_Shape, Trainer]] = []
_MOST_IDLE = 16
_lock = threading.Lock()


@contextlib.contextmanager
def borrowed_trainer(inputs: int, classes: int, config: HeadConfig) -> Iterator[Trainer]:
    """A trainer of heads of one shape, which nobody else uses meanwhile; see `Trainer`."""
    # Trainers are told of the weight decay when they train.
    shape = inputs, classes, dataclasses.replace(config, l2=0.0)
    with _lock:
        fits = [place for place, (other, _) in enumerate(_idle) if other == shape]
        found = _idle.pop(fits[-1])[1] if fits else None
    trainer = found or Trainer(inputs, classes, config)
    yield trainer
    with _lock:
        _idle.append((shape, trainer))
        del _idle[:-_MOST_IDLE]


@tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)])
def shuffled(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The numbers below `count` in an order that the seed decides: int32 [count]."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed)


def _weighted_losses(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_sum(losses * weights)
