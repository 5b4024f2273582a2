"""Everything that metrics.json says about a run's answers, from the answers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sound_pipeline.evaluation import metrics
from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.evaluation.significance import accuracy_interval
from sound_pipeline.heads.calibration import (
    Calibration,
    Reliability,
    expected_calibration_error,
    reliability_curve,
    wrong_below,
)


def summarise(predictions: Predictions, calibrations: Mapping[str, Calibration]) -> dict[str, Any]:
    """Figures of a run, as JSON values.

    All but those under `unknown` and `unknown_rejected` are of recordings of known classes.

    Args:
      predictions: every tested recording.
      calibrations: by name of the fold, what its answers were scaled and are to be filtered by.
    """
    known = predictions.known
    by_fold = {
        name: known.where(known.folds == name) for name in dict.fromkeys(known.folds.tolist())
    }
    per_fold = {
        name: metrics.accuracy(fold.truth, fold.predicted) for name, fold in by_fold.items()
    }
    answers = {
        "accuracy": float(np.mean(list(per_fold.values()))),
        "accuracy_interval": list(accuracy_interval(known.right, known.folds, known.groups)),
        "per_fold": per_fold,
        "macro_f1": metrics.macro_f1(known.truth, known.predicted, len(known.classes)),
        "top_3_accuracy": metrics.top_k_accuracy(known.truth, known.scores, 3),
        "per_class": _per_class(known),
        "confusion_matrix": metrics.confusion_matrix(
            known.truth, known.predicted, len(known.classes)
        ).tolist(),
        "calibration": {
            "error": expected_calibration_error(known.score, known.right),
            "error_before": expected_calibration_error(known.uncalibrated_score, known.right),
            "reliability": _columns(reliability_curve(known.score, known.right)),
            "reliability_before": _columns(
                reliability_curve(known.uncalibrated_score, known.right)
            ),
            "temperatures": {name: calibrations[name].temperature for name in by_fold},
        },
        "wrong_below": wrong_below(known.score, known.right),
        "min_score": _filtered(predictions, calibrations),
    }
    unknown = predictions.unknown
    if len(unknown.labels):
        is_known = predictions.truth >= 0
        answers["unknown"] = {
            "classes": sorted(set(unknown.labels.tolist())),
            "clips": len(unknown.labels),
            "auroc": metrics.roc_auc(is_known, predictions.score),
        }
    return answers


def _per_class(known: Predictions) -> dict[str, dict[str, float | int | None]]:
    truth, predicted, classes = known.truth, known.predicted, len(known.classes)
    precision = metrics.average_precision_by_class(truth, known.scores)
    columns = {
        "clips": np.bincount(truth, minlength=classes).tolist(),
        "precision": metrics.precision_by_class(truth, predicted, classes).tolist(),
        "recall": metrics.recall_by_class(truth, predicted, classes).tolist(),
        "f1": metrics.f1_by_class(truth, predicted, classes).tolist(),
        # Undefined for a class that was not tested, and JSON has no NaN.
        "average_precision": [None if np.isnan(value) else float(value) for value in precision],
    }
    return {
        name: {figure: values[number] for figure, values in columns.items()}
        for number, name in enumerate(known.classes)
    }


def _filtered(
    predictions: Predictions, calibrations: Mapping[str, Calibration]
) -> dict[str, float | None]:
    """Metrics of the predictions that reach the threshold of their fold."""
    least = np.array([calibrations[name].min_score for name in predictions.folds.tolist()])
    kept = predictions.score >= least
    is_known = predictions.truth >= 0
    right = predictions.right[kept & is_known]
    shares = {
        "kept": float(kept[is_known].mean()),
        "accuracy_of_kept": float(right.mean()) if len(right) else None,
    }
    if not is_known.all():
        shares["unknown_rejected"] = float(1 - kept[~is_known].mean())
    return shares


def _columns(curve: Reliability) -> dict[str, list[float]]:
    return {
        "score": curve.score.tolist(),
        "accuracy": curve.accuracy.tolist(),
        "clips": curve.clips.tolist(),
    }
