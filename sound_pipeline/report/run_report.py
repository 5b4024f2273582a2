"""Files of a run that people look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sound_pipeline.report.confusion import draw_confusion_matrix
from sound_pipeline.report.excerpts import excerpts, most_confident_mistakes, one_of_each_class
from sound_pipeline.report.page import write_page
from sound_pipeline.report.run_results import RunResults
from sound_pipeline.report.tensorboard import write_tensorboard

_MISTAKES_SHOWN = 15


def write_report(directory: Path, run: RunResults) -> None:
    """Writes confusion_matrix.png, tensorboard/ and report.html.

    Args:
      directory: of the run.
      run: what was found.

    Raises:
      UserError: a recording can't be read any more.
    """
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
    shown_mistakes, shown_samples = shown[: len(mistakes)], shown[len(mistakes) :]
    write_tensorboard(directory / "tensorboard", run, confusion_png, shown_samples, shown_mistakes)
    write_page(directory / "report.html", run, shown_mistakes)
