"""Which recordings a data set holds, with their labels, folds and source recordings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sound_pipeline.errors import UserError

BACKGROUND = "background"
"""The name of a class of non-events."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One labelled audio file.

    Attributes:
      path: where it is, as openable from the current directory.
      label: the name of its class.
      fold: its cross-validation fold, or None when the data set has no folds.
      group: the source recording it was cut from. Recordings of one group sound alike, so they
        must stay on one side of a split.
    """

    path: str
    label: str
    fold: int | None
    group: str


@dataclass(frozen=True)
class Manifest:
    """The recordings of a data set.

    Attributes:
      name: for people, such as 'esc50 (esc10 subset)'.
      recordings: in the order of the CSV, or sorted by class and path where there is none.
      classes: the labels that a model learns; a label's position is its class id.
      clip_seconds: the natural length of a clip.
      unknown_classes: the labels of recordings that are tested and never learned from; their
        class ids follow those of `classes`.
    """

    name: str
    recordings: tuple[Recording, ...]
    classes: tuple[str, ...]
    clip_seconds: float
    unknown_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError for a file name that TensorFlow can't be given."""
        for recording in self.recordings:
            try:
                recording.path.encode()
            except UnicodeEncodeError as error:
                message = f"{recording.path!r}: the file name is not UTF-8: rename it"
                raise UserError(message) from error

    @cached_property
    def labels(self) -> np.ndarray:
        """The class id of each recording: int32 [recordings], read-only."""
        names = self.classes + self.unknown_classes
        ids = {label: class_id for class_id, label in enumerate(names)}
        return _read_only(np.array([ids[r.label] for r in self.recordings], np.int32))

    @cached_property
    def is_known(self) -> np.ndarray:
        """Whether each recording's class is one of `classes`: bool [recordings], read-only."""
        return _read_only(self.labels < len(self.classes))

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """The fold numbers in ascending order; empty when the data set has no folds."""
        return tuple(sorted({r.fold for r in self.recordings if r.fold is not None}))

    @cached_property
    def groups(self) -> np.ndarray:
        """The source recording of each recording: str [recordings], read-only."""
        return _read_only(np.array([r.group for r in self.recordings], np.str_))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
