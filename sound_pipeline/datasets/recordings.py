"""Recordings by the million, in columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets.texts import ERRORS, StringColumn, StringColumnWriter, position_of


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


class Recordings(Sequence[Recording]):
    """An immutable list of recordings: 28 bytes each beside the path.

    A group that ends the path, as that of a recording which is its own source does, is kept as
    the length of that end; others are kept as they are.

    Attributes:
      paths: of all.
      label_names: the classes there are, in the order in which they first come.
      label_codes: the position of each recording's class there: int32 [recordings].
      fold_numbers: the folds there are, in the order in which they first come; None for none.
      fold_codes: the position of each recording's fold there: int32 [recordings].
    """

    __slots__ = (
        "_group_ends",
        "_groups",
        "fold_codes",
        "fold_numbers",
        "label_codes",
        "label_names",
        "paths",
    )

    def __init__(self, recordings: Iterable[Recording] = ()) -> None:
        """Takes them one by one: they may come from an iterator."""
        paths, groups = StringColumnWriter(), StringColumnWriter()
        labels: dict[str, int] = {}
        folds: dict[int | None, int] = {}
        # 4 bytes each, on all systems.
        label_codes, fold_codes, group_ends = array("i"), array("i"), array("i")
        for recording in recordings:
            path, group = (
                recording.path.encode(errors=ERRORS),
                recording.group.encode(errors=ERRORS),
            )
            ends_path = path.endswith(group)
            paths.append(path)
            groups.append(b"" if ends_path else group)
            group_ends.append(len(group) if ends_path else 0)
            label_codes.append(labels.setdefault(recording.label, len(labels)))
            fold_codes.append(folds.setdefault(recording.fold, len(folds)))
        self.paths, self._groups = StringColumn.written(paths), StringColumn.written(groups)
        self._group_ends = _column(group_ends)
        self.label_names, self.label_codes = tuple(labels), _column(label_codes)
        self.fold_numbers, self.fold_codes = tuple(folds), _column(fold_codes)

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> Recordings:
        """These recordings, which are taken as they are if they are in columns already."""
        return recordings if isinstance(recordings, Recordings) else cls(recordings)

    def group(self, position: int) -> str:
        """Source recording of the one at a position from the front."""
        if end := int(self._group_ends[position]):
            return self.paths[position].encode(errors=ERRORS)[-end:].decode(errors=ERRORS)
        return self._groups[position]

    def groups(self) -> Iterator[str]:
        """Goes through the source recordings of all."""
        return map(self.group, range(len(self)))

    def with_paths(self, paths: Mapping[int, str]) -> Recordings:
        """The same with other paths at some positions."""
        return Recordings(
            replace(recording, path=paths.get(position, recording.path))
            for position, recording in enumerate(self)
        )

    def with_groups(self, groups: Mapping[int, str]) -> Recordings:
        """The same with other source recordings at some positions."""
        return Recordings(
            replace(recording, group=groups.get(position, recording.group))
            for position, recording in enumerate(self)
        )

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Recording: ...

    @overload
    def __getitem__(self, index: slice) -> Recordings: ...

    def __getitem__(self, index: int | slice) -> Recording | Recordings:
        """Recording at a position, or a copy of several.

        Raises:
          IndexError: there is no such position.
        """
        if isinstance(index, slice):
            return Recordings(self[position] for position in range(*index.indices(len(self))))
        position = position_of(index, len(self))
        return Recording(
            self.paths[position],
            self.label_names[self.label_codes[position]],
            self.fold_numbers[self.fold_codes[position]],
            self.group(position),
        )

    def __eq__(self, other: object) -> bool:
        """Whether the recordings are the same, in the same order."""
        if not isinstance(other, Recordings):
            return NotImplemented
        return self is other or (
            self.paths == other.paths
            # In the order in which they first come, they are the same if the codes are.
            and (self.label_names, self.fold_numbers) == (other.label_names, other.fold_numbers)
            and np.array_equal(self.label_codes, other.label_codes)
            and np.array_equal(self.fold_codes, other.fold_codes)
            and np.array_equal(self._group_ends, other._group_ends)
            and self._groups == other._groups
        )

    def __hash__(self) -> int:
        """Of their paths."""
        return hash(self.paths)

    def __repr__(self) -> str:
        """Number of entries, which may be millions."""
        return f"<{len(self):,} recordings>"


def _column(values: array[int]) -> npt.NDArray[np.int32]:
    """A read-only copy, without the room that an array keeps to grow."""
    copied = np.array(values)
    copied.flags.writeable = False
    return copied
