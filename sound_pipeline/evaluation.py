"""How well heads do on recordings that they were not trained on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline import metrics
from sound_pipeline.config import HeadConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.embeddings import Embeddings
from sound_pipeline.errors import UserError
from sound_pipeline.head import Examples, Fit, Head, fit_head
from sound_pipeline.splits import Split
from sound_pipeline.windows import combine_windows

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """What a head said about one split's test recordings.

    Attributes:
      name: the split's.
      recordings: int64 [tested], positions in the manifest; unreadable ones left out.
      scores: float32 [tested, classes], each row summing to 1.
      accuracy: share of them that got the right label.
      curves: losses by epoch of the training watched for early stopping.
    """

    name: str
    recordings: Ints
    scores: Floats
    accuracy: float
    curves: dict[str, list[float]]


def examples(manifest: Manifest, embeddings: Embeddings, recordings: npt.ArrayLike) -> Examples:
    """The windows of some recordings, each recording with a total weight of 1."""
    windows = np.isin(embeddings.recording, recordings)
    owner = embeddings.recording[windows]
    counts = np.bincount(embeddings.recording, minlength=len(manifest.recordings))
    return Examples(
        embeddings.values[windows],
        manifest.labels[owner],
        (1.0 / counts[owner]).astype(np.float32),
    )


def train_head(
    manifest: Manifest,
    embeddings: Embeddings,
    training: npt.ArrayLike,
    validation: npt.ArrayLike,
    config: HeadConfig,
) -> Fit:
    """Finds the number of epochs on the validation part, then learns from both parts.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings.
      training: positions of recordings to learn from.
      validation: positions of recordings to stop by; may be empty, then all epochs are trained.
      config: how.

    Returns:
      The head trained on both parts for as long as was best on the validation part, with the
      curves of the training that was watched.

    Raises:
      UserError: a class has no readable recording in the training part.
    """
    classes = len(manifest.classes)
    learned = examples(manifest, embeddings, training)
    absent = sorted(set(range(classes)) - set(learned.labels.tolist()))
    if absent:
        raise UserError(
            f"class {manifest.classes[absent[0]]!r} has no readable recording to train on; add "
            "some, or leave the class out"
        )
    watched = examples(manifest, embeddings, validation)
    if not len(watched.labels):
        return fit_head(learned, None, classes, config)
    found = fit_head(learned, watched, classes, config)
    together = examples(manifest, embeddings, np.union1d(training, validation))
    final = fit_head(together, None, classes, config, epochs=found.epochs)
    return dataclasses.replace(found, head=final.head)


def clip_scores(head: Head, embeddings: Embeddings, recordings: Ints) -> Floats:
    """Scores of readable recordings: float32 [recordings, classes], in the order given."""
    windows = np.isin(embeddings.recording, recordings)
    owner, segment = np.unique(embeddings.recording[windows], return_inverse=True)
    scores = combine_windows(head(embeddings.values[windows]), segment.astype(np.int32)).numpy()
    return scores[np.searchsorted(owner, recordings)]


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
      splits: the test part of each is not looked at before its head is trained.
      config: how heads are trained.
      done: called with every result as it comes.

    Raises:
      UserError: a split has no readable test recording, or lacks a class in training.
    """
    results = []
    for split in splits:
        test = np.setdiff1d(split.test, list(embeddings.unreadable))
        if not len(test):
            raise UserError(f"{split.name}: not one of its test recordings can be read")
        fit = train_head(manifest, embeddings, split.train, split.validation, config)
        scores = clip_scores(fit.head, embeddings, test)
        score = metrics.accuracy(manifest.labels[test], scores.argmax(axis=1))
        result = FoldResult(split.name, test, scores, score, fit.curves)
        logger.info(
            "%s: accuracy %.3f on %d recordings (%d epochs)",
            split.name,
            score,
            len(test),
            fit.epochs,
        )
        done(result)
        results.append(result)
    return results
