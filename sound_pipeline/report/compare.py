"""Runs beside each other: what differs in how they were made, and in what came of it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.predictions import Predictions, read_predictions
from sound_pipeline.evaluation.significance import McNemar, accuracy_difference_interval, mcnemar

MOST_RUNS_IN_PAIRS = 5
"""Up to so many runs are compared each with each; of more, the first with each other one."""

_FILES = ("config.json", "metrics.json", "predictions.csv")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
      name: for people, another for every run of a comparison.
      config: of the run, by dotted name, such as 'head.l2'.
      figures: those compared, by name; accuracy_interval as a pair, leaked_fraction None where an
        earlier version didn't count, clips how many were tested.
      predictions: of the recordings of known classes.
    """

    name: str
    config: Mapping[str, Any]
    figures: Mapping[str, Any]
    predictions: Predictions


@dataclass(frozen=True)
class Pair:
    """Two runs on the clips that both tested.

    Attributes:
      a: the name of one.
      b: the name of the other.
      clips: how many both tested.
      by_name: how many of them have another path in each run, and the same below the data sets'
        folders.
      relabelled: clips left out since the runs disagree on what they are.
      same_split: whether they held out the same clips together.
      test: McNemar's on those clips; None without clips.
      difference: accuracy of b less that of a on those clips; None without clips.
      interval: 95 % of that difference, over source recordings; None without clips.
    """

    a: str
    b: str
    clips: int
    by_name: int
    relabelled: int
    same_split: bool
    test: McNemar | None
    difference: float | None
    interval: tuple[float, float] | None


def read_runs(directories: Sequence[str]) -> list[Run]:
    """Reads runs; each is named after its folder, or its path where folders are called alike.

    Raises:
      UserError: one is no run, was written by another version, or is named twice.
    """
    places = [os.path.realpath(os.path.expanduser(directory)) for directory in directories]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UserError(f"{directories[number]}: the same run twice; name others")
    names = [os.path.basename(place) for place in places]
    alike = {name for name in names if names.count(name) > 1}
    return [
        _read_run(Path(os.path.expanduser(directory)), directory if name in alike else name)
        for directory, name in zip(directories, names, strict=True)
    ]


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Values, run by run, of the configuration's fields that are not the same in all.

    A field that a run doesn't have, being of another version, is None there.
    """
    fields = dict.fromkeys(itertools.chain.from_iterable(run.config for run in runs))
    values = {field: [run.config.get(field) for run in runs] for field in fields}
    return {field: shown for field, shown in values.items() if any(v != shown[0] for v in shown)}


def over_seeds(runs: Sequence[Run]) -> list[list[Run]]:
    """Groups of runs that differ in nothing but seeds: what training by chance makes of one setup.

    The interval of a run is of the recordings it was tested on alone.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        others = {
            field: value for field, value in run.config.items() if not f".{field}".endswith(".seed")
        }
        alike.setdefault(json.dumps(others, sort_keys=True), []).append(run)
    return [group for group in alike.values() if len(group) > 1]


def compare_all(runs: Sequence[Run]) -> list[Pair]:
    """Every pair of a few runs; of many, the first with each other one."""
    if len(runs) <= MOST_RUNS_IN_PAIRS:
        return [compare(a, b) for a, b in itertools.combinations(runs, 2)]
    return [compare(runs[0], other) for other in runs[1:]]


def compare(a: Run, b: Run) -> Pair:
    """Compares two runs on the clips of the classes that they share and that both tested.

    Clips are the same where their paths are, or their paths below the folders of the data sets.
    """
    rows_a, rows_b, by_name = _matched(a, b)
    labels_a, labels_b = a.predictions.labels[rows_a], b.predictions.labels[rows_b]
    agreed = labels_a == labels_b
    relabelled = int((~agreed).sum())
    rows_a, rows_b, by_name = rows_a[agreed], rows_b[agreed], by_name[agreed]
    test = difference = interval = None
    if len(rows_a):
        right_a, right_b = a.predictions.right[rows_a], b.predictions.right[rows_b]
        groups = a.predictions.groups[rows_a]
        test = mcnemar(right_a, right_b, groups)
        difference = float(right_b.mean() - right_a.mean())
        interval = accuracy_difference_interval(right_b, right_a, groups)
    return Pair(
        a=a.name,
        b=b.name,
        clips=len(rows_a),
        by_name=int(by_name.sum()),
        relabelled=relabelled,
        same_split=_held_out_together(a.predictions, b.predictions, rows_a, rows_b),
        test=test,
        difference=difference,
        interval=interval,
    )


