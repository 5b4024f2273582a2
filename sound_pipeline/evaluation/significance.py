"""Uncertainty of metrics: intervals, and a test of two classifiers, by source recording.

Clips cut from one recording sound alike and are right or wrong together, so they tell less than
as many clips of different recordings would. How much less is the design effect (Kish 1965): the
variance that the sums over the sources have, by the variance that independent clips would have.
The clips divided by it are the effective number of clips, which takes the place of their number
in an interval made for independent clips (Korn and Graubard 1998).

A design effect estimated from the few sources with a wrong answer is itself uncertain, and near
all right it comes out far too small. So it is pulled towards that of sources whose clips are all
right or all wrong, as if one more source had shown that. `benchmarks.evaluation.coverage` measures
what the intervals hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sound_pipeline.system.arrays import Bools

Float64s = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]

# What the design effect of all clips alike counts for, in sources that show how alike they are.
_PRIOR_SOURCES = 1


@dataclass(frozen=True)
class McNemar:
    """Test of two classifiers on the same clips.

    Attributes:
      only_a: clips that only the first got right.
      only_b: clips that only the second got right.
      p_value: how likely a difference at least as large is, if on each source recording either
        were as likely as the other to be the better one; 0..1.
    """

    only_a: int
    only_b: int
    p_value: float


def accuracy_interval(
    right: Bools, folds: Strings, groups: Strings, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the mean of the folds' accuracies, for clips in source recordings.

    It is the exact interval of a binomial share (Clopper and Pearson 1934) at the effective number
    of clips. With one source recording it is all of 0..1.

    Args:
      right: bool [clips], whether the prediction was right; at least one clip.
      folds: str [clips], the fold that tested it.
      groups: str [clips], the source recording it was cut from.
      level: the fraction of such intervals that should hold the true accuracy, 0..1.

    Returns:
      The lower and the upper end, 0..1.
    """
    _, fold_of, clips_of = np.unique(folds, return_inverse=True, return_counts=True)
    weights = 1.0 / (len(clips_of) * clips_of[fold_of])
    fold_accuracy = np.bincount(fold_of, right) / clips_of
    _, source_of = np.unique(groups, return_inverse=True)
    with_both = min(len(np.unique(source_of[right])), len(np.unique(source_of[~right])))
    accuracy = float(weights @ right)
    spread = accuracy * (1 - accuracy)
    residuals = right - fold_accuracy[fold_of]
    clips = _effective_clips(residuals, weights, source_of, spread, with_both, level)
    hits, tail = accuracy * clips, (1 - level) / 2
    # Of a share of 0 or 1, one end is the share itself.
    low = special.betaincinv(hits, clips - hits + 1, tail) if right.any() and clips else 0.0
    high = special.betaincinv(hits + 1, clips - hits, 1 - tail) if not right.all() and clips else 1
    return float(low), float(high)


def accuracy_difference_interval(
    right_a: Bools, right_b: Bools, groups: Strings, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the accuracy of `a` less that of `b`, for clips in source recordings.

    Both answered the same clips, so what makes a clip easy or hard for both cancels out. The
    accuracies are of all clips together, whatever their fold. It is the adjusted interval for
    pairs of Bonett and Price (2012) at the effective number of clips.

    Args:
      right_a: bool [clips], whether the first was right; at least one clip.
      right_b: bool [clips], whether the second was right about the same clip.
      groups: str [clips], the source recording it was cut from.
      level: the fraction of such intervals that should hold the true difference, 0..1.

    Returns:
      The lower and the upper end, -1..1.
    """
    gain = right_a.astype(np.float64) - right_b
    _, source_of = np.unique(groups, return_inverse=True)
    weights = np.full(len(gain), 1 / len(gain))
    disagreeing = len(np.unique(source_of[gain != 0]))
    residuals = gain - gain.mean()
    clips = _effective_clips(residuals, weights, source_of, gain.var(), disagreeing, level)
    if not clips:
        return -1.0, 1.0
    only_a, only_b = (float((clips * (gain == sign).mean() + 1) / (clips + 2)) for sign in (1, -1))
    middle = only_a - only_b
    deviation = np.sqrt((only_a + only_b - middle**2) / (clips + 2))
    half = float(special.ndtri((1 + level) / 2) * deviation)
    return max(-1.0, middle - half), min(1.0, middle + half)


def mcnemar(right_a: Bools, right_b: Bools, groups: Strings) -> McNemar:
    """Tests whether two classifiers are equally often right, by the sources they disagree on.

    It is Fisher's randomisation test of pairs (1935): every way to exchange the two answers of
    some of the source recordings, each with all of its clips, would be as likely as the one
    observed. Where every clip has a source of its own, that is the exact, two-sided form of
    McNemar's test (1947).

    Args:
      right_a: bool [clips], whether the first was right.
      right_b: bool [clips], whether the second was right about the same clip.
      groups: str [clips], the source recording it was cut from.
    """
    only_a, only_b = right_a & ~right_b, right_b & ~right_a
    _, source_of = np.unique(groups, return_inverse=True)
    gains = np.bincount(source_of, only_a.astype(np.int64) - only_b).astype(np.int64)
    # Of the sum of what the exchanges leave positive, which goes from 0 to all.
    chance = np.ones(1)
    for gain, sources in zip(
        *np.unique(np.abs(gains[gains != 0]), return_counts=True), strict=True
    ):
        of_these = np.zeros(gain * sources + 1)
        of_these[::gain] = _even_binomial(int(sources))
        chance = np.convolve(chance, of_these)
    differences = np.abs(2 * np.arange(len(chance)) - (len(chance) - 1))
    p_value = float(chance[differences >= abs(int(gains.sum()))].sum())
    return McNemar(int(only_a.sum()), int(only_b.sum()), min(1.0, p_value))


def _effective_clips(
    residuals: Float64s,
    weights: Float64s,
    source_of: npt.NDArray[np.intp],
    spread: float,
    showing: int,
    level: float,
) -> float:
    """Independent clips that would tell as much as these, for intervals with a normal's quantiles.

    Args:
      residuals: float64 [clips], each clip's value less what was expected of it.
      weights: float64 [clips], of the mean that the interval is of; their sum is 1.
      source_of: int [clips], the number of its source recording.
      spread: variance of one clip's value.
      showing: sources that show how alike the clips of one are.
      level: of the interval; few sources know their variance badly, as Student's quantiles say.
    """
    clips, sources = len(residuals), int(source_of.max()) + 1
    if sources == 1:
        return 0.0
    sums = np.bincount(source_of, weights * residuals)
    variance = sources / (sources - 1) * float(sums @ sums)
    of_one_source = np.bincount(source_of, weights)
    alike = clips * float(of_one_source @ of_one_source)
    estimated = variance * clips / spread if spread else 0.0
    effect = (showing * estimated + _PRIOR_SOURCES * alike) / (showing + _PRIOR_SOURCES)
    quantile = (1 + level) / 2
    narrower = special.ndtri(quantile) / special.stdtrit(sources - 1, quantile)
    return float(clips / max(effect, clips * float(weights @ weights)) * narrower**2)


def _even_binomial(count: int) -> Float64s:
    """How likely each number of heads of `count` coins is: float64 [count + 1]."""
    heads = np.arange(count + 1)
    logs = (
        special.gammaln(count + 1) - special.gammaln(heads + 1) - special.gammaln(heads[::-1] + 1)
    )
    return np.asarray(np.exp(logs - count * np.log(2)), np.float64)
