"""Score that a label needs to be reported: for all labels, or for single ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError, check, nearest_name

UNKNOWN = "unknown"

NO_LABEL = -1
"""The index of what no label has enough score for: one after the labels."""

# Scores are float32: 0.7 reaches a min_score of 0.7.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class MinScores:
    """Score a label needs to be reported.

    Attributes:
      default: for labels that `by_label` doesn't name, 0..1.
      by_label: for single labels, 0..1.
    """

    default: float = 0.5
    by_label: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        for prefix, score in [("", self.default)] + [
            (f"{label}=", score) for label, score in self.by_label.items()
        ]:
            is_number = isinstance(score, int | float | np.number)  # from Python: anything
            given = f"{score:g}" if is_number else score
            check(
                is_number and 0 <= score <= 1,
                f"--min_score={prefix}{given}: give a number from 0 to 1",
            )

    def of(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Minimum score of each label, float64 [labels].

        Raises:
          UserError: `by_label` names a label that is not among them.
        """
        for label in self.by_label:
            if label not in labels:
                hint = nearest_name(label, labels, f"it has {', '.join(labels)}")
                raise UserError(f"--min_score: the model has no label {label!r}: {hint}")
        return np.array([self.by_label.get(label, self.default) for label in labels])

    def reached_at(self, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """Minimum scores less the rounding of scores: float64 [labels]."""
        return self.of(labels) - _ROUNDING


def leader(
    scores: npt.NDArray[np.floating[Any]],
    reached_at: npt.NDArray[np.floating[Any]],
    is_event: npt.NDArray[np.bool_],
) -> int:
    """Label with the highest score among those that have enough.

    If none has, it is the likeliest of all where that is no event, else `NO_LABEL`.

    Args:
      scores: [labels], 0..1.
      reached_at: [labels], what each needs; see `MinScores.reached_at`.
      is_event: [labels], False for those that stand for nothing happening.
    """
    reaches = scores >= reached_at
    if reaches.any():
        return int(np.where(reaches, scores, -1.0).argmax())
    likeliest = int(scores.argmax())
    return NO_LABEL if is_event[likeliest] else likeliest


def parse_min_score(words: Sequence[str], labels: Sequence[str], default: float) -> MinScores:
    """Reads the flag --min_score.

    Args:
      words: scores for all labels ("0.5", at most one) and for single ones ("dog=0.7").
      labels: the model's.
      default: where no word is for all labels.

    Raises:
      UserError: a word that is neither, a label that the model doesn't have or that is named
        twice, a score outside 0..1.
    """
    given: dict[str | None, float] = {}
    for word in words:
        name, separator, number = word.rpartition("=")
        label = name.strip() if separator else None
        try:
            score = float(number)
        except ValueError:
            raise UserError(
                f"--min_score={word}: give a number from 0 to 1 for all labels, or label=number"
            ) from None
        check(
            label not in given,
            f"--min_score: two scores for {'all labels' if label is None else repr(label)}; "
            "give one",
        )
        given[label] = score
    scores = MinScores(
        given.get(None, default), {name: score for name, score in given.items() if name is not None}
    )
    scores.of(labels)
    return scores