def _read_run(directory: Path, name: str) -> Run:
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; name the output directory of a run")
    missing = [file for file in _FILES if not (directory / file).is_file()]
    if missing:
        raise UserError(
            f"{directory}: is not a run, it has no {', '.join(missing)}; name the output "
            "directory of a finished run"
        )
    predictions = read_predictions(directory / "predictions.csv").known
    figures = _read_json(directory / "metrics.json")
    try:
        low, high = figures["accuracy_interval"]
        compared = {
            "accuracy": float(figures["accuracy"]),
            "accuracy_interval": (float(low), float(high)),
            "split": str(figures["split"]),
            "leaked_fraction": figures.get("leaked_fraction", figures.get("leaked_share")),
            "macro_f1": float(figures["macro_f1"]),
            "top_3_accuracy": float(figures["top_3_accuracy"]),
            "calibration_error": float(figures["calibration"]["error"]),
            "clips": len(predictions.paths),
            "seconds": float(figures["seconds"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        lacking = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{directory / 'metrics.json'}: of another version of sound_pipeline ({lacking}); "
            "run train.py again"
        ) from error
    config = dict(_flat(_read_json(directory / "config.json")))
    return Run(name, config, compared, predictions)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UserError(f"{path}: can't be read ({reason}); run train.py again") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: is not one that a run wrote; run train.py again")
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat += _flat(value, f"{prefix}{name}.") if inner else [(prefix + name, value)]
    return flat


def _matched(a: Run, b: Run) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Rows of the same clips in both, and which of them are so by their names alone."""
    paths_a, paths_b = a.predictions.paths.tolist(), b.predictions.paths.tolist()
    row_in_b = {path: row for row, path in enumerate(paths_b)}
    pairs = [(row, row_in_b[path], False) for row, path in enumerate(paths_a) if path in row_in_b]
    left_a = set(range(len(paths_a))).difference(pair[0] for pair in pairs)
    left_b = set(range(len(paths_b))).difference(pair[1] for pair in pairs)
    named_in_b = {name: row for row, name in _names_below_folders(b, left_b)}
    for row, name in _names_below_folders(a, left_a):
        if name in named_in_b:
            pairs.append((row, named_in_b[name], True))
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2].astype(bool)


def _folders(run: Run) -> list[str]:
    """Folders that recordings were found below; '' for none."""
    data_dir = run.config.get("dataset.data_dir") or ""
    data_dir = data_dir or os.path.dirname(run.config.get("dataset.manifest") or "") or "."
    folders = [data_dir, run.config.get("dataset.background_dir") or ""]
    return [os.path.expanduser(folder) for folder in folders]


def _names_below_folders(
    run: Run, rows: Iterable[int]
) -> Iterator[tuple[int, tuple[int, PurePath]]]:
    """Rows whose clip is below one of the folders, with which that is and the path from there."""
    folders = [(number, folder) for number, folder in enumerate(_folders(run)) if folder]
    for row in rows:
        path = PurePath(str(run.predictions.paths[row]))
        below = (item for item in folders if path.is_relative_to(item[1]))
        for number, folder in itertools.islice(below, 1):
            yield row, (number, path.relative_to(folder))


def _held_out_together(a: Predictions, b: Predictions, rows_a: Rows, rows_b: Rows) -> bool:
    """Whether folds of the matched clips hold the same clips in both, of the classes they share."""
    sizes_a, sizes_b = _fold_sizes(a, b.classes), _fold_sizes(b, a.classes)
    together: dict[tuple[str, str], int] = {}
    for folds in zip(a.folds[rows_a].tolist(), b.folds[rows_b].tolist(), strict=True):
        together[folds] = together.get(folds, 0) + 1
    return all(
        clips == sizes_a[fold_a] == sizes_b[fold_b] for (fold_a, fold_b), clips in together.items()
    )


def _fold_sizes(predictions: Predictions, classes: Sequence[str]) -> dict[str, int]:
    folds, clips = np.unique(
        predictions.folds[np.isin(predictions.labels, classes)], return_counts=True
    )
    return dict(zip(folds.tolist(), clips.tolist(), strict=True))
