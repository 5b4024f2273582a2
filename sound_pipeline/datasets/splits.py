"""Splits: which recordings train a classifier, which validate it and which test it.

Clips cut from one source recording sound alike. Where some of them are trained on and others
tested on, the score says how well the classifier remembers recordings, not how well it hears
classes; so every split here but `random_folds` keeps source recordings whole.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.stratify import cut_groups, deal_groups, shuffled
from sound_pipeline.errors import UserError

logger = logging.getLogger(__name__)

PROTOCOLS = ("folds", "grouped", "random", "holdout")
"""The values of `--evaluate`."""


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sides of a manifest, each as ascending indices into its recordings.

    Attributes:
      name: for people, such as 'fold 3'.
      train: int64 [train recordings]; none of an unknown class.
      validation: int64 [validation recordings], cut from the training side: for early stopping,
        calibration and thresholds (these alone look at those of unknown classes). Empty where no
        validation was asked for, or no source recording could be spared.
      test: int64 [test recordings].
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class SplitConfig:
    """Protocol of an evaluation; each field is the flag of the same name.

    Attributes:
      evaluate: 'folds' (the data set's own), 'grouped' (folds by source recording), 'random'
        (folds that ignore source recordings, as in many papers) or 'holdout' (one split).
      test_folds: the folds that test (holdout on a data set with folds).
      folds: how many folds to make (grouped and random).
      test_fraction: the fraction of each class that tests, 0..1 exclusive (holdout on a data set
        without folds).
      validation_fraction: the fraction of each class on the training side that validates, 0 to
        below 1.
      seed: chooses among the equally good splits.

    Raises:
      UserError: a value is out of its range, or doesn't go with the chosen evaluation.
    """

    evaluate: str
    test_folds: tuple[int, ...] = ()
    folds: int = 5
    test_fraction: float = 0.2
    validation_fraction: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the values one by one and against the evaluation."""
        if self.evaluate not in PROTOCOLS:
            raise UserError(
                f"--evaluate={self.evaluate!r} is unknown: use one of {', '.join(PROTOCOLS)}"
            )
        if self.test_folds and self.evaluate != "holdout":
            raise UserError(
                f"--test_folds goes with --evaluate=holdout, not {self.evaluate}: "
                "leave one of them out"
            )
        if self.folds < 2:
            raise UserError(f"--folds={self.folds} is too few: use 2 or more")
        if not 0 < self.test_fraction < 1:
            raise UserError(
                f"--test_fraction={self.test_fraction} is out of range: use a share between "
                "0 and 1, such as 0.2"
            )
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"--validation_fraction={self.validation_fraction} is out of range: use a share "
                "from 0 to below 1, such as 0.15"
            )


def make_splits(manifest: Manifest, config: SplitConfig) -> list[Split]:
    """Splits a data set for an evaluation.

    Args:
      manifest: the data set.
      config: which evaluation; equal configurations give equal splits on every system.

    Returns:
      One split for 'holdout' and for a data set that comes divided into parts to train and to
      test on, otherwise one a fold: each recording is tested once.

    Raises:
      UserError: the data set can't be split so.
    """
    fraction, seed = config.validation_fraction, config.seed
    if tests_own_part(manifest, config):
        splits = [own_parts(manifest, fraction, seed)]
    elif config.evaluate == "folds":
        splits = official_folds(manifest, fraction, seed)
    elif config.evaluate == "grouped":
        splits = grouped_folds(manifest, config.folds, seed, fraction)
    elif config.evaluate == "random":
        splits = random_folds(manifest, config.folds, seed, fraction)
    else:
        splits = [holdout(manifest, config.test_folds, config.test_fraction, fraction, seed)]
    made_here = config.evaluate in ("grouped", "random")
    advice = "use fewer --folds" if made_here else "share them out by --evaluate=grouped"
    for split in splits:
        untested = untested_classes(manifest, split)
        if untested:
            logger.warning(
                "--evaluate=%s: %s tests no recording of class %s: its accuracy is that of the "
                "other classes; add recordings, or %s",
                config.evaluate,
                split.name,
                ", ".join(map(repr, untested)),
                advice,
            )
    return splits


def tests_own_part(manifest: Manifest, config: SplitConfig) -> bool:
    """Whether an evaluation tests on the part that the data set has for that."""
    own = config.evaluate == "folds" or (config.evaluate == "holdout" and not config.test_folds)
    return bool(manifest.parts) and own


