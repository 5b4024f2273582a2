"""Matrices too large for memory, by rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sound_pipeline.system.arrays import Floats, Ints, map_array


class Matrix(Protocol):
    """Matrix [rows, D] that may be on disk; arrays are one too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and D."""

    def __len__(self) -> int:
        """Rows."""

    def __getitem__(self, index: Any, /) -> Any:
        """Rows by position, as an array [rows, D]; takes what arrays take, but no single row."""


class MatrixFile:
    """Matrix in a .npy file, open only while it is read: no page of it stays in memory."""

    def __init__(self, path: Path) -> None:
        """Reads the file's header.

        Raises:
          OSError: the file can't be read.
          ValueError: it is no .npy file, or damaged.
        """
        rows = map_array(path)
        # Parsing the header again takes longer than reading a few rows.
        self._where = {"dtype": rows.dtype, "shape": rows.shape, "offset": rows.offset}
        self._path = path
        self.shape: tuple[int, ...] = rows.shape

    def __len__(self) -> int:
        """Rows."""
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> npt.NDArray[np.floating]:
        """Rows by position, in the file's own format."""
        return np.array(np.memmap(self._path, mode="r", **self._where)[index])


class RowSelection:
    """Rows of other matrices, in any order: float32 [rows, D], copied where it is asked for."""

    def __init__(self, matrices: Sequence[Matrix], matrix: Ints, row: Ints, size: int) -> None:
        """Notes where the rows are.

        Args:
          matrices: [., D] each.
          matrix: [rows], which of them a row is in.
          row: [rows], its position there.
          size: D.
        """
        self._matrices = matrices
        self._matrix = np.asarray(matrix, np.int32)
        self._row = np.asarray(row, np.int64)
        self.shape = (len(self._row), size)

    @classmethod
    def chosen(cls, *choices: tuple[Matrix, Ints]) -> RowSelection:
        """Rows by position of one matrix, then of the next."""
        matrices, rows = zip(*choices, strict=True)
        counts = [len(row) for row in rows]
        matrix = np.repeat(np.arange(len(counts)), counts)
        return cls(matrices, matrix, np.concatenate(rows), matrices[0].shape[1])

    def __len__(self) -> int:
        """Rows."""
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> Floats:
        """Rows by position (several: a mask, a slice or positions): float32 [rows, D]."""
        matrix, row = self._matrix[index], self._row[index]
        values = np.empty([len(row), self.shape[1]], np.float32)
        # One matrix after the other, each from its start to its end: files are read forwards.
        order = np.lexsort([row, matrix])
        ends = np.cumsum(np.bincount(matrix, minlength=len(self._matrices)))
        for source, places in zip(self._matrices, np.split(order, ends)[:-1], strict=True):
            if len(places):
                values[places] = source[row[places]]
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All rows."""
        del copy
        return self[:].astype(dtype or np.float32, copy=False)


class PieceRows:
    """A matrix's rows cut into equal pieces, one after the other: float32 [rows * pieces, D]."""

    def __init__(self, matrix: Matrix, pieces: int) -> None:
        """Notes the matrix: [rows, pieces * D]."""
        self._matrix = matrix
        self._pieces = pieces
        self.shape = (len(matrix) * pieces, matrix.shape[1] // pieces)

    def __len__(self) -> int:
        """Pieces of all rows."""
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> Floats:
        """Pieces by position (several: a mask, a slice or positions): float32 [pieces, D]."""
        position = np.arange(len(self))[index]
        rows, row = np.unique(position // self._pieces, return_inverse=True)
        values = self._matrix[rows].reshape(len(rows), self._pieces, self.shape[1])
        return np.asarray(values[row, position % self._pieces], np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All pieces."""
        del copy
        return self[:].astype(dtype or np.float32, copy=False)


class MixedRows:
    """Rows of a matrix, each with a share of another of its rows: float32 [rows, D]."""

    def __init__(self, matrix: Matrix, other: Ints, share: Floats) -> None:
        """Notes what is mixed.

        Args:
          matrix: [rows, D].
          other: [rows], the position of the other row.
          share: [rows], of the row itself; what is left of 1 is the other's.
        """
        self._matrix = matrix
        self._other = other
        self._share = share
        self.shape = tuple(matrix.shape)

    def __len__(self) -> int:
        """Rows."""
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> Floats:
        """Rows by position (several: a mask, a slice or positions): float32 [rows, D]."""
        share = self._share[index][:, None]
        own = np.asarray(self._matrix[index], np.float32)
        return share * own + (1 - share) * self._matrix[self._other[index]]


class SideBySide:
    """Matrices of as many rows, side by side: float32 [rows, all D], copied where asked for."""

    def __init__(self, matrices: Sequence[Matrix]) -> None:
        """Notes the matrices: [rows, D] each."""
        self._matrices = tuple(matrices)
        self.shape = (len(matrices[0]), sum(matrix.shape[1] for matrix in matrices))

    def __len__(self) -> int:
        """Rows."""
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> Floats:
        """Rows by position (several: a mask, a slice or positions): float32 [rows, all D]."""
        return np.concatenate([matrix[index] for matrix in self._matrices], axis=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All rows."""
        del copy
        return self[:].astype(dtype or np.float32, copy=False)
