"""A head for each extractor: learned, tuned and weighed by recordings held back for that."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets import Manifest
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.embeddings.matrices import PieceRows, RowSelection
from sound_pipeline.errors import UserError
from sound_pipeline.features.beginnings import BEGINNINGS_WEIGHT
from sound_pipeline.heads.calibration import Calibration
from sound_pipeline.heads.combining import combine_windows_log
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import FittedHead, TrainingExamples, fit_head
from sound_pipeline.heads.head import AnyHead, JointHead, Member
from sound_pipeline.system.arrays import Floats, Ints

logger = logging.getLogger(__name__)

L2_GRID = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Weight decays that --tune tries."""

# Embeddings read at once when a head is asked about them.
_WINDOWS_AT_ONCE = 4096
# Added to losses before heads are weighed by them: a head that is always right in validation, by
# skill or by luck, silences no other.
_LOSS_OF_THE_BEST = 0.01


@dataclasses.dataclass(frozen=True)
class HeldOutScores:
    """Scores of a head on recordings that it was not trained on.

    Attributes:
      recordings: int64 [clips], positions in the manifest; readable ones.
      log_scores: float32 [clips, classes], log-probabilities, before temperature scaling.
    """

    recordings: Ints
    log_scores: Floats


@dataclasses.dataclass(frozen=True)
class TrainedHead:
    """A trained head and what is known about it.

    Attributes:
      head: trained on the training and the validation part.
      validation: what a head of the training part alone, trained for as long, said about the
        validation part.
      epochs: how long it was trained; the longest of several heads.
      curves: losses by epoch of the training watched for early stopping; the mean of several.
    """

    head: AnyHead
    validation: HeldOutScores
    epochs: int
    curves: dict[str, list[float]]


def examples(
    manifest: Manifest, embeddings: Embeddings, recordings: npt.ArrayLike, augmented: bool = False
) -> TrainingExamples:
    """Windows and beginnings of some recordings, each recording with a total weight of 1.

    Windows that were embedded in pieces come in pieces, which share their weight.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings, by one extractor.
      recordings: positions of those wanted.
      augmented: whether the windows and beginnings of their augmented copies are among them; to
        train on, never to choose or test by.
    """
    begun = BEGINNINGS_WEIGHT if len(embeddings.beginnings) else 0.0
    renditions = [embeddings, *embeddings.copies] if augmented else [embeddings]
    choices, owners, weights = [], [], []
    for parts, weight in (
        ([(each.values, each.recording) for each in renditions], 1.0 - begun),
        ([(each.beginnings, each.beginning_of) for each in renditions], begun),
    ):
        chosen = [np.flatnonzero(np.isin(owner, recordings)) for _, owner in parts]
        choices += [(rows, some) for (rows, _), some in zip(parts, chosen, strict=True)]
        owner = np.concatenate([of[some] for (_, of), some in zip(parts, chosen, strict=True)])
        counts = np.bincount(owner, minlength=len(manifest.recordings))
        owners.append(owner)
        weights.append(weight / counts[owner])
    rows = RowSelection.chosen(*choices)
    labels = manifest.labels[np.concatenate(owners)]
    weight = np.concatenate(weights).astype(np.float32)
    pieces = embeddings.pieces
    if pieces == 1:
        return TrainingExamples(rows, labels, weight)
    shared = np.repeat(weight / np.float32(pieces), pieces)
    return TrainingExamples(PieceRows(rows, pieces), np.repeat(labels, pieces), shared, pieces)


def train_head(
    manifest: Manifest,
    embeddings: Embeddings,
    training: npt.ArrayLike,
    validation: npt.ArrayLike,
    config: HeadConfig,
) -> TrainedHead:
    """Trains on both parts, in the way that does best on the validation part.

    That decides for how many epochs and, with `config.tune`, with how much weight decay. Where
    several extractors made the embeddings, each gets a head of its own, tuned and calibrated by
    itself; together they say the mean of their log-probabilities, weighed by the inverse of their
    loss on the validation part. Recordings of unknown classes are never trained on.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings.
      training: positions of recordings to train on.
      validation: positions of recordings to choose by; may be empty, then all epochs are trained
        and all extractors weigh the same.
      config: how.

    Raises:
      UserError: a class has no readable recording in the training part; there is nothing to tune
        by.
    """
    trained = [
        _train_one(manifest, part, training, validation, config) for part in embeddings.parts
    ]
    return trained[0] if len(trained) == 1 else join_heads(manifest, embeddings, trained)


def join_heads(
    manifest: Manifest, embeddings: Embeddings, trained: Sequence[TrainedHead]
) -> TrainedHead:
    """Heads of several extractors as one; see `train_head`.

    Args:
      manifest: gives the labels.
      embeddings: of all recordings.
      trained: what `train_head` gave for each of `embeddings.parts`, of the same recordings. The
        heads get the temperatures that their validation asks for.
    """
    calibrated = [calibrated_losses(manifest, training.validation) for training in trained]
    losses = [losses.mean() if len(losses) else 0.0 for _, losses in calibrated]
    shares = 1 / (np.array(losses) + _LOSS_OF_THE_BEST)
    weights = (shares / shares.sum()).tolist()
    ends = np.cumsum([part.values.shape[1] for part in embeddings.parts]).tolist()
    members = []
    log_scores = np.zeros_like(trained[0].validation.log_scores)
    for training, (temperature, _), weight, columns in zip(
        trained, calibrated, weights, zip([0, *ends[:-1]], ends, strict=True), strict=True
    ):
        training.head.temperature.assign(temperature)
        members.append(Member(training.head, columns, weight))
        # Of windows it would be the same: means over windows and over heads change places, and
        # what normalises each head's answer is the same for all classes.
        log_scores += weight / temperature * training.validation.log_scores
    held_out = HeldOutScores(trained[0].validation.recordings, _normalised(log_scores))
    curves = _mean_curves([training.curves for training in trained])
    epochs = max(training.epochs for training in trained)
    return TrainedHead(JointHead(members), held_out, epochs, curves)


