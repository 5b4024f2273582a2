"""Uncertainty of metrics: bootstrap intervals and McNemar's test.

Clips cut from one recording sound alike and are right or wrong together, so they tell less than
as many clips of different recordings would. Resampled are therefore source recordings, each with
all of its clips (the cluster bootstrap; Efron and Tibshirani 1993; Field and Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sound_pipeline.system.arrays import Bools

Float64s = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]

# How often each group was drawn, for so many groups and resamples at once: 32 MB.
_COUNTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two classifiers on the same clips.

    Attributes:
      only_a: clips that only the first got right.
      only_b: clips that only the second got right.
      p_value: how likely a split of those clips is that is at least as uneven, if either were as
        likely as the other to be the one that is right; 0..1.
    """

    only_a: int
    only_b: int
    p_value: float


def accuracy_interval(
    right: Bools,
    folds: Strings,
    groups: Strings,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of the folds' accuracies, over source groups.

    A fold of which a resample has no clip is left out of that resample's mean. Few groups make the
    interval too narrow: in simulations a nominal 95 % held the true accuracy in 87 % of cases with
    10 groups, in 93 % with 30. Without a wrong answer, or with one group, it has no width.

    Args:
      right: bool [clips], whether the prediction was right; at least one clip.
      folds: str [clips], the fold that tested it.
      groups: str [clips], the source recording it was cut from.
      level: the fraction of such intervals that should hold the true accuracy, 0..1.
      resamples: how many.
      seed: of their choice; the same one gives the same interval.

    Returns:
      The lower and the upper end, 0..1.
    """
    _, fold_of = np.unique(folds, return_inverse=True)
    in_fold = fold_of[:, np.newaxis] == np.arange(fold_of.max() + 1)
    table = _totals(np.hstack([in_fold & right[:, np.newaxis], in_fold]), groups)
    means = []
    for drawn in _resampled(table, resamples, seed):
        hits, clips = np.split(drawn, 2, axis=1)
        accuracies = np.divide(hits, clips, out=np.zeros_like(hits), where=clips > 0)
        means.append(accuracies.sum(axis=1) / (clips > 0).sum(axis=1))
    return _percentiles(np.concatenate(means), level)


def accuracy_difference_interval(
    right_a: Bools,
    right_b: Bools,
    groups: Strings,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the accuracy of `a` less that of `b`, over source groups.

    Both answered the same clips, so what makes a clip easy or hard for both cancels out. The
    accuracies are of all clips together, whatever their fold.

    Args:
      right_a: bool [clips], whether the first was right; at least one clip.
      right_b: bool [clips], whether the second was right about the same clip.
      groups: str [clips], the source recording it was cut from.
      level: the fraction of such intervals that should hold the true difference, 0..1.
      resamples: how many.
      seed: of their choice; the same one gives the same interval.

    Returns:
      The lower and the upper end, -1..1.
    """
    gain = right_a.astype(np.int64) - right_b
    table = _totals(np.column_stack([gain, np.ones_like(gain)]), groups)
    differences = [drawn[:, 0] / drawn[:, 1] for drawn in _resampled(table, resamples, seed)]
    return _percentiles(np.concatenate(differences), level)


def mcnemar(right_a: Bools, right_b: Bools) -> McNemar:
    """Tests whether two classifiers are equally often right, by the clips they disagree on.

    It is the exact, two-sided form of McNemar's test (1947): a binomial test of an even chance.
    It takes clips for independent, so with many clips from one recording its p-value is too low.

    Args:
      right_a: bool [clips], whether the first was right.
      right_b: bool [clips], whether the second was right about the same clip.
    """
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    disagreed = only_a + only_b
    # In integers, which neither round nor overflow: the ways to a split at least as uneven.
    ways = binomial = 1
    for fewer in range(min(only_a, only_b)):
        binomial = binomial * (disagreed - fewer) // (fewer + 1)
        ways += binomial
    return McNemar(only_a, only_b, min(1.0, 2 * ways / 2**disagreed))


def _totals(columns: npt.NDArray[np.generic], groups: Strings) -> Float64s:
    """Sums [clips, columns] by group: float64 [groups, columns]."""
    names, group_of = np.unique(groups, return_inverse=True)
    return np.column_stack(
        [np.bincount(group_of, column, len(names)) for column in columns.T.astype(np.float64)]
    )


def _resampled(table: Float64s, resamples: int, seed: int) -> Iterator[Float64s]:
    """Draws as many groups as there are, with replacement, and adds up their rows.

    Args:
      table: float64 [groups, columns].
      resamples: how often.
      seed: of the choice.

    Yields:
      float64 [some, columns], a row for each resample, `resamples` in all.
    """
    random = np.random.default_rng(seed)
    groups = len(table)
    at_once = max(1, _COUNTS_AT_ONCE // groups)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        chosen = random.integers(groups, size=(rows, groups))
        chosen += groups * np.arange(rows)[:, np.newaxis]
        times = np.bincount(chosen.ravel(), minlength=rows * groups)
        yield times.reshape(rows, groups) @ table


def _percentiles(values: Float64s, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
