"""Shards of a data set, for machines that divide it without talking to each other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError

_Item = TypeVar("_Item")

_MOST = 99_999  # five digits in a file's name


@dataclass(frozen=True)
class Shard:
    """Every `of`-th recording, from one on: as many for each machine, of all classes.

    Attributes:
      number: which shard, from 1.
      of: how many there are.

    Raises:
      UserError: there is no such shard.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 1 <= self.number <= self.of <= _MOST:
            raise UserError(
                f"--shard={self}: give its number, from 1, and how many there are (at most "
                f"{_MOST}), as 3/64"
            )

    def __str__(self) -> str:
        """As the flag is written."""
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """For files, in the order of the numbers."""
        return f"{self.number:05d}-of-{self.of:05d}"

    def positions(self, recordings: int) -> npt.NDArray[np.int64]:
        """Those of its recordings among all: int64 [shard], ascending."""
        return np.arange(self.number - 1, recordings, self.of)

    def take(self, recordings: Iterable[_Item]) -> Iterator[_Item]:
        """Those of all recordings, one after the other, that are at `positions`."""
        return itertools.islice(recordings, self.number - 1, None, self.of)


def parse_shard(text: str) -> Shard:
    """Shard that --shard names.

    Raises:
      UserError: it names none.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found:
        raise UserError(f"--shard={text}: give its number and how many there are, as 3/64")
    return Shard(int(found[1]), int(found[2]))
