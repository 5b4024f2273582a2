"""The classifier on top of an embedding: standardise, optional hidden layer, softmax."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.head_config import HeadConfig
from sound_pipeline.head_objective import Lesson, Objective
from sound_pipeline.lbfgs import descend
from sound_pipeline.mixup import with_mixtures
from sound_pipeline.rows import Floats, Matrix
from sound_pipeline.standardised import FARTHEST, Standardised

Ints = npt.NDArray[np.int32]

# Training has converged where so many epochs together lower the loss by less than this share of
# it.
_LEAST_PROGRESS = 1e-4
_PROGRESS_EPOCHS = 5


class Head(tf.Module):
    """Embeddings to logits: standardised, held to four deviations, dense layers, temperature.

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
        layers: Sequence[tuple[Floats, Floats]],
        pieces: int = 1,
    ) -> None:
        """Keeps the weights.

        Args:
          mean: float32 [D], subtracted from the embedding of a piece.
          deviation: float32 [D], the result is divided by it.
          layers: (kernel [inputs, units], bias [units]) of each dense layer; ReLU between them.
          pieces: how many are side by side.
        """
        super().__init__()
        self._pieces = pieces
        self.mean = tf.Variable(mean, trainable=False, name="mean")
        self.deviation = tf.Variable(deviation, trainable=False, name="deviation")
        self.kernels = [tf.Variable(kernel, name="kernel") for kernel, _ in layers]
        self.biases = [tf.Variable(bias, name="bias") for _, bias in layers]
        self.temperature = tf.Variable(1.0, trainable=False, name="temperature")
        self.classes = int(layers[-1][1].shape[0])

    def __call__(self, embedding: tf.Tensor) -> tf.Tensor:
        """Embeddings float32 [batch, pieces * D] to logits float32 [batch, classes]."""
        if self._pieces > 1:
            embedding = tf.reshape(embedding, [-1, self.mean.shape[0]])
        values = (embedding - self.mean) / self.deviation
        values = tf.clip_by_value(values, -FARTHEST, FARTHEST)
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            values = tf.nn.relu(tf.matmul(values, kernel) + bias)
        logits = tf.matmul(values, self.kernels[-1]) + self.biases[-1]
        if self._pieces > 1:
            by_piece = tf.reshape(tf.nn.log_softmax(logits), [-1, self._pieces, self.classes])
            logits = tf.reduce_mean(by_piece, axis=1)
        return logits / self.temperature


@dataclasses.dataclass(frozen=True)
class Examples:
    """Windows to learn from, or pieces of them.

    Attributes:
      embeddings: float32 [windows, D]; may be on disk.
      labels: int32 [windows], class ids.
      weights: float32 [windows]; a recording's windows share its weight of 1.
      pieces: how many of them a head that learned from them will be asked about at once.
    """

    embeddings: Matrix
    labels: Ints
    weights: Floats
    pieces: int = 1


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
    """Trains a head by L-BFGS: every epoch looks at all examples, and mostly once.

    Args:
      training: what is learned from; every class at least once.
      validation: watched for early stopping, never learned from; None to train until nothing is
        gained any more.
      classes: how many there are.
      config: regularisation, seed and so on.
      epochs: stop after so many.

    Returns:
      The head of the epoch with the least validation loss, or of the last.
    """
    inputs = Standardised(training.embeddings)
    hidden = [config.hidden_units] if config.hidden_units else []
    sizes = [training.embeddings.shape[1], *hidden, classes]
    weights = balanced(training.labels, training.weights, classes, config)
    lessons = [Lesson(inputs, training.labels, weights)]
    if config.mixup:
        lessons = with_mixtures(training.embeddings, lessons[0], config.mixup, config.seed)
    objective = Objective(lessons, sizes, config.l2, config.label_smoothing)
    watched = None
    if validation is not None:
        unseen = Standardised(validation.embeddings, like=inputs)
        watched = Objective([Lesson(unseen, validation.labels, validation.weights)], sizes)

    curves: dict[str, list[float]] = {"loss": []}
    if watched is not None:
        curves["validation_loss"] = []
    best, objectives = _start(sizes, config.seed), [float("inf")]
    for step in itertools.islice(descend(objective, best), epochs or config.epochs):
        objectives.append(step.value)
        curves["loss"].append(step.value - objective.penalty(step.parameters))
        if watched is None:
            best = step.parameters
        else:
            curves["validation_loss"].append(watched.loss(step.parameters))
            behind = len(curves["loss"]) - 1 - int(np.argmin(curves["validation_loss"]))
            if behind == 0:
                best = step.parameters
            elif behind >= config.patience:
                break
        if epochs is None and _has_converged(objectives):
            break
    losses = curves.get("validation_loss")
    return Fit(
        Head(inputs.mean, inputs.deviation, objective.layers(best), training.pieces),
        int(np.argmin(losses)) + 1 if losses else len(curves["loss"]),
        curves,
    )


def _has_converged(objectives: Sequence[float]) -> bool:
    before = objectives[max(len(objectives) - 1 - _PROGRESS_EPOCHS, 0)]
    return before - objectives[-1] < _LEAST_PROGRESS * objectives[-1]


def _start(sizes: Sequence[int], seed: int) -> Floats:
    """Where training starts: float32 [parameters].

    The last layer starts from zero: nothing but the examples moves it, where a random start would
    survive in the directions that the (few) examples don't span. Those before it must differ to
    learn (Glorot and Bengio: Understanding the difficulty of training deep networks, 2010).
    """
    random = np.random.default_rng(seed)
    parts = []
    for number, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        hidden = number + 2 < len(sizes)
        limit = np.sqrt(6 / (inputs + units)) if hidden else 0.0
        parts += [random.uniform(-limit, limit, inputs * units), np.zeros(units)]
    return np.concatenate(parts).astype(np.float32)


def balanced(
    labels: npt.NDArray[np.integer], weights: Floats, classes: int, config: HeadConfig
) -> Floats:
    """The weights of examples float32 [windows], as `HeadConfig.class_weights` wants them."""
    if config.class_weights == "none":
        return weights
    totals = np.bincount(labels, weights, classes)
    return np.asarray(weights * (totals.sum() / (classes * totals))[labels], np.float32)
