"""Evaluates heads on recordings that they were not trained on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np

from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.splits import Split
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.heads.calibration import Calibration, with_temperature
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.head import AnyHead
from sound_pipeline.heads.train import HeldOutScores, ask, calibrate, train_head

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """Result of one split.

    Attributes:
      name: the split's.
      head: trained on all but the test recordings.
      tested: what it said about the test recordings, those of unknown classes included.
      validation: what is known about it from its validation part.
      calibration: its temperature and threshold, from the validation part.
      curves: losses by epoch of the training watched for early stopping.
    """

    name: str
    head: AnyHead
    tested: HeldOutScores
    validation: HeldOutScores
    calibration: Calibration
    curves: dict[str, list[float]]


def evaluate(
    manifest: Manifest,
    embeddings: Embeddings,
    splits: Sequence[Split],
    config: HeadConfig,
    done: Callable[[FoldResult], None] = lambda result: None,
) -> list[FoldResult]:
    """Trains a head a split and tests it on what it hasn't seen.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings.
      splits: the test part of each is not looked at before its head is trained and calibrated.
      config: how heads are trained.
      done: called with every result, in the order of the splits.

    Raises:
      UserError: a split has no readable test recording, or lacks a class in training.
    """
    results = []
    # One at a time: the products that heads are trained by take all cores.
    for split in splits:
        result, epochs = _evaluate_one(manifest, embeddings, split, config)
        known = manifest.is_known[result.tested.recordings]
        predicted = result.tested.log_scores.argmax(axis=1)
        right = manifest.labels[result.tested.recordings] == predicted
        logger.info(
            "%s: accuracy %.3f on %d recordings (%d epochs)",
            result.name,
            right[known].mean(),
            known.sum(),
            epochs,
        )
        done(result)
        results.append(result)
    return results


def _evaluate_one(
    manifest: Manifest, embeddings: Embeddings, split: Split, config: HeadConfig
) -> tuple[FoldResult, int]:
    """Result of one split, and the epochs its head was trained for."""
    trained = train_head(manifest, embeddings, split.train, split.validation, config)
    calibration = calibrate(manifest, [trained.validation])
    tested = ask(trained.head, embeddings, split.test)
    if not manifest.is_known[tested.recordings].any():
        raise UserError(f"{split.name}: not one of its test recordings can be read")
    result = FoldResult(
        name=split.name,
        head=trained.head,
        tested=tested,
        validation=trained.validation,
        calibration=calibration,
        curves=trained.curves,
    )
    return result, trained.epochs


def predictions_of(manifest: Manifest, results: Sequence[FoldResult]) -> Predictions:
    """Calibrated answers about all tested recordings, fold by fold."""
    positions = np.concatenate([result.tested.recordings for result in results])
    return Predictions(
        classes=manifest.classes,
        paths=np.array([manifest.paths[position] for position in positions]),
        folds=np.concatenate([[result.name] * len(result.tested.recordings) for result in results]),
        groups=manifest.groups[positions],
        labels=np.array(manifest.names)[manifest.labels[positions]],
        scores=np.concatenate(
            [
                with_temperature(result.tested.log_scores, result.calibration.temperature)
                for result in results
            ]
        ),
        uncalibrated_score=np.exp(
            np.concatenate([result.tested.log_scores.max(axis=1) for result in results])
        ),
    )
