"""Sharing out recordings by whole groups, every class as evenly as their sizes allow.

To meet the shares exactly is a knapsack problem, so groups are placed greedily, one by one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from sound_pipeline.datasets.texts import ERRORS

_Item = TypeVar("_Item", int, str)


def shuffled(items: Iterable[_Item], key: str) -> list[_Item]:
    """Shuffles by a hash of `key` and item: alike on every system and in every version of NumPy."""

    def place(item: _Item) -> bytes:
        return hashlib.blake2b(f"{key}/{item}".encode(errors=ERRORS), digest_size=8).digest()

    return sorted(items, key=place)


def deal_groups(labels: np.ndarray, groups: np.ndarray, parts: int, key: str) -> np.ndarray:
    """Deals whole groups to parts so that each has the same fraction of every class.

    The largest groups are placed first, each into the part that holds the smallest fraction of its
    classes.

    Args:
      labels: the class id of each recording: int [recordings].
      groups: the group of each recording: str [recordings].
      parts: how many.
      key: orders groups of one size.

    Returns:
      The part of each recording, from 0 to parts - 1: int64 [recordings].
    """
    counts = _class_counts(labels, groups)
    class_sizes = Counter(labels.tolist())
    filled: list[Counter[int]] = [Counter() for _ in range(parts)]
    sizes = [0] * parts
    part_of: dict[str, int] = {}

    def fullness(part: int, group: str) -> tuple[float, int]:
        shares = (
            n * filled[part][label] / class_sizes[label] for label, n in counts[group].items()
        )
        return sum(shares), sizes[part]

    for group in sorted(shuffled(counts, key), key=lambda group: -counts[group].total()):
        chosen = min(range(parts), key=lambda part: fullness(part, group))
        filled[chosen].update(counts[group])
        sizes[chosen] += counts[group].total()
        part_of[group] = chosen
    return np.array([part_of[group] for group in groups.tolist()], np.int64)


def cut_groups(labels: np.ndarray, groups: np.ndarray, fraction: float, key: str) -> np.ndarray:
    """Cuts whole groups so that about `fraction` of each class is cut.

    Every class keeps at least one group; one that has more also spares at least one, unless a
    group of several classes stands in the way.

    Args:
      labels: the class id of each recording: int [recordings].
      groups: the group of each recording: str [recordings].
      fraction: the fraction of each class to cut, 0 to below 1, met as nearly as the sizes of its
        groups allow; 0 cuts nothing.
      key: chooses among the groups.

    Returns:
      Which recordings are cut: bool [recordings].
    """
    counts = _class_counts(labels, groups)
    total = Counter(labels.tolist())
    taken: Counter[int] = Counter()
    cut: set[str] = set()

    def spare(group: str) -> bool:
        return all(taken[label] + n < total[label] for label, n in counts[group].items())

    def nearer_to_fraction(group: str) -> bool:
        # The change of the summed squared distances to the wanted counts.
        change = 0.0
        for label, n in counts[group].items():
            wanted = fraction * total[label]
            change += (taken[label] + n - wanted) ** 2 - (taken[label] - wanted) ** 2
        return change < 0

    def take(group: str) -> None:
        cut.add(group)
        taken.update(counts[group])

    order = shuffled(counts, key) if fraction else []
    for group in order:
        if spare(group) and nearer_to_fraction(group):
            take(group)
    # Classes whose groups were all too large for the fraction spare their smallest.
    for group in sorted(order, key=lambda group: counts[group].total()):
        if not all(taken[label] for label in counts[group]) and group not in cut and spare(group):
            take(group)
    return np.array([group in cut for group in groups.tolist()], np.bool_)


def _class_counts(labels: np.ndarray, groups: np.ndarray) -> dict[str, Counter[int]]:
    """Counts recordings by group and class id."""
    counts: dict[str, Counter[int]] = {}
    for group, label in zip(groups.tolist(), labels.tolist(), strict=True):
        counts.setdefault(group, Counter())[label] += 1
    return counts
