"""What a run leaves for people to look at: predictions, the confusion matrix, TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sound_pipeline import features
from sound_pipeline.config import FeatureConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.evaluation import FoldResult
from sound_pipeline.input_pipeline import FILLER, read_windows

PICTURE_SIZE = 299


def write_predictions(path: Path, manifest: Manifest, results: Sequence[FoldResult]) -> None:
    """A CSV of path, fold, label, predicted, score: a row a tested recording.

    Where the data set has no folds, `fold` is the name of the split that tested it.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "fold", "label", "predicted", "score"])
        for result in results:
            for position, scores in zip(result.recordings, result.scores, strict=True):
                recording = manifest.recordings[position]
                best = int(scores.argmax())
                writer.writerow(
                    [
                        recording.path,
                        result.name if recording.fold is None else recording.fold,
                        recording.label,
                        manifest.classes[best],
                        f"{scores[best]:.6f}",
                    ]
                )


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


def write_tensorboard(
    directory: Path,
    manifest: Manifest,
    results: Sequence[FoldResult],
    confusion_png: Path,
    config: FeatureConfig,
) -> None:
    """Losses by epoch a fold, accuracies, a sample picture a class and the confusion matrix.

    Args:
      directory: the log directory.
      manifest: gives names and recordings.
      results: of the evaluated splits.
      confusion_png: the drawn matrix.
      config: the features to draw.
    """
    for result in results:
        with _writer(directory / result.name.replace(" ", "_")).as_default():
            for name, values in result.curves.items():
                for epoch, value in enumerate(values, 1):
                    tf.summary.scalar(name, value, step=epoch)
            tf.summary.scalar("test accuracy", result.accuracy, step=0)
    with _writer(directory / "summary").as_default():
        png = tf.io.decode_png(confusion_png.read_bytes(), channels=3)
        tf.summary.image("confusion matrix", png[None], step=0)
        tested = np.concatenate([result.recordings for result in results])
        for label, image in sample_pictures(manifest, tested, config).items():
            tf.summary.image(f"samples/{label}", image[None], step=0)


def sample_pictures(
    manifest: Manifest, recordings: npt.NDArray[np.int64], config: FeatureConfig
) -> dict[str, npt.NDArray[np.float32]]:
    """The picture of one recording a class: float32 [299, 299, 3], 0..1, by label.

    Args:
      manifest: gives names and paths.
      recordings: readable ones to choose from.
      config: the features to draw.
    """
    _, first = np.unique(manifest.labels[recordings], return_index=True)
    chosen = [manifest.recordings[recordings[position]] for position in first]

    def draw(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        return features.coloured_picture(waveform, rate, PICTURE_SIZE, PICTURE_SIZE, config)

    pictures = {}
    for batch in read_windows([item.path for item in chosen], draw, config, batch_size=1):
        if batch.recording[0] != FILLER and batch.window[0] == 0:
            pictures[chosen[batch.recording[0]].label] = batch.prepared[0].numpy()
    return pictures


def _writer(directory: Path) -> tf.summary.SummaryWriter:
    return tf.summary.create_file_writer(str(directory))
