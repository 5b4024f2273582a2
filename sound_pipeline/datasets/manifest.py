"""Manifest of a data set: recordings with their labels, folds and source recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sound_pipeline.datasets.recordings import Recording, Recordings
from sound_pipeline.errors import UserError, nearest_name

BACKGROUND = "background"
"""The name of a class of non-events."""


@dataclass(frozen=True)
class Manifest:
    """Recordings of a data set.

    Attributes:
      name: for people, such as 'esc50 (esc10 subset)'.
      recordings: in the order of the CSV, or sorted by class and path where there is none. They
        are kept in columns, and a `AudioReader` is made when one is asked for.
      classes: the labels that a model learns; a label's position is its class id.
      clip_seconds: the natural length of a clip.
      unknown_classes: the labels of recordings that are tested and never trained on; their
        class ids follow those of `classes`.
      grouping: how source recordings are told apart, to say after 'source recordings: 12, '.
      parts: names of the folds 1, 2, ... where these are the parts that the data set comes divided
        into: the first is to train on, the last to test on, those between to validate on.
      listing_remarks: what was noticed while they were listed, a line each: recordings left out.
    """

    name: str
    recordings: Sequence[Recording]
    classes: tuple[str, ...]
    clip_seconds: float
    unknown_classes: tuple[str, ...] = ()
    grouping: str = ""
    parts: tuple[str, ...] = ()
    listing_remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for a file name that TensorFlow can't be given."""
        object.__setattr__(self, "recordings", Recordings.of(self.recordings))

    @cached_property
    def paths(self) -> Sequence[str]:
        """Paths of the recordings, without an object for each."""
        return self._columns.paths

    @property
    def names(self) -> tuple[str, ...]:
        """Label of each class id: `classes`, then `unknown_classes`."""
        return self.classes + self.unknown_classes

    @cached_property
    def labels(self) -> np.ndarray:
        """Class id of each recording: int32 [recordings], read-only."""
        ids = {label: class_id for class_id, label in enumerate(self.names)}
        of_code = np.array([ids[label] for label in self._columns.label_names], np.int32)
        return _read_only(of_code[self._columns.label_codes])

    @cached_property
    def is_known(self) -> np.ndarray:
        """Whether each recording's class is one of `classes`: bool [recordings], read-only."""
        return _read_only(self.labels < len(self.classes))

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Fold numbers in ascending order; empty when the data set has no folds."""
        return tuple(sorted(fold for fold in self._columns.fold_numbers if fold is not None))

    @cached_property
    def fold_of(self) -> np.ndarray:
        """Fold of each recording: int64 [recordings], read-only.

        Raises:
          TypeError: there are recordings without one.
        """
        return _read_only(np.array(self._columns.fold_numbers, np.int64)[self._columns.fold_codes])

    @cached_property
    def groups(self) -> np.ndarray:
        """Source recording of each recording: str [recordings], read-only."""
        longest = max(map(len, self._columns.groups()), default=0) or 1
        groups = self._columns.groups()
        return _read_only(np.fromiter(groups, f"<U{longest}", len(self.recordings)))

    @property
    def _columns(self) -> Recordings:
        return Recordings.of(self.recordings)


def leave_out(manifest: Manifest, unknown: Sequence[str]) -> Manifest:
    """Declares classes unknown: their recordings are tested, and never trained on.

    Args:
      manifest: the data set.
      unknown: the names of the classes.

    Raises:
      UserError: there is no such class, or fewer than two are left.
    """
    for name in unknown:
        if name not in manifest.classes:
            choice = f"choose from {', '.join(manifest.classes)}"
            hint = nearest_name(name, manifest.classes, choice)
            raise UserError(f"--unknown_classes: {manifest.name} has no class {name!r}: {hint}")
    known = tuple(name for name in manifest.classes if name not in unknown)
    if len(known) < 2:
        raise UserError(
            f"--unknown_classes leaves {len(known)} of {len(manifest.classes)} classes to train "
            "on: leave at least two"
        )
    return dataclasses.replace(
        manifest,
        classes=known,
        unknown_classes=tuple(name for name in manifest.classes if name in unknown),
    )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
