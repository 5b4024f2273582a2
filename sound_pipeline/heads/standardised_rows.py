"""Embeddings with mean 0 and deviation 1, held in memory where they fit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.memory import memory_bytes

FARTHEST = 4.0
"""No feature counts as farther from its mean, in deviations.

Where training never reached (bands above 8 kHz, trained on recordings at 16 kHz) features are
thousands of deviations off, and a few of them would outvote the rest. ESC-10 learned at 16 kHz and
heard at 44.1 kHz, accuracy: 0.75 instead of 0.11; at one rate nothing changes.
"""

# Rows that take up to this fraction of the memory, in float32, are held there; more are read from
# disk again whenever they are asked for.
_SHARE_OF_MEMORY = 1 / 8
# Read at once.
_ROWS_AT_ONCE = 4096

# A feature that deviates by less than this, or by less than this fraction of its mean, is constant
# but for rounding: scaled up to unit deviation, it would decide about every new sound.
_SMALLEST_DEVIATION = 1e-6
_SMALLEST_RELATIVE_DEVIATION = 1e-5


class StandardisedRows:
    """Rows less a mean, divided by a deviation, held to `FARTHEST` deviations.

    Attributes:
      mean: float32 [D].
      deviation: float32 [D]; 1 where a feature is constant.
      is_constant: whether all rows are the same.
    """

    def __init__(self, rows: Matrix, like: StandardisedRows | None = None) -> None:
        """Measures the rows.

        Args:
          rows: float32 [rows, D]; may be on disk.
          like: whose mean and deviation to take; None for the rows' own.
        """
        self._rows = rows
        count, size = rows.shape
        most = int(memory_bytes() * _SHARE_OF_MEMORY) // (4 * size)
        # Two portions are in memory at a time, each of them twice while it is being made.
        self._portion = min(max(most // 4, 1), _ROWS_AT_ONCE)
        self._everything: Floats | None = None
        if count <= most:
            held = np.empty([count, size], np.float32)
            for start in range(0, count, self._portion):
                part = slice(start, start + self._portion)
                held[part] = rows[part]
            self._rows = held
        self.is_constant = False
        self.mean: Floats
        self.deviation: Floats
        self.mean, self.deviation = (like.mean, like.deviation) if like else self._moments()
        if count <= most:
            for start in range(0, count, self._portion):
                part = slice(start, start + self._portion)
                held[part] = self._read(part)
            self._everything = held

    def portions(self) -> Iterator[tuple[Floats, slice]]:
        """All rows in order, as portions float32 [some, D] with their positions."""
        if self._everything is not None:
            yield self._everything, slice(0, len(self._everything))
            return
        parts = [
            slice(start, start + self._portion)
            for start in range(0, len(self._rows), self._portion)
        ]
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self._read, parts[0])
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                values = ahead.result()
                if following is not None:
                    ahead = thread.submit(self._read, following)
                yield values, part

    def _read(self, part: slice) -> Floats:
        values = np.subtract(self._rows[part], self.mean, dtype=np.float32)
        values /= self.deviation
        return np.clip(values, -FARTHEST, FARTHEST, out=values)

    def _moments(self) -> tuple[Floats, Floats]:
        """Mean and deviation of each column, in one pass."""
        count, size = self._rows.shape
        # Sums are of distances from a first guess: they stay small, and so do their errors.
        guess = self._rows[: self._portion].mean(axis=0)
        sums, squares = np.zeros(size), np.zeros(size)
        for start in range(0, count, self._portion):
            distance = self._rows[start : start + self._portion] - guess
            sums += np.ones(len(distance), np.float32) @ distance
            squares += np.einsum("nd,nd->d", distance, distance)
        off = sums / count
        mean = guess + off
        deviation = np.sqrt(np.maximum(squares / count - np.square(off), 0.0))
        smallest = np.maximum(_SMALLEST_DEVIATION, _SMALLEST_RELATIVE_DEVIATION * np.abs(mean))
        varies = deviation > smallest
        self.is_constant = not varies.any()
        deviation = np.where(varies, deviation, 1.0)
        return mean.astype(np.float32), deviation.astype(np.float32)
