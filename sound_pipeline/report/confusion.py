"""Confusion matrix as an image."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sound_pipeline.system.text import printable

MOST_CLASSES = 50
"""Classes that a matrix shows: an image of 200 would take gigabytes, and nobody could read it."""

_LONGEST_NAME = 40  # letters; a longer name would leave no room for the cells


def most_mistaken(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Classes with most mistakes, as many as a matrix shows, in their order.

    Args:
      matrix: [classes, classes], rows the true ones.
    """
    mistakes = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])


def draw_confusion_matrix(
    path: Path, matrix: npt.NDArray[np.int64], classes: Sequence[str], title: str
) -> None:
    """A PNG of the matrix: rows the true classes, columns the predicted, cells counts.

    Of more than `MOST_CLASSES` it shows those that are `most_mistaken`; shades are still shares of
    all that a class was called.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if len(classes) > MOST_CLASSES:
        shown = most_mistaken(matrix)
        title += f"; the {MOST_CLASSES} of {len(classes)} classes with most mistakes"
        matrix, shares = (each[np.ix_(shown, shown)] for each in (matrix, shares))
        classes = [classes[position] for position in shown]
    names = [textwrap.shorten(printable(name), _LONGEST_NAME, placeholder="…") for name in classes]
    size = 3.0 + 0.45 * len(classes)
    figure = Figure(figsize=(max(size + 1, 6.0), size), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    # A name may have a $, which matplotlib takes for the start of a formula.
    axes.set_xticks(
        range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.suptitle(printable(title), wrap=True, parse_math=False)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        light = shares[row, column] > 0.5
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            color="white" if light else "black",
        )
    figure.savefig(path)
