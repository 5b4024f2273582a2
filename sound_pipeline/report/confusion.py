"""Confusion matrix as an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_confusion_matrix(
    path: Path, matrix: npt.NDArray[np.int64], classes: Sequence[str], title: str
) -> None:
    """A PNG of the matrix: rows the true classes, columns the predicted, cells counts."""
    size = 3.0 + 0.45 * len(classes)
    figure = Figure(figsize=(max(size + 1, 6.0), size), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.suptitle(title, wrap=True)
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
