"""Leaks: tested recordings whose source recording was trained on, whatever the protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sound_pipeline.datasets.manifest import Manifest
from sound_pipeline.datasets.splits import Split, SplitConfig, tests_own_part

_LEAKY = " (leaky)"


def leaked_fraction(manifest: Manifest, splits: Sequence[Split]) -> float:
    """Fraction of tested recordings, 0..1, whose source was also trained or validated on.

    Recordings of unknown classes don't count: nothing of their class is learned.

    Args:
      manifest: the data set.
      splits: those of one evaluation; a recording that several test counts several times.
    """
    leaked = tested = 0
    for split in splits:
        seen = manifest.groups[np.concatenate([split.train, split.validation])]
        known = manifest.groups[split.test[manifest.is_known[split.test]]]
        leaked += int(np.isin(known, seen).sum())
        tested += len(known)
    return leaked / tested if tested else 0.0


def on_both_sides(
    splits: Sequence[Split], pairs: Sequence[tuple[int, int]], recordings: int
) -> list[tuple[int, int]]:
    """Pairs of recordings of which some split tests one and has learned from the other.

    Args:
      splits: those of one evaluation.
      pairs: positions of recordings.
      recordings: how many there are.

    Returns:
      Those pairs, each in an order (tested, learned from) in which a split has it.
    """
    sides = np.zeros([len(splits), recordings], np.int8)
    for number, split in enumerate(splits):
        sides[number, np.append(split.train, split.validation)] = 1
        sides[number, split.test] = 2
    found = []
    for pair in pairs:
        for tested, learned in (pair, pair[::-1]):
            if ((sides[:, tested] == 2) & (sides[:, learned] == 1)).any():
                found.append((tested, learned))
                break
    return found


def protocol_name(manifest: Manifest, config: SplitConfig, leaked: float) -> str:
    """What figures of an evaluation say that they are of, such as 'folds'.

    Figures of a leaky evaluation flatter: they never go without saying so. One by random folds is,
    even where it isn't known which recordings share a source.

    Args:
      manifest: the data set.
      config: the evaluation.
      leaked: its `leaked_fraction`.
    """
    if config.evaluate == "random":
        return f"random split{_LEAKY}"
    name = "own parts" if tests_own_part(manifest, config) else config.evaluate
    return f"{name}{_LEAKY}" if leaked else name


def is_leaky(name: str) -> bool:
    """Whether a `protocol_name` is that of a leaky evaluation."""
    return name.endswith(_LEAKY)


def without_mark(name: str) -> str:
    """A `protocol_name` without the mark of leaky ones."""
    return name.removesuffix(_LEAKY)