def own_parts(manifest: Manifest, validation_fraction: float = 0.15, seed: int = 0) -> Split:
    """Parts that a data set comes divided into: the last tests, those before it but one validate.

    Args:
      manifest: a data set with parts.
      validation_fraction: as in `cut_validation`, where no part is there to validate.
      seed: chooses the validation side there.

    Raises:
      UserError: the training part lacks a class.
    """
    *training, last = manifest.parts
    tested = manifest.fold_of == len(manifest.parts)
    trained = manifest.fold_of == 1
    others = " and ".join(manifest.parts[1:])
    _check_training_classes(manifest, trained, others, "--evaluate=folds")
    if len(training) == 1:
        return _split(manifest, last, tested, validation_fraction, seed)
    return Split(
        name=last,
        train=np.flatnonzero(trained & manifest.is_known),
        validation=np.flatnonzero(~trained & ~tested),
        test=np.flatnonzero(tested),
    )


def official_folds(
    manifest: Manifest, validation_fraction: float = 0.15, seed: int = 0
) -> list[Split]:
    """One split for each of the data set's own folds, which tests while all others train.

    The folds are kept as published, even where a source recording is in two of them (five of
    UrbanSound8K are, each time with other classes).

    Args:
      manifest: a data set with at least two folds.
      validation_fraction: as in `cut_validation`.
      seed: chooses the validation side.

    Raises:
      UserError: there are no two folds, or only one fold holds recordings of some class.
    """
    if len(manifest.folds) < 2:
        problem = "only one fold" if manifest.folds else "no folds"
        raise UserError(
            f"--evaluate=folds: the data set {manifest.name} has {problem}: "
            "use --evaluate=grouped or --evaluate=holdout"
        )
    return _splits_of_folds(
        manifest, manifest.fold_of, "--evaluate=folds", validation_fraction, seed
    )


def grouped_folds(
    manifest: Manifest, folds: int = 5, seed: int = 0, validation_fraction: float = 0.15
) -> list[Split]:
    """Folds that keep source recordings whole and share out every class evenly.

    The largest source recordings are placed first, each into the fold that holds the smallest
    fraction of its classes.

    Args:
      manifest: a data set with at least `folds` source recordings.
      folds: how many, 2 or more.
      seed: orders source recordings of one size.
      validation_fraction: as in `cut_validation`.

    Raises:
      UserError: there are fewer source recordings than folds, or only one for some class.
    """
    sources = len(set(manifest.groups.tolist()))
    if sources < folds:
        raise UserError(
            f"--folds={folds}: {manifest.name} has only {sources} source recordings "
            f"({manifest.grouping or 'as listed'}): use fewer folds"
        )
    fold_of = 1 + deal_groups(manifest.labels, manifest.groups, folds, f"{seed} groups")
    return _splits_of_folds(manifest, fold_of, "--evaluate=grouped", validation_fraction, seed)


def random_folds(
    manifest: Manifest, folds: int = 5, seed: int = 0, validation_fraction: float = 0.15
) -> list[Split]:
    """Folds that share out every class evenly and IGNORE source recordings.

    Many papers evaluate so. The scores are too high: see `leaks`.

    Args:
      manifest: a data set with at least `folds` recordings.
      folds: how many, 2 or more.
      seed: shuffles the recordings.
      validation_fraction: as in `cut_validation`.

    Raises:
      UserError: there are fewer recordings than folds.
    """
    if len(manifest.recordings) < folds:
        raise UserError(
            f"--folds={folds}: {manifest.name} has only {len(manifest.recordings)} recordings: "
            "use fewer folds"
        )
    labels = manifest.labels.tolist()
    order = shuffled(range(len(labels)), f"{seed} recordings")
    # Dealt class after class without a break: classes and folds are even to one recording.
    order.sort(key=lambda index: labels[index])
    fold_of = np.empty(len(labels), np.int64)
    fold_of[order] = 1 + np.arange(len(labels)) % folds
    return _splits_of_folds(manifest, fold_of, "--evaluate=random", validation_fraction, seed)


def holdout(
    manifest: Manifest,
    test_folds: Sequence[int] = (),
    test_fraction: float = 0.2,
    validation_fraction: float = 0.15,
    seed: int = 0,
) -> Split:
    """One split: by whole folds, or by source recordings where the data set has no folds.

    Args:
      manifest: the data set.
      test_folds: the folds that test; empty exactly when the data set has no folds.
      test_fraction: the fraction of each class that tests, where there are no folds. A class of
        one source recording stays wholly in training.
      validation_fraction: as in `cut_validation`.
      seed: chooses the validation side and, where there are no folds, the test side.

    Raises:
      UserError: the folds named don't exist, or too little is left to train or to test.
    """
    if manifest.folds or test_folds:
        return _holdout_folds(manifest, test_folds, validation_fraction, seed)
    tested = cut_groups(manifest.labels, manifest.groups, test_fraction, f"{seed} test")
    if not tested.any():
        raise UserError(
            f"--evaluate=holdout: every class of {manifest.name} comes from one source "
            "recording, so none can be spared for the test: add other recordings"
        )
    return _split(manifest, "holdout", tested, validation_fraction, seed)


