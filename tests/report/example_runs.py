"""Made-up results of a run, as the report's page gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import DatasetConfig
from sound_pipeline.datasets.splits import SplitConfig
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.report.excerpts import Excerpt
from sound_pipeline.report.run_results import RunResults

TEN = (
    "dog",
    "rooster",
    "rain",
    "sea_waves",
    "crackling_fire",
    "crying_baby",
    "sneezing",
    "clock_tick",
    "helicopter",
    "chainsaw",
)
COMMAND = ".venv/bin/python train.py --flagfile=configs/esc10.cfg --extractor=gabor"
VERSIONS = {"sound_pipeline": "0.1.0", "tensorflow": "2.17.1", "python": "3.11.2"}


def config() -> RunConfig:
    return RunConfig(
        DatasetConfig("esc50", "ESC-50-master", "esc10"),
        SplitConfig("folds"),
        FeatureConfig(),
        "gabor",
        HeadConfig(),
    )


def figures(
    classes: Sequence[str] = TEN, right: float = 0.9, clips_a_class: int = 40, folds: int = 5
) -> dict[str, Any]:
    """As metrics.json has them: of each class about the share `right` is named rightly."""
    generator = np.random.default_rng(len(classes))
    count = len(classes)
    # A few pairs of classes sound alike, and the rest hardly does.
    chances = generator.gamma(0.15, size=(count, count))
    np.fill_diagonal(chances, 0)
    chances *= (1 - right) / chances.sum(axis=1, keepdims=True)
    np.fill_diagonal(chances, right)
    matrix = np.stack([generator.multinomial(clips_a_class, row) for row in chances])
    diagonal = np.diag(matrix)
    recall, precision = diagonal / matrix.sum(axis=1), diagonal / np.maximum(matrix.sum(axis=0), 1)
    f1 = 2 * diagonal / (matrix.sum(axis=0) + matrix.sum(axis=1))
    accuracy = float(diagonal.sum() / matrix.sum())
    spread = 0.1 * (1 - accuracy)
    score = np.linspace(0.3, 0.97, 8)
    off = np.array([-0.05, 0.04, 0.03, -0.04, 0.02, 0.01, -0.02, 0.01])
    clips = np.array([3, 6, 9, 14, 22, 41, 88, 217])
    return {
        "accuracy": accuracy,
        "accuracy_interval": [accuracy - 3 * spread, accuracy + 2 * spread],
        "per_fold": {
            f"fold {fold}": accuracy + spread * (fold - (folds + 1) / 2)
            for fold in range(1, folds + 1)
        },
        "macro_f1": float(f1.mean()),
        "top_3_accuracy": 1 - spread,
        "split": "folds",
        "clips": int(matrix.sum()),
        "classes": list(classes),
        "data_set": "esc50",
        "sources": {"count": 123, "found": "told apart by the column 'src_file'"},
        "extractor": "gabor",
        "per_class": {
            name: {
                "clips": clips_a_class,
                "precision": float(precision[row]),
                "recall": float(recall[row]),
                "f1": float(f1[row]),
                "average_precision": float(f1[row] ** 0.5),
            }
            for row, name in enumerate(classes)
        },
        "confusion_matrix": matrix.tolist(),
        "calibration": {
            "error": 0.0314,
            "error_before": 0.0826,
            "reliability": {
                "score": score.tolist(),
                "accuracy": (score + off).tolist(),
                "clips": clips.tolist(),
            },
            "reliability_before": {
                "score": score[1:].tolist(),
                "accuracy": (score[1:] ** 0.4 - 0.01).tolist(),
                "clips": clips[1:].tolist(),
            },
            "temperatures": {f"fold {fold}": 0.6 + 0.05 * fold for fold in range(1, folds + 1)},
        },
        "wrong_below": 0.341,
        "min_score": {
            "suggested": 0.362,
            "why": "of 300 answers about validation recordings, 9 scored less, and 6 of these were "
            "wrong",
            "kept": 0.973,
            "accuracy_of_kept": 0.954,
        },
        "unreadable": {},
        "seconds": 12.34,
    }


def learning_curves(folds: int = 5) -> dict[str, dict[str, list[float]]]:
    """Losses that fall, the validation's less far."""
    shown = {}
    for fold in range(1, folds + 1):
        epochs = np.arange(90 + 17 * fold % 60)
        fall = np.exp(-epochs / 20)
        rise = 0.002 * fold * np.maximum(epochs - 60, 0)
        shown[f"fold {fold}"] = {
            "loss": (0.15 + 2.1 * fall).tolist(),
            "validation_loss": (0.3 + 0.04 * fold + 1.9 * fall + rise).tolist(),
        }
    return shown


def results(
    of: Mapping[str, Any] | None = None,
    curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    command: str = COMMAND,
    versions: Mapping[str, str] = VERSIONS,
) -> RunResults:
    """A run's, without predictions and embeddings, which the page doesn't show."""
    return RunResults(
        config=config(),
        command=command,
        versions=versions,
        figures=figures() if of is None else of,
        predictions=None,  # type: ignore[arg-type]
        curves=learning_curves() if curves is None else curves,
        embeddings=np.zeros((0, 1), np.float32),
    )


def excerpt(
    path: str = "sounds/1-100032-A-0.wav",
    label: str = "dog",
    predicted: str = "rooster",
    score: float = 0.93,
    sample_rate_hz: int = 22050,
    seconds: float = 1.5,
    tone_hz: float = 440.0,
) -> Excerpt:
    """A mistake that sounds as a tone and looks as a rising one."""
    time = np.arange(round(sample_rate_hz * seconds)) / sample_rate_hz
    image = np.zeros((299, 299, 3), np.uint8)
    image[..., 0] = np.add.outer(np.arange(299), np.arange(299)) // 3
    image[..., 2] = 90
    waveform = (0.4 * np.sin(2 * np.pi * tone_hz * time)).astype(np.float32)
    return Excerpt(path, label, predicted, score, sample_rate_hz, waveform, image)
