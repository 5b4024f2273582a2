"""The classifier on top of an embedding: standardise, optional hidden layer, softmax."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.head import Head
from sound_pipeline.heads.lbfgs import descend
from sound_pipeline.heads.mixup import with_mixtures
from sound_pipeline.heads.objective import Objective, TrainingSet
from sound_pipeline.heads.standardised_rows import StandardisedRows
from sound_pipeline.system.arrays import Floats, Ints

# Training has converged where so many epochs together lower the loss by less than this share of
# it.
_LEAST_PROGRESS = 1e-4
_PROGRESS_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class TrainingExamples:
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
class FittedHead:
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
    training: TrainingExamples,
    validation: TrainingExamples | None,
    classes: int,
    config: HeadConfig,
    epochs: int | None = None,
) -> FittedHead:
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
    inputs = StandardisedRows(training.embeddings)
    hidden = [config.hidden_units] if config.hidden_units else []
    sizes = [training.embeddings.shape[1], *hidden, classes]
    weights = balanced(training.labels, training.weights, classes, config)
    lessons = [TrainingSet(inputs, training.labels, weights)]
    if config.mixup:
        lessons = with_mixtures(training.embeddings, lessons[0], config.mixup, config.seed)
    objective = Objective(lessons, sizes, config.l2, config.label_smoothing)
    watched = None
    if validation is not None:
        unseen = StandardisedRows(validation.embeddings, like=inputs)
        watched = Objective([TrainingSet(unseen, validation.labels, validation.weights)], sizes)

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
    return FittedHead(
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