def _holdout_folds(
    manifest: Manifest, test_folds: Sequence[int], validation_fraction: float, seed: int
) -> Split:
    existing = ", ".join(map(str, manifest.folds))
    if not manifest.folds:
        raise UserError(
            f"--test_folds: {manifest.name} has no folds: leave the flag out to hold out "
            "source recordings (--test_fraction)"
        )
    if not test_folds:
        raise UserError(
            f"--evaluate=holdout needs --test_folds: {manifest.name} has the folds {existing}"
        )
    chosen = sorted(set(test_folds))
    unknown = [fold for fold in chosen if fold not in manifest.folds]
    if unknown:
        raise UserError(
            f"--test_folds: {manifest.name} has no fold {', '.join(map(str, unknown))}: "
            f"choose from {existing}"
        )
    if len(chosen) == len(manifest.folds):
        raise UserError(
            f"--test_folds holds out all folds of {manifest.name} ({existing}): "
            "leave at least one to train on"
        )
    tested = np.isin(manifest.fold_of, chosen)
    name = f"fold{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))}"
    _check_training_classes(manifest, ~tested, name, "--test_folds")
    return _split(manifest, name, tested, validation_fraction, seed)


def cut_validation(
    manifest: Manifest, indices: Sequence[int] | np.ndarray, fraction: float = 0.15, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a validation side from a training side, by whole source recordings.

    Every class keeps at least one source recording in training; one that has more also spares
    at least one for validation, unless a source recording of several classes stands in the way.

    Args:
      manifest: the data set.
      indices: the training side, int [recordings].
      fraction: the fraction of each class to cut, 0 to below 1, met as nearly as the sizes of its
        source recordings allow; 0 cuts nothing.
      seed: chooses among the source recordings.

    Returns:
      (train, validation): ascending int64 indices that together are `indices`, less those of
      unknown classes on the training side.
    """
    return _cut(manifest, indices, fraction, f"{seed} validation")


def untested_classes(manifest: Manifest, split: Split) -> list[str]:
    """Known classes that no test recording of the split is of."""
    present = set(manifest.labels[split.test].tolist())
    return [label for i, label in enumerate(manifest.classes) if i not in present]


def _splits_of_folds(
    manifest: Manifest, fold_of: np.ndarray, flag: str, validation_fraction: float, seed: int
) -> list[Split]:
    splits = []
    for fold in np.unique(fold_of).tolist():
        tested = fold_of == fold
        _check_training_classes(manifest, ~tested, f"fold {fold}", flag)
        splits.append(_split(manifest, f"fold {fold}", tested, validation_fraction, seed))
    return splits


def _split(
    manifest: Manifest, name: str, tested: np.ndarray, validation_fraction: float, seed: int
) -> Split:
    # The name in the key: with one order for all folds, some recordings would validate whenever
    # they don't test, and never train.
    key = f"{seed} validation {name}"
    train, validation = _cut(manifest, np.flatnonzero(~tested), validation_fraction, key)
    return Split(name, train, validation, np.flatnonzero(tested))


def _cut(
    manifest: Manifest, indices: Sequence[int] | np.ndarray, fraction: float, key: str
) -> tuple[np.ndarray, np.ndarray]:
    whole = np.sort(np.asarray(indices, np.int64))
    cut = cut_groups(manifest.labels[whole], manifest.groups[whole], fraction, key)
    return whole[~cut & manifest.is_known[whole]], whole[cut]


def _check_training_classes(manifest: Manifest, trained: np.ndarray, name: str, flag: str) -> None:
    """Raises UserError unless the recordings marked in `trained` have every class."""
    present = set(manifest.labels[trained].tolist())
    lacking = [label for i, label in enumerate(manifest.classes) if i not in present]
    if lacking:
        other = ", use --evaluate=grouped" if flag != "--evaluate=grouped" else ""
        raise UserError(
            f"{flag}: {name} holds all recordings of class {', '.join(map(repr, lacking))}, which "
            f"leaves none to train on: add recordings from other sources{other} or remove the class"
        )
