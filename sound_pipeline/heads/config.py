"""Classifier on top of the embedding and how it is trained: frozen and validated."""

from __future__ import annotations

import dataclasses
import math

from sound_pipeline.errors import check

CLASS_WEIGHTS = ("balanced", "none")
"""The values of `--class_weights`."""


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """Classifier on top of the embedding and how it is trained.

    Attributes:
      l2: weight decay in scikit-learn's convention: `l2 / 2 * ||W||^2` is added to the sum (not
        the mean) of the clips' losses; 1 / C of its LogisticRegression.
      label_smoothing: fraction of every label that is spread over all classes.
      mixup: train on mixtures of two clips too, in proportions drawn from the beta distribution of
        this parameter (see mixup.py); 0: on none.
      epochs: passes over the training clips at the most; mostly training has converged before.
      class_weights: "balanced" gives every class the same total weight; "none" every clip.
      seed: of mixtures.
      tune: whether `l2` is what validation recordings ask for.
    """

    l2: float = 10.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    epochs: int = 300
    class_weights: str = "balanced"
    seed: int = 0
    tune: bool = False

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(0 <= self.l2 < math.inf, f"--l2={self.l2:g}: give 0 or more")
        check(
            0 <= self.label_smoothing < 1,
            f"--label_smoothing={self.label_smoothing:g}: give 0 up to, not including, 1",
        )
        check(0 <= self.mixup <= 100, f"--mixup={self.mixup:g}: give a number from 0 to 100")
        check(self.epochs >= 1, f"head.epochs={self.epochs}: give 1 or more")
        check(
            self.class_weights in CLASS_WEIGHTS,
            f"--class_weights={self.class_weights}: give {' or '.join(CLASS_WEIGHTS)}",
        )
