"""Embeddings on disk, keyed by the content they are of and by all that made them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.embeddings.matrices import MatrixFile, RowSelection
from sound_pipeline.errors import UserError, first_line
from sound_pipeline.system.arrays import Floats, load_arrays
from sound_pipeline.system.atomic_files import written_aside

MADE_BY_FILE = "made_by.json"
"""Beside a store's parts: what decides their numbers."""

# What float16 can't hold is kept in float32: numbers over 65,504, and rows so small that even
# their largest number would lose digits.
_SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)
_LARGEST = float(np.finfo(np.float16).max)
# Whose digest is taken at once: some megabytes.
_ROWS_AT_ONCE = 1024

logger = logging.getLogger(__name__)

_Part: TypeAlias = tuple[MatrixFile, Keys, npt.NDArray[np.int32]]
"""Rows of a part, the keys they belong to, and how many of them belong to each."""


@dataclasses.dataclass(frozen=True, eq=False)
class RowLocations:
    """Places of the embeddings of some contents in a store.

    Attributes:
      parts: the files.
      part: int32 [contents], which of them; -1 for a content that isn't kept.
      start: int64 [contents], the row of its first window.
      windows: int32 [contents], how many rows it has.
    """

    parts: list[MatrixFile]
    part: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int32]

    @property
    def is_kept(self) -> npt.NDArray[np.bool_]:
        """Whether each content is kept: bool [contents]."""
        return self.part >= 0

    def rows(
        self,
        contents: npt.NDArray[np.integer],
        first: npt.NDArray[np.integer],
        count: npt.NDArray[np.integer],
    ) -> RowSelection:
        """Some windows of each of some contents, one content after the other.

        Args:
          contents: [n], positions of contents that are kept.
          first: [n], the first window of each to take.
          count: [n], how many to take.
        """
        ends = np.cumsum(count)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
        row = np.repeat(self.start[contents] + first, count) + within
        part = np.repeat(self.part[contents], count)
        return RowSelection(self.parts, part, row, self.parts[0].shape[1] if self.parts else 0)


