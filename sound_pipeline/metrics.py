"""Figures of merit from labels and predictions: pure NumPy functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]


def accuracy(labels: Ints, predicted: Ints) -> float:
    """Share of predictions that are right; both [clips], class ids."""
    return float(np.mean(labels == predicted))


def confusion_matrix(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Clips by true class (rows) and predicted class (columns): int64 [classes, classes]."""
    cells = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def f1_by_class(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Harmonic mean of precision and recall, float64 [classes]; 0 for a class never met."""
    matrix = confusion_matrix(labels, predicted, classes)
    met = matrix.sum(axis=0) + matrix.sum(axis=1)
    return 2 * np.diag(matrix) / np.maximum(met, 1)


def macro_f1(labels: Ints, predicted: Ints, classes: int) -> float:
    """Mean F1 over the classes that occur among the labels or the predictions."""
    occurring = np.union1d(labels, predicted)
    return float(f1_by_class(labels, predicted, classes)[occurring].mean())
