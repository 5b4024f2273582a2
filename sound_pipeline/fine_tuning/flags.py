"""Flags of fine-tuning."""

from __future__ import annotations

from absl import flags

from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.system.flag_groups import group


def define() -> None:
    """Defines the flags."""
    tuning = FineTuneConfig()
    with group("Training", ("fine_tune",)):
        flags.DEFINE_bool(
            "fine_tune",
            False,
            "Go on training the extractor's network, for each tested part and for the final model, "
            "before heads are trained; for TF Hub modules with trainable variables. Meant for "
            "graphics cards and thousands of recordings.",
        )
        flags.DEFINE_integer(
            "fine_tune_epochs", tuning.epochs, "Passes over the training recordings."
        )
        flags.DEFINE_integer(
            "fine_tune_batch_size",
            tuning.batch_size,
            "Windows in a step, of all devices together. Lower it if memory runs out.",
        )
        flags.DEFINE_float(
            "fine_tune_learning_rate",
            tuning.learning_rate,
            "Peak learning rate of AdamW. Lower it if the validation loss rises from the start.",
        )
        flags.DEFINE_string(
            "fine_tune_from",
            tuning.first_variable,
            "Beginning of a variable's name: only that variable and those after it, towards the "
            "output, are trained; empty for all. Fewer take less time and fit less closely.",
        )


def fine_tune_config(values: flags.FlagValues) -> FineTuneConfig | None:
    """Makes the configuration of fine-tuning; None without it.

    Raises:
      UserError: a value is out of range.
    """
    if not values.fine_tune:
        return None
    return FineTuneConfig(
        epochs=values.fine_tune_epochs,
        batch_size=values.fine_tune_batch_size,
        learning_rate=values.fine_tune_learning_rate,
        first_variable=values.fine_tune_from,
        seed=values.seed,
    )
