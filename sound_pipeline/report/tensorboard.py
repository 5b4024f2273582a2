"""A run for TensorBoard: curves, images, sounds, mistakes and the embedding projector."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.pr_curve import summary as pr_curve

from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.report.excerpts import Excerpt
from sound_pipeline.report.run_results import RunResults
from sound_pipeline.system.text import printable

MOST_PROJECTED = 5_000
"""Clips that the projector gets at the most; a browser turns no more of them smoothly."""

_MOST_NUMBERS = 4_000_000  # in the projector's file: about 40 MB


def write_tensorboard(
    directory: Path,
    run: RunResults,
    confusion_png: Path,
    samples: Sequence[Excerpt],
    mistakes: Sequence[Excerpt],
) -> None:
    """Writes a log directory: a run a fold, and `summary` for all of them together.

    Each fold has its curves and its test accuracy. The summary has the confusion matrix, samples
    and mistakes as images and sounds, a precision-recall curve a class and the projector.

    Args:
      directory: the log directory.
      run: what was found.
      confusion_png: the drawn matrix.
      samples: what the classes sound like.
      mistakes: in the order in which to show them.
    """
    known = run.predictions.known
    for fold, values_by_name in run.curves.items():
        tested = known.folds == fold
        with _writing(directory / fold.replace(" ", "_")):
            for name, values in values_by_name.items():
                for epoch, value in enumerate(values, 1):
                    tf.summary.scalar(name, value, step=epoch)
            if tested.any():
                tf.summary.scalar("test accuracy", known.right[tested].mean(), step=0)
    summary = directory / "summary"
    with _writing(summary):
        png = tf.io.decode_png(confusion_png.read_bytes(), channels=3)
        tf.summary.image("confusion matrix", png[None], step=0)
        for excerpt in samples:
            _show(f"samples/{excerpt.label}", excerpt)
        for number, excerpt in enumerate(mistakes, 1):
            answer = f"{excerpt.label} -> {excerpt.predicted} {excerpt.score:.2f}"
            _show(f"mistakes/{number:02d} {answer}", excerpt)
        _write_precision_recall(known)
    _write_projector(summary, run.predictions, run.embeddings)


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    writer = tf.summary.create_file_writer(str(directory))
    with contextlib.closing(writer), writer.as_default():
        yield


def _show(tag: str, excerpt: Excerpt) -> None:
    path = f"`{excerpt.path}`"
    tf.summary.image(tag, excerpt.image[None], step=0, description=path)
    # TensorBoard shows one kind of data a tag: the sound needs one of its own.
    tf.summary.audio(
        f"{tag}/sound",
        excerpt.waveform[None, :, None],
        excerpt.sample_rate_hz,
        step=0,
        description=path,
    )


def _write_precision_recall(known: Predictions) -> None:
    for number, label in enumerate(known.classes):
        positive = known.truth == number
        if positive.any():
            name = f"precision and recall/{label}"
            curve = pr_curve.pb(name, positive, known.scores[:, number], display_name=label)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step=0)


def _write_projector(directory: Path, predictions: Predictions, embeddings: Matrix) -> None:
    clips, size = embeddings.shape
    count = min(clips, MOST_PROJECTED, max(_MOST_NUMBERS // size, 1))
    rows = np.arange(count) * clips // count
    # The plugin also reads raw float32, but takes that for text until a byte of it can't be.
    np.savetxt(directory / "embeddings.tsv", embeddings[rows], fmt="%.5g", delimiter="\t")
    with (directory / "clips.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("label\tpredicted\tanswer\tfold\tpath\n")
        for row in rows:
            right = "right" if predictions.right[row] else "wrong"
            words = (
                predictions.labels[row],
                predictions.classes[predictions.predicted[row]],
                right if predictions.truth[row] >= 0 else "unknown class",
                predictions.folds[row],
                predictions.paths[row],
            )
            file.write("\t".join(map(printable, words)) + "\n")
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "embeddings"
    # Both beside the configuration: the plugin looks nowhere else.
    embedding.tensor_path = "embeddings.tsv"
    embedding.metadata_path = "clips.tsv"
    projector.visualize_embeddings(str(directory), config)
