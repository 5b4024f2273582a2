"""Configuration of fine-tuning; needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import math

from sound_pipeline.errors import check


@dataclasses.dataclass(frozen=True)
class FineTuneConfig:
    """Schedule and scope of training a network further on the recordings.

    An epoch takes one window of every training recording.

    Attributes:
      epochs: passes over the training recordings.
      batch_size: windows in a step, those of all devices together.
      learning_rate: AdamW's at its highest, after warming up; it then falls to zero along a cosine.
      warm_up: share of all steps in which the learning rate rises from zero.
      weight_decay: AdamW's: the share of a kernel that a step of learning rate 1 takes off
        (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019).
      label_smoothing: share of a label that is spread over all classes (Szegedy et al. 2016).
      first_variable: beginning of a variable's name: it and all after it, towards the output, are
        tuned; empty: all are.
      batch_norm: whether batch normalisation goes by each batch and its statistics are learned too,
        and dropout drops; else the network runs as it will be used.
      seed: of the order of recordings, the windows taken of them and their augmentation.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-4
    warm_up: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    first_variable: str = ""
    batch_norm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(self.epochs >= 1, f"--fine_tune_epochs={self.epochs}: give 1 or more")
        check(self.batch_size >= 1, f"--fine_tune_batch_size={self.batch_size}: give 1 or more")
        check(
            0 < self.learning_rate < math.inf,
            f"--fine_tune_learning_rate={self.learning_rate:g}: give more than 0",
        )
        check(0 <= self.warm_up < 1, f"fine_tune.warm_up={self.warm_up:g}: give 0 up to 1")
        check(
            0 <= self.weight_decay < math.inf,
            f"fine_tune.weight_decay={self.weight_decay:g}: give 0 or more",
        )
        check(
            0 <= self.label_smoothing < 1,
            f"fine_tune.label_smoothing={self.label_smoothing:g}: give 0 up to 1",
        )
