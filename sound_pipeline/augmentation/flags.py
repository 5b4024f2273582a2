"""Flags of augmented copies."""

from __future__ import annotations

from absl import flags

from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.system.flag_groups import group


def define() -> None:
    """Defines the flags."""
    with group("Training", ("augmented_copies",)):
        flags.DEFINE_integer(
            "augmented_copies",
            0,
            "Number of changed copies of each training recording to train on too; each takes as "
            "long to embed as the recordings do. With --fine_tune, recordings are changed anew in "
            "every epoch.",
        )
        flags.DEFINE_list(
            "augment",
            list(AUGMENTATIONS),
            "How copies are changed: some of speed (with pitch), mask (a stretch and a band faded "
            "out), shift (in time), noise (recordings of --background_dir, or coloured noise).",
        )


def augmentation_config(values: flags.FlagValues) -> AugmentationConfig:
    """Makes the configuration of augmented copies.

    Raises:
      UserError: a kind is unknown.
    """
    return AugmentationConfig(kinds=tuple(values.augment), stretch_seconds=values.window_seconds)