def ask(head: AnyHead, embeddings: Embeddings, recordings: npt.ArrayLike) -> HeldOutScores:
    """Scores recordings by a head; unreadable ones are left out."""
    readable = np.intersect1d(np.asarray(recordings, np.int64), embeddings.recording)
    windows = np.flatnonzero(np.isin(embeddings.recording, readable))
    _, segment = np.unique(embeddings.recording[windows], return_inverse=True)
    logits = [np.zeros([0, head.classes], np.float32)]
    for start in range(0, len(windows), _WINDOWS_AT_ONCE):
        some = windows[start : start + _WINDOWS_AT_ONCE]
        logits.append(head(embeddings.values[some]).numpy())
    log_scores = combine_windows_log(np.concatenate(logits), segment.astype(np.int32))
    return HeldOutScores(readable, log_scores.numpy())


def calibrate(manifest: Manifest, validations: Sequence[HeldOutScores]) -> Calibration:
    """A temperature and a threshold from what heads said about their validation parts."""
    log_scores = np.concatenate([validation.log_scores for validation in validations])
    labels = manifest.labels[np.concatenate([part.recordings for part in validations])]
    labels = np.where(labels < len(manifest.classes), labels, -1)
    return Calibration.of(log_scores, labels)


def calibrated_losses(manifest: Manifest, said: HeldOutScores) -> tuple[float, Floats]:
    """Cross-entropy after temperature scaling.

    Args:
      manifest: gives the labels.
      said: answers about recordings; those of unknown classes are left out.

    Returns:
      The temperature, and the cross-entropy of each recording at it: float32 [clips].
    """
    temperature = calibrate(manifest, [said]).temperature
    known = manifest.is_known[said.recordings]
    log_scores = _normalised(said.log_scores[known] / temperature)
    own = log_scores[np.arange(len(log_scores)), manifest.labels[said.recordings[known]]]
    return temperature, -own


def _train_one(
    manifest: Manifest,
    embeddings: Embeddings,
    training: npt.ArrayLike,
    validation: npt.ArrayLike,
    config: HeadConfig,
) -> TrainedHead:
    """`train_head` for the embeddings of one extractor."""
    classes = len(manifest.classes)
    known = np.flatnonzero(manifest.is_known)
    learned = examples(manifest, embeddings, np.intersect1d(training, known), augmented=True)
    absent = sorted(set(range(classes)) - set(learned.labels.tolist()))
    if absent:
        raise UserError(
            f"class {manifest.classes[absent[0]]!r} has no readable recording to train on; add "
            "some, or leave the class out"
        )
    watched = examples(manifest, embeddings, np.intersect1d(validation, known))
    if not len(watched.labels):
        if config.tune:
            raise UserError("--tune: no recording is held back; raise --validation_fraction")
        fit = fit_head(learned, None, classes, config)
        nothing = HeldOutScores(np.zeros(0, np.int64), np.zeros((0, classes), np.float32))
        return TrainedHead(fit.head, nothing, fit.epochs, fit.curves)

    def tried(variant: HeadConfig) -> _Trial:
        fit = fit_head(learned, watched, classes, variant)
        said = ask(fit.head, embeddings, validation)
        return _Trial(variant, fit, said, calibrated_losses(manifest, said)[1])

    chosen = tried(config)
    if config.tune:
        others = [dataclasses.replace(config, l2=l2) for l2 in L2_GRID if l2 != config.l2]
        chosen = _best(chosen, [tried(other) for other in others])
        mean = chosen.losses.mean()
        logger.info("weight decay %g: validation loss %.3f", chosen.config.l2, mean)
    both = np.intersect1d(np.union1d(training, validation), known)
    together = examples(manifest, embeddings, both, augmented=True)
    found = chosen.fit
    final = fit_head(together, None, classes, chosen.config, epochs=found.epochs)
    return TrainedHead(final.head, chosen.said, found.epochs, found.curves)


class _Trial(NamedTuple):
    """A way to train, what came of it, and its losses on validation recordings [clips]."""

    config: HeadConfig
    fit: FittedHead
    said: HeldOutScores
    losses: Floats


def _best(configured: _Trial, others: Sequence[_Trial]) -> _Trial:
    """Trial of the least mean loss, if it is less than the configured one's beyond chance.

    That is by more than the standard error of the difference (after the one-standard-error rule of
    Breiman et al. 1984). On ESC-10's 48 validation recordings the least loss alone chooses from one
    end of the grid to the other, and tests worse than the configuration.
    """
    best = min(others, key=lambda trial: float(trial.losses.mean()))
    gain = configured.losses - best.losses
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else configured


def _normalised(log_scores: Floats) -> Floats:
    """Log-probabilities float32 [clips, classes]."""
    below = log_scores - log_scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(below).sum(axis=1, keepdims=True))
    return np.asarray(below - total, np.float32)


def _mean_curves(curves: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Mean of several heads' losses by epoch; those that have stopped keep their last."""
    epochs = max(len(of_head["loss"]) for of_head in curves)
    return {
        name: np.mean(
            [np.pad(c[name], (0, epochs - len(c[name])), mode="edge") for c in curves], axis=0
        ).tolist()
        for name in curves[0]
    }
