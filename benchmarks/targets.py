"""What a benchmark found, beside what it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A figure and its limit.

    Attributes:
      what: the figure's name, with its unit.
      value: it.
      limit: what it should be at the most.
      at_least: whether it should be that at the least instead.
    """

    what: str
    value: float
    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        """A line of a table."""
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return f"{self.what:58}{self.value:9.3f}  {bound:<14}{'' if self.holds else 'MISSED'}"

    @property
    def holds(self) -> bool:
        """Whether the figure keeps to its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def report(figures: Mapping[str, Any], targets: Sequence[Target]) -> None:
    """Prints each target and, last, everything as a line of JSON, which benchmarks/all.py reads."""
    for target in targets:
        print(target)
    print(json.dumps({**figures, "targets": [target._asdict() for target in targets]}), flush=True)
