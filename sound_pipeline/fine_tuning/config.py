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
      learning_rate: peak of AdamW's.
      first_variable: beginning of a variable's name: it and all after it, towards the output, are
        tuned; empty: all are.
      seed: of the order of recordings, the windows taken of them and their augmentation.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-4
    first_variable: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(self.epochs >= 1, f"--fine_tune_epochs={self.epochs}: give 1 or more")
        check(self.batch_size >= 1, f"--fine_tune_batch_size={self.batch_size}: give 1 or more")
        check(
            0 < self.learning_rate < math.inf,
            f"--fine_tune_learning_rate={self.learning_rate:g}: give more than 0",
        )
