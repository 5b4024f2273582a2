"""The figures of a run are scikit-learn's on its predictions.csv."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as oracle

from sound_pipeline.evaluation.predictions import Predictions, write_predictions
from sound_pipeline.evaluation.summary import summarise
from sound_pipeline.heads.calibration import Calibration

CLASSES = ("bark", "drill", "hum", "siren", "never tested")
UNKNOWN = "cricket"
CALIBRATIONS = {"fold 1": Calibration(1.5, 0.45, ""), "fold 2": Calibration(0.8, 0.6, "")}


def made_up(clips: int = 200, unknown: int = 0, seed: int = 0) -> Predictions:
    """Answers that are right about two times in three, in folds of different sizes."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, clips)
    logits = random.normal(size=(clips, len(CLASSES)))
    logits[np.arange(clips), truth] += 1.5
    labels = np.array([CLASSES[number] for number in truth], "<U20")
    labels[:unknown] = UNKNOWN
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        classes=CLASSES,
        paths=np.array([f"{number}.wav" for number in range(clips)]),
        folds=np.where(np.arange(clips) % 3 > 0, "fold 1", "fold 2"),
        groups=np.array([f"source {number // 2}" for number in range(clips)]),
        labels=labels,
        scores=scores.astype(np.float32),
        uncalibrated_score=(scores.max(axis=1) ** 0.5).astype(np.float32),
    )


@pytest.fixture(params=[0, 40], ids=["closed", "open"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[dict[str, str]], dict]:
    """The rows of the CSV, as anyone reads them, and the figures."""
    predictions = made_up(unknown=request.param)
    write_predictions(tmp_path / "predictions.csv", predictions)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), summarise(predictions, CALIBRATIONS)


def test_figures_equal_scikit_learns_on_the_csv(rows: tuple[list[dict[str, str]], dict]) -> None:
    table, ours = rows
    known = [row for row in table if row["label"] != UNKNOWN]
    label, predicted = ([row[column] for row in known] for column in ("label", "predicted"))
    for fold in "fold 1", "fold 2":
        tested = [row for row in known if row["fold"] == fold]
        accuracy = oracle.accuracy_score(
            [row["label"] for row in tested], [row["predicted"] for row in tested]
        )
        assert ours["per_fold"][fold] == pytest.approx(accuracy)
    assert ours["accuracy"] == pytest.approx(np.mean(list(ours["per_fold"].values())))
    assert ours["macro_f1"] == pytest.approx(oracle.f1_score(label, predicted, average="macro"))
    matrix = oracle.confusion_matrix(label, predicted, labels=CLASSES)
    assert ours["confusion_matrix"] == matrix.tolist()

    precision, recall, f1, support = oracle.precision_recall_fscore_support(
        label, predicted, labels=CLASSES, zero_division=0
    )
    scores = np.array([[float(row[f"score: {name}"]) for name in CLASSES] for row in known])
    for number, name in enumerate(CLASSES):
        one = ours["per_class"][name]
        assert one["clips"] == support[number]
        assert one["precision"] == pytest.approx(precision[number])
        assert one["recall"] == pytest.approx(recall[number])
        assert one["f1"] == pytest.approx(f1[number])
        positive = [row["label"] == name for row in known]
        if any(positive):
            average = oracle.average_precision_score(positive, scores[:, number])
            assert one["average_precision"] == pytest.approx(average)
        else:
            assert one["average_precision"] is None
    truth = [CLASSES.index(name) for name in label]
    assert ours["top_3_accuracy"] == pytest.approx(
        oracle.top_k_accuracy_score(truth, scores, k=3, labels=range(len(CLASSES)))
    )


def test_calibration_by_a_loop_over_the_csv(rows: tuple[list[dict[str, str]], dict]) -> None:
    table, ours = rows
    known = [row for row in table if row["label"] != UNKNOWN]

    def error(column: str) -> float:
        total = 0.0
        for number in range(15):
            inside = [r for r in known if number / 15 < float(r[column]) <= (number + 1) / 15]
            if inside:
                right = sum(row["label"] == row["predicted"] for row in inside)
                total += abs(right - sum(float(row[column]) for row in inside))
        return total / len(known)

    calibration = ours["calibration"]
    assert calibration["error"] == pytest.approx(error("score"))
    assert calibration["error_before"] == pytest.approx(error("uncalibrated_score"))
    assert sum(calibration["reliability"]["clips"]) == len(known)
    assert calibration["temperatures"] == {"fold 1": 1.5, "fold 2": 0.8}
    below = [row for row in known if float(row["score"]) < ours["wrong_below"]]
    assert below and sum(row["label"] != row["predicted"] for row in below) > len(below) / 2

    threshold = {"fold 1": 0.45, "fold 2": 0.6}
    kept = [row for row in table if float(row["score"]) >= threshold[row["fold"]]]
    kept_known = [row for row in kept if row["label"] != UNKNOWN]
    right = sum(row["label"] == row["predicted"] for row in kept_known)
    assert ours["min_score"]["kept"] == pytest.approx(len(kept_known) / len(known))
    assert ours["min_score"]["accuracy_of_kept"] == pytest.approx(right / len(kept_known))
    strangers = len(table) - len(known)
    if strangers:
        rejected = 1 - (len(kept) - len(kept_known)) / strangers
        assert ours["min_score"]["unknown_rejected"] == pytest.approx(rejected)
        assert ours["unknown"]["classes"] == [UNKNOWN] and ours["unknown"]["clips"] == 40
        auroc = oracle.roc_auc_score(
            [row["label"] != UNKNOWN for row in table], [float(row["score"]) for row in table]
        )
        assert ours["unknown"]["auroc"] == pytest.approx(auroc)
    else:
        assert "unknown" not in ours and "unknown_rejected" not in ours["min_score"]


def test_the_interval_holds_the_accuracy_and_all_is_json() -> None:
    ours = summarise(made_up(), CALIBRATIONS)
    low, high = ours["accuracy_interval"]
    assert low < ours["accuracy"] < high and 0.05 < high - low < 0.3
    assert json.loads(json.dumps(ours, allow_nan=False)) == ours
    wider = summarise(made_up(60), CALIBRATIONS)["accuracy_interval"]
    assert wider[1] - wider[0] > high - low


def test_a_threshold_that_nothing_passes() -> None:
    strict = {name: Calibration(1.0, 1.1, "") for name in CALIBRATIONS}
    ours = summarise(made_up(), strict)["min_score"]
    assert ours == {"kept": 0.0, "accuracy_of_kept": None}