class EmbeddingStore:
    """A folder of embeddings made in one way, in float16 where that loses nothing that matters.

    Every write makes a new part under a name of its own: first NAME.npy, the rows, then NAME.npz,
    whose they are and their digest, each on disk before it is renamed. Readers see whole parts
    only, and several processes may add to one store. Each part is read whole once by a reader,
    which compares digests.

    Attributes:
      directory: of this store's parts alone.
      made_by: all that decides what the embedding of a content is, as JSON.
    """

    def __init__(self, directory: Path, made_by: Mapping[str, Any]) -> None:
        """Opens or makes the store.

        Args:
          directory: holds stores of all kinds.
          made_by: all that decides what the embedding of a content is; JSON values.

        Raises:
          UserError: the directory can't be written.
        """
        self._checked: dict[Path, _Part] = {}
        self.made_by = json.dumps(made_by, sort_keys=True, indent=2)
        self.directory = _directory(directory, self.made_by)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with written_aside(self.directory / MADE_BY_FILE, "w") as file:
                file.write(self.made_by)
        except OSError as error:
            raise UserError(
                f"--cache_dir={directory}: {error.strerror}; give a directory that can be written"
            ) from error

    @staticmethod
    def is_there(directory: Path, made_by: Mapping[str, Any]) -> bool:
        """Whether a store has been made; arguments as of `EmbeddingStore`."""
        return _directory(directory, json.dumps(made_by, sort_keys=True, indent=2)).is_dir()

    def find(self, keys: Keys) -> RowLocations:
        """Finds the embeddings of some contents; a key may be asked for twice.

        A damaged part is removed with a warning: what it held is not kept any more.
        """
        wanted, inverse = np.unique(keys, return_inverse=True)
        part = np.full(len(wanted), -1, np.int32)
        start = np.zeros(len(wanted), np.int64)
        windows = np.zeros(len(wanted), np.int32)
        parts: list[MatrixFile] = []
        for rows, names, counts in self._whole_parts():
            place = np.minimum(np.searchsorted(wanted, names), len(wanted) - 1)
            found = np.flatnonzero(wanted[place] == names) if len(wanted) else np.zeros(0, int)
            if not len(found):
                continue
            part[place[found]] = len(parts)
            start[place[found]] = (np.cumsum(counts) - counts)[found]
            windows[place[found]] = counts[found]
            parts.append(rows)
        return RowLocations(parts, part[inverse], start[inverse], windows[inverse])

    def _whole_parts(self) -> Iterator[_Part]:
        for index in sorted(self.directory.glob("*.npz")):
            if index not in self._checked:
                try:
                    self._checked[index] = _read_part(index)
                except (OSError, KeyError, ValueError) as error:
                    _remove_damaged(index, error)
                    continue
            yield self._checked[index]

    def add(self, embeddings: Mapping[bytes, Floats]) -> None:
        """Keeps embeddings: float32 [windows, D] by content key."""
        # In what format a content is kept must not depend on what it was added with.
        halves = {
            key: half for key, rows in embeddings.items() if (half := compact(rows)) is not rows
        }
        rest = {key: rows for key, rows in embeddings.items() if key not in halves}
        for some in (halves, rest):
            if some:
                self._add_part(some)

    def _add_part(self, embeddings: Mapping[bytes, npt.NDArray[np.floating]]) -> None:
        part = self.directory / f"{uuid.uuid4().hex}.npz"
        rows = np.concatenate(list(embeddings.values()))
        with written_aside(part.with_suffix(".npy"), "wb") as file:
            np.save(file, rows)
        try:
            with written_aside(part, "wb") as file:
                np.savez(
                    file,
                    keys=np.array(list(embeddings)),
                    windows=np.array([len(rows) for rows in embeddings.values()], np.int32),
                    digest=np.array(_digest(rows)),
                )
        except BaseException:
            part.with_suffix(".npy").unlink(missing_ok=True)
            raise


def _read_part(index: Path) -> _Part:
    """Reads the entry of a part, and all of its rows once: they must be those it was made for."""
    columns = load_arrays(index)  # a zip file, which has check sums of its own
    names, counts, digest = columns["keys"], columns["windows"], columns["digest"]
    rows = MatrixFile(index.with_suffix(".npy"))
    if len(rows) != counts.sum():
        raise ValueError(f"{len(rows)} rows, {counts.sum()} expected")
    if _digest(rows) != digest:
        raise ValueError("its rows are not those that were written")
    return rows, names, counts


def _digest(rows: MatrixFile | npt.NDArray[np.floating]) -> bytes:
    """Digest of a matrix [rows, D]: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        digest.update(np.ascontiguousarray(rows[start : start + _ROWS_AT_ONCE]).tobytes())
    return digest.hexdigest().encode()


def _remove_damaged(index: Path, error: Exception) -> None:
    """Removes a part that can't be used, as after a power cut, unless it is gone or locked away."""
    logger.warning(
        "%s: it or its .npy is damaged (%s); what it held is computed again",
        index,
        first_line(error),
    )
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return  # Of the disk or of permissions: not ours to remove.
    for file in (index, index.with_suffix(".npy")):
        with suppress(OSError):
            file.unlink()


def compact(values: Floats) -> npt.NDArray[np.floating]:
    """Embeddings of a content [windows, D] in float16; themselves if numbers would be lost.

    What comes out stays as it is when it is made float32 and compacted again.
    """
    largest = np.abs(values).max(axis=1, initial=0.0)
    fits = np.isfinite(values).all() and largest.max(initial=0.0) <= _LARGEST
    if fits and ((largest == 0) | (largest >= _SMALLEST_NORMAL)).all():
        return values.astype(np.float16)
    return values


def _directory(directory: Path, made_by: str) -> Path:
    return directory / hashlib.sha256(made_by.encode()).hexdigest()[:24]
