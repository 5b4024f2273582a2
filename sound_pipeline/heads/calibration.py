"""Scores that mean what they say: how well they do, and temperature scaling.

Guo, Pleiss, Sun and Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sound_pipeline.system.arrays import AnyFloats, Bools, Ints

# Temperatures are sought from 1 / 50 to 50. The logarithm of that range, halved so many times,
# is narrower than what float32 tells apart.
_WIDEST = 50.0
_HALVINGS = 40
# Of 1 / T, in `PRIOR * (1/T - log 1/T)`: a deviation of about 0.6.
_PRIOR = 3.0


@dataclass(frozen=True)
class Calibration:
    """Temperature and threshold of a head's scores.

    Attributes:
      temperature: what its logits are divided by.
      min_score: `wrong_below` of its scores at that temperature: an answer with less is better
        not given. 0 where nothing speaks for one.
      why: a sentence for people on where `min_score` comes from.
    """

    temperature: float
    min_score: float
    why: str

    @staticmethod
    def of(log_scores: AnyFloats, labels: Ints) -> Calibration:
        """Calibrates by recordings that the head was not trained on.

        Args:
          log_scores: float [clips, classes], log-probabilities or logits, finite.
          labels: int [clips], class ids; -1 for clips of unknown classes, which count as answered
            wrongly in `min_score` and not at all in `temperature`.
        """
        known = labels >= 0
        if not known.any():
            return Calibration(1.0, 0.0, "no validation recordings to set one by")
        temperature = fit_temperature(log_scores[known], labels[known])
        scores = with_temperature(log_scores, temperature)
        score, right = scores.max(axis=1), scores.argmax(axis=1) == labels
        least = wrong_below(score, right)
        below = score < least
        answers = f"of {len(labels)} answers about validation recordings"
        if not known.all():
            answers += f" ({np.sum(~known)} of them of unknown classes, so wrong)"
        if not below.any():
            return Calibration(
                temperature, 0.0, f"{answers}, those with low scores were mostly right too"
            )
        return Calibration(
            temperature,
            least,
            f"{answers}, {np.sum(below)} scored less, and {np.sum(below & ~right)} of these were "
            "wrong",
        )


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability curve: accuracy by score, an entry for each bin that has predictions.

    Attributes:
      score: float64 [filled bins], the mean score of the bin's answers, rising.
      accuracy: float64 [filled bins], the fraction of them that is right.
      clips: int64 [filled bins], how many they are.
    """

    score: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    clips: npt.NDArray[np.int64]


def reliability_curve(score: AnyFloats, right: Bools, bins: int = 15) -> Reliability:
    """Sorts answers into bins of equal width over 0..1 by their score.

    A score on the border of two bins belongs to the lower one.

    Args:
      score: float [clips], 0..1, of the answer that was given.
      right: bool [clips], whether it was right.
      bins: how many, empty ones included.
    """
    borders = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    bin_of = np.searchsorted(borders, score, side="left")
    clips = np.bincount(bin_of, minlength=bins)
    filled = clips > 0
    clips = clips[filled]
    return Reliability(
        np.bincount(bin_of, score, bins)[filled] / clips,
        np.bincount(bin_of, right, bins)[filled] / clips,
        clips,
    )


def expected_calibration_error(score: AnyFloats, right: Bools, bins: int = 15) -> float:
    """Mean distance of score and accuracy over the bins of `reliability_curve`, weighted by clips.

    Returns:
      0..1, 0 for perfect calibration; NaN without clips.
    """
    if not len(score):
        return float("nan")
    curve = reliability_curve(score, right, bins)
    return float(np.average(np.abs(curve.accuracy - curve.score), weights=curve.clips))


def fit_temperature(log_scores: AnyFloats, labels: Ints) -> float:
    """Finds the likeliest temperature, given the labels and that most temperatures are near 1.

    By the labels alone, clips that are all answered rightly would ask for scores of 1, and a
    few dozen clips give a temperature that is off by tens of percent. So 1 / T has a prior, the
    gamma distribution with its mode at 1 that weighs as much as a few clips; it keeps the loss
    convex in 1 / T.

    Args:
      log_scores: float [clips, classes], log-probabilities or logits, finite; of clips that the
        model was not trained on.
      labels: int [clips], class ids; clips of unknown classes must be left out.

    Returns:
      1/50..50, to divide log scores by; above 1 where the scores are too high. 1 where the clips
      favour none, as without clips.

    Raises:
      ValueError: a log score is not finite.
    """
    if not np.isfinite(log_scores).all():
        raise ValueError("log scores must be finite")
    below = _below_highest(log_scores)
    own = np.take_along_axis(below, labels[:, np.newaxis], axis=1)[:, 0]

    def slope(inverse: float) -> float:
        """Derivative of the loss by 1/T, in which the loss is convex: it rises with 1/T."""
        weight = np.exp(inverse * below)
        expected = (weight * below).sum(axis=1) / weight.sum(axis=1)
        return float((expected - own).sum()) + _PRIOR * (1 - 1 / inverse)

    low, high = -math.log(_WIDEST), math.log(_WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rise = slope(math.exp(middle))
        if rise == 0.0:
            return math.exp(-middle)
        low, high = (low, middle) if rise > 0.0 else (middle, high)
    return math.exp(-(low + high) / 2)


def with_temperature(log_scores: AnyFloats, temperature: float) -> npt.NDArray[np.float32]:
    """Scores at a temperature: softmax(log_scores / temperature), float32 [clips, classes].

    The class with the highest log score keeps the highest score. Another can draw level with it,
    where float32 doesn't tell them apart any more: one that had nearly the same log score.

    Args:
      log_scores: float [clips, classes], log-probabilities or logits, finite.
      temperature: above 0; 1 changes nothing, more moves all scores towards each other.
    """
    weight = np.exp(_below_highest(log_scores) / temperature)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def wrong_below(score: AnyFloats, right: Bools) -> float:
    """Score below which answers are wrong more often than right.

    Args:
      score: float [clips], finite, of the answer that was given.
      right: bool [clips], whether it was right.

    Returns:
      The least of the scores t for which, among the answers with score < t, the wrong outnumber
      the right by most. So from there down an answer is likelier wrong than right (an isotonic fit
      of the accuracy crosses one half at t), and a few early mistakes don't carry t up to scores
      whose answers are mostly right. The next number (of the scores' own type) above the highest
      score where that holds of all answers; 0 where the wrong outnumber the right nowhere.
    """
    values, group = np.unique(score, return_inverse=True)
    surplus = np.cumsum(np.bincount(group, np.where(right, -1.0, 1.0)))
    if not len(surplus) or surplus.max() <= 0:
        return 0.0
    # What holds up to and including a score holds below the next one.
    limits = np.append(values[1:], np.nextafter(values[-1], np.inf, dtype=values.dtype))
    return float(limits[surplus.argmax()])


def _below_highest(log_scores: AnyFloats) -> npt.NDArray[np.float64]:
    """Log scores less the highest of their clip: of its exponentials none overflows, one is 1."""
    exact = log_scores.astype(np.float64)
    return exact - exact.max(axis=1, keepdims=True)
