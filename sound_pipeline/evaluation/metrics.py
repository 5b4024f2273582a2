"""Figures of merit from labels and predictions: pure NumPy functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sound_pipeline.system.arrays import AnyFloats, Bools, Ints


def accuracy(labels: Ints, predicted: Ints) -> float:
    """Fraction of predictions that are right; both [clips], class ids."""
    return float(np.mean(labels == predicted))


def confusion_matrix(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Clips by true class (rows) and predicted class (columns): int64 [classes, classes]."""
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def precision_by_class(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Fraction of a class's predictions that are right, float64 [classes]; 0 if never predicted."""
    matrix = confusion_matrix(labels, predicted, classes)
    return np.diag(matrix) / np.maximum(matrix.sum(axis=0), 1)


def recall_by_class(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Fraction of a class's clips that were predicted, float64 [classes]; 0 if it has no clip."""
    matrix = confusion_matrix(labels, predicted, classes)
    return np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)


def f1_by_class(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Harmonic mean of precision and recall, float64 [classes]; 0 for a class never met."""
    matrix = confusion_matrix(labels, predicted, classes)
    met = matrix.sum(axis=0) + matrix.sum(axis=1)
    return 2 * np.diag(matrix) / np.maximum(met, 1)


def macro_f1(labels: Ints, predicted: Ints, classes: int) -> float:
    """Mean F1 over the classes that occur among the labels or the predictions."""
    occurring = np.union1d(labels, predicted)
    return float(f1_by_class(labels, predicted, classes)[occurring].mean())


def average_precision(positive: Bools, score: AnyFloats) -> float:
    """Area under the steps of the precision-recall curve.

    Clips of equal score are taken together, so their order doesn't matter.

    Args:
      positive: bool [clips], what is to be found.
      score: float [clips], finite, higher for what is more likely positive.

    Returns:
      0..1; NaN where no clip is positive.
    """
    hits = int(positive.sum())
    if not hits:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last_of_its_score = np.append(np.diff(score[order]) != 0, True)
    taken = np.flatnonzero(last_of_its_score) + 1
    found = np.cumsum(positive[order])[last_of_its_score]
    return float(np.sum(np.diff(found, prepend=0) * found / taken) / hits)


def average_precision_by_class(labels: Ints, scores: AnyFloats) -> npt.NDArray[np.float64]:
    """Average precision of each class against the rest: float64 [classes].

    Args:
      labels: int [clips], class ids.
      scores: float [clips, classes], finite.

    Returns:
      0..1 each; NaN for a class that has no clip, which a mean over classes must leave out.
    """
    return np.array(
        [average_precision(labels == number, column) for number, column in enumerate(scores.T)]
    )


def top_k_accuracy(labels: Ints, scores: AnyFloats, k: int) -> float:
    """Fraction of clips whose class is among the `k` with the highest scores.

    Of classes with equal scores the last ones come first, as in scikit-learn (and unlike
    `argmax`, so where the highest score is shared, `k` of 1 is not always the accuracy).

    Args:
      labels: int [clips], class ids.
      scores: float [clips, classes].
      k: from 1; as many as there are classes, or more, gives 1.
    """
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    is_later = np.arange(scores.shape[1]) > labels[:, np.newaxis]
    ahead = (scores > own) | ((scores == own) & is_later)
    return float(np.mean(ahead.sum(axis=1) < k))


def roc_auc(positive: Bools, score: AnyFloats) -> float:
    """Area under the ROC curve.

    It is the fraction of pairs of a positive and a negative clip in which the positive has the
    higher score, a tie counting half (Hanley and McNeil 1982).

    Args:
      positive: bool [clips].
      score: float [clips], finite, higher for what is more likely positive.

    Returns:
      0..1; NaN where all clips are positive, or none is.
    """
    positives, negatives = score[positive], np.sort(score[~positive])
    if not len(positives) or not len(negatives):
        return float("nan")
    below = np.searchsorted(negatives, positives, side="left").sum()
    up_to = np.searchsorted(negatives, positives, side="right").sum()
    return float((below + up_to) / (2 * len(positives) * len(negatives)))
