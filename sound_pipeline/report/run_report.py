"""The files of a run that people look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sound_pipeline.config import RunConfig
from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.evaluation.predictions import Predictions, write_predictions
from sound_pipeline.report.confusion import draw_confusion_matrix
from sound_pipeline.report.excerpts import excerpts, most_confident_mistakes, one_of_each_class
from sound_pipeline.report.page import write_page
from sound_pipeline.report.tensorboard import write_tensorboard

_MISTAKES_SHOWN = 15


@dataclasses.dataclass(frozen=True, eq=False)
class RunResults:
    """A finished run.

    Attributes:
      config: all that decided the result.
      command: what the user typed.
      versions: of the software, by name.
      figures: what metrics.json holds.
      predictions: every tested recording.
      curves: losses by epoch, by fold.
      embeddings: float32 [clips, D], the mean embedding of each row of the predictions.
    """

    config: RunConfig
    command: str
    versions: Mapping[str, str]
    figures: Mapping[str, Any]
    predictions: Predictions
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    embeddings: Matrix


def write_report(directory: Path, run: RunResults) -> None:
    """Writes predictions.csv, confusion_matrix.png, tensorboard/ and report.html.

    Args:
      directory: of the run.
      run: what was found.

    Raises:
      UserError: a recording can't be read any more.
    """
    write_predictions(directory / "predictions.csv", run.predictions)
    confusion_png = directory / "confusion_matrix.png"
    draw_confusion_matrix(
        confusion_png,
        np.array(run.figures["confusion_matrix"], np.int64),
        run.predictions.classes,
        f"{run.figures['data_set']}, {run.figures['split']}: "
        f"accuracy {run.figures['accuracy']:.3f}",
    )
    mistakes = most_confident_mistakes(run.predictions, _MISTAKES_SHOWN)
    samples = one_of_each_class(run.predictions)
    shown = excerpts(run.predictions, [*mistakes, *samples], run.config.features)
    write_tensorboard(
        directory / "tensorboard",
        run.predictions,
        run.curves,
        confusion_png,
        samples=shown[len(mistakes) :],
        mistakes=shown[: len(mistakes)],
        embeddings=run.embeddings,
    )
    write_page(
        directory / "report.html",
        run.figures,
        run.curves,
        shown[: len(mistakes)],
        run.config,
        run.command,
        run.versions,
    )
