"""Predictions of held-out recordings: a table and its CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError

Strings = npt.NDArray[np.str_]

_COLUMNS = ("path", "fold", "group", "label", "predicted", "score", "uncalibrated_score")
_SCORE_OF = "score: "


@dataclass(frozen=True, eq=False)
class Predictions:
    """Held-out recordings, row by row, each scored by a head that never trained on it.

    Attributes:
      classes: what the head knows; a label that is not among them is of an unknown class.
      paths: str [clips], the files.
      folds: str [clips], the name of the split that tested it.
      groups: str [clips], the source recording it was cut from.
      labels: str [clips], the true names.
      scores: float32 [clips, classes], each row summing to 1.
      uncalibrated_score: float32 [clips], the highest score before temperature scaling.
    """

    classes: tuple[str, ...]
    paths: Strings
    folds: Strings
    groups: Strings
    labels: Strings
    scores: npt.NDArray[np.float32]
    uncalibrated_score: npt.NDArray[np.float32]

    @cached_property
    def truth(self) -> npt.NDArray[np.int64]:
        """Class id of each label: int64 [clips]; -1 for an unknown class."""
        ids = {label: number for number, label in enumerate(self.classes)}
        return np.array([ids.get(label, -1) for label in self.labels.tolist()], np.int64)

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Class id with the highest score: int64 [clips]."""
        return self.scores.argmax(axis=1)

    @cached_property
    def score(self) -> npt.NDArray[np.float32]:
        """Highest score: float32 [clips]."""
        return self.scores.max(axis=1)

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether the prediction is the label: bool [clips]; never, for an unknown class."""
        return self.truth == self.predicted

    def where(self, chosen: npt.NDArray[np.bool_]) -> Predictions:
        """Rows marked in `chosen`, bool [clips]."""
        return Predictions(
            self.classes,
            self.paths[chosen],
            self.folds[chosen],
            self.groups[chosen],
            self.labels[chosen],
            self.scores[chosen],
            self.uncalibrated_score[chosen],
        )

    @property
    def known(self) -> Predictions:
        """Rows whose label is one of `classes`."""
        return self.where(self.truth >= 0)

    @property
    def unknown(self) -> Predictions:
        """Rows whose label is none of `classes`."""
        return self.where(self.truth < 0)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes predictions as a CSV file, UTF-8.

    Its columns are path, fold, group, label, predicted, score, uncalibrated_score and, for every
    class, one named 'score: CLASS'. Scores have nine digits, which tell all float32 apart.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, *(_SCORE_OF + name for name in predictions.classes)])
        columns = (
            predictions.paths,
            predictions.folds,
            predictions.groups,
            predictions.labels,
            np.array(predictions.classes)[predictions.predicted],
            predictions.score,
            predictions.uncalibrated_score,
            predictions.scores,
        )
        for *words, score, uncalibrated, scores in zip(*columns, strict=True):
            writer.writerow([*words, *(f"{value:.9g}" for value in (score, uncalibrated, *scores))])


def read_predictions(path: Path) -> Predictions:
    """Reads what `write_predictions` wrote.

    Raises:
      UserError: the file can't be read, or is of another kind.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header, rows = next(reader, []), list(reader)
        classes = tuple(name.removeprefix(_SCORE_OF) for name in header[len(_COLUMNS) :])
        if not classes or header != [*_COLUMNS, *(_SCORE_OF + name for name in classes)]:
            raise ValueError("its columns are others")
        for number, row in enumerate(rows, start=1):
            if len(row) != len(header):
                raise ValueError(f"row {number} has {len(row)} values for {len(header)} columns")
        paths, folds, groups, labels = (
            np.array([row[column] for row in rows], np.str_) for column in range(4)
        )
        numbers = np.array([row[len(_COLUMNS) - 1 :] for row in rows], np.float32)
        numbers = numbers.reshape(len(rows), 1 + len(classes))
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{path}: not a run's predictions ({reason}); run train.py again"
        ) from error
    return Predictions(
        classes=classes,
        paths=paths,
        folds=folds,
        groups=groups,
        labels=labels,
        scores=numbers[:, 1:],
        uncalibrated_score=numbers[:, 0],
    )
