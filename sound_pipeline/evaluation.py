"""How well heads do on recordings that they did not learn from."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sound_pipeline.calibration import Calibration, with_temperature
from sound_pipeline.config import HeadConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.embeddings import Embeddings
from sound_pipeline.errors import UserError
from sound_pipeline.head import AT_ONCE, Examples, Head, fit_head
from sound_pipeline.predictions import Predictions
from sound_pipeline.rows import Rows
from sound_pipeline.splits import Split
from sound_pipeline.windows import combine_windows_log

logger = logging.getLogger(__name__)

# What the beginnings of a recording weigh beside its whole windows, of a total of 1. Accuracy on
# ESC-10's folds, Inception v3 trunk: 0.930 on whole recordings and 0.920 live at this weight,
# 0.913 and 0.915 where every beginning weighs as much as a window.
_BEGINNINGS_WEIGHT = 0.3
# Embeddings read at once when a head is asked about them.
_WINDOWS_AT_ONCE = 4096

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What a head said about recordings that it did not learn from.

    Attributes:
      recordings: int64 [clips], positions in the manifest; readable ones.
      log_scores: float32 [clips, classes], log-probabilities, before temperature scaling.
    """

    recordings: Ints
    log_scores: Floats


@dataclasses.dataclass(frozen=True)
class Training:
    """A trained head and what is known about it.

    Attributes:
      head: learned from the training and the validation part.
      validation: what a head of the training part alone, trained for as long, said about the
        validation part.
      epochs: how long it was trained.
      curves: losses by epoch of the training watched for early stopping.
    """

    head: Head
    validation: HeldOut
    epochs: int
    curves: dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """How the head of one split did.

    Attributes:
      name: the split's.
      tested: what it said about the test recordings, those of unknown classes included.
      validation: what is known about it from its validation part.
      calibration: its temperature and threshold, from the validation part.
      curves: losses by epoch of the training watched for early stopping.
    """

    name: str
    tested: HeldOut
    validation: HeldOut
    calibration: Calibration
    curves: dict[str, list[float]]


def examples(manifest: Manifest, embeddings: Embeddings, recordings: npt.ArrayLike) -> Examples:
    """The windows and beginnings of some recordings, each recording with a total weight of 1."""
    begun = _BEGINNINGS_WEIGHT if len(embeddings.beginnings) else 0.0
    parts = [
        (embeddings.values, embeddings.recording, 1.0 - begun),
        (embeddings.beginnings, embeddings.beginning_of, begun),
    ]
    choices, owners, weights = [], [], []
    for rows, recording, weight in parts:
        chosen = np.flatnonzero(np.isin(recording, recordings))
        counts = np.bincount(recording, minlength=len(manifest.recordings))
        choices.append((rows, chosen))
        owners.append(recording[chosen])
        weights.append(weight / counts[recording[chosen]])
    return Examples(
        Rows.chosen(*choices),
        manifest.labels[np.concatenate(owners)],
        np.concatenate(weights).astype(np.float32),
    )


def train_head(
    manifest: Manifest,
    embeddings: Embeddings,
    training: npt.ArrayLike,
    validation: npt.ArrayLike,
    config: HeadConfig,
) -> Training:
    """Finds the number of epochs on the validation part, then learns from both parts.

    Recordings of unknown classes are never learned from.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings.
      training: positions of recordings to learn from.
      validation: positions of recordings to stop by; may be empty, then all epochs are trained.
      config: how.

    Raises:
      UserError: a class has no readable recording in the training part.
    """
    classes = len(manifest.classes)
    known = np.flatnonzero(manifest.is_known)
    learned = examples(manifest, embeddings, np.intersect1d(training, known))
    absent = sorted(set(range(classes)) - set(learned.labels.tolist()))
    if absent:
        raise UserError(
            f"class {manifest.classes[absent[0]]!r} has no readable recording to train on; add "
            "some, or leave the class out"
        )
    watched = examples(manifest, embeddings, np.intersect1d(validation, known))
    if not len(watched.labels):
        fit = fit_head(learned, None, classes, config)
        nothing = HeldOut(np.zeros(0, np.int64), np.zeros((0, classes), np.float32))
        return Training(fit.head, nothing, fit.epochs, fit.curves)
    found = fit_head(learned, watched, classes, config)
    both = np.intersect1d(np.union1d(training, validation), known)
    together = examples(manifest, embeddings, both)
    final = fit_head(together, None, classes, config, epochs=found.epochs)
    held_out = ask(found.head, embeddings, validation)
    return Training(final.head, held_out, found.epochs, found.curves)


def ask(head: Head, embeddings: Embeddings, recordings: npt.ArrayLike) -> HeldOut:
    """What a head says about recordings; unreadable ones are left out."""
    readable = np.intersect1d(np.asarray(recordings, np.int64), embeddings.recording)
    windows = np.flatnonzero(np.isin(embeddings.recording, readable))
    _, segment = np.unique(embeddings.recording[windows], return_inverse=True)
    logits = [np.zeros([0, head.classes], np.float32)]
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        some = windows[start : start + _WINDOWS_AT_ONCE]
        logits.append(head(embeddings.values[some]).numpy())
    log_scores = combine_windows_log(np.concatenate(logits), segment.astype(np.int32))
    return HeldOut(readable, log_scores.numpy())


def calibrate(manifest: Manifest, validations: Sequence[HeldOut]) -> Calibration:
    """A temperature and a threshold from what heads said about their validation parts."""
    log_scores = np.concatenate([validation.log_scores for validation in validations])
    labels = manifest.labels[np.concatenate([part.recordings for part in validations])]
    labels = np.where(labels < len(manifest.classes), labels, -1)
    return Calibration.of(log_scores, labels)


def evaluate(
    manifest: Manifest,
    embeddings: Embeddings,
    splits: Sequence[Split],
    config: HeadConfig,
    done: Callable[[FoldResult], None] = lambda result: None,
) -> list[FoldResult]:
    """Trains a head a split and tests it on what it hasn't seen; several splits at a time.

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
    threads = ThreadPoolExecutor(min(os.cpu_count() or 1, AT_ONCE))
    try:
        pending = [
            threads.submit(_evaluate_one, manifest, embeddings, split, config) for split in splits
        ]
        for future in pending:
            result, epochs = future.result()
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
    finally:
        threads.shutdown(cancel_futures=True)
    return results


def _evaluate_one(
    manifest: Manifest, embeddings: Embeddings, split: Split, config: HeadConfig
) -> tuple[FoldResult, int]:
    """The result of one split, and the epochs its head was trained for."""
    trained = train_head(manifest, embeddings, split.train, split.validation, config)
    calibration = calibrate(manifest, [trained.validation])
    tested = ask(trained.head, embeddings, split.test)
    if not manifest.is_known[tested.recordings].any():
        raise UserError(f"{split.name}: not one of its test recordings can be read")
    result = FoldResult(split.name, tested, trained.validation, calibration, trained.curves)
    return result, trained.epochs


def predictions_of(manifest: Manifest, results: Sequence[FoldResult]) -> Predictions:
    """The calibrated answers about all tested recordings, fold by fold."""
    positions = np.concatenate([result.tested.recordings for result in results])
    recordings = [manifest.recordings[position] for position in positions]
    return Predictions(
        classes=manifest.classes,
        paths=np.array([recording.path for recording in recordings]),
        folds=np.concatenate([[result.name] * len(result.tested.recordings) for result in results]),
        groups=manifest.groups[positions],
        labels=np.array([recording.label for recording in recordings]),
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
