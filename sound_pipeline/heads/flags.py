"""Flags of the classifier on embeddings."""

from __future__ import annotations

from absl import flags

from sound_pipeline.heads.config import CLASS_WEIGHTS, HeadConfig
from sound_pipeline.system.flag_groups import group


def define() -> None:
    """Defines the flags."""
    head = HeadConfig()
    with group("Training", ("mixup", "tune", "seed")):
        flags.DEFINE_float(
            "mixup",
            head.mixup,
            "Train on mixtures of two recordings too, in proportions from the beta distribution of "
            "this parameter; 1 draws all alike, 0 makes none. Heads take twice as long to train.",
        )
        flags.DEFINE_bool(
            "tune",
            head.tune,
            "Let validation recordings choose another weight decay than --l2, where they ask for "
            "one beyond chance. Heads take several times as long to train.",
        )
        flags.DEFINE_integer("seed", 0, "Random seed of splits, copies and mixtures.")
        flags.DEFINE_float(
            "l2",
            head.l2,
            "Weight decay of heads: 1 / C of scikit-learn's LogisticRegression. Raise it if "
            "training fits far better than validation.",
        )
        flags.DEFINE_float(
            "label_smoothing",
            head.label_smoothing,
            "Fraction of each label that is spread over all classes. 0.1 helps where recordings of "
            "a class differ much, as speakers do.",
        )
        flags.DEFINE_enum(
            "class_weights",
            head.class_weights,
            CLASS_WEIGHTS,
            "balanced: every class has the same total weight, however many recordings it has; "
            "none: every recording has.",
        )


def head_config(values: flags.FlagValues) -> HeadConfig:
    """Makes the configuration of heads.

    Raises:
      UserError: a value is out of range.
    """
    return HeadConfig(
        l2=values.l2,
        label_smoothing=values.label_smoothing,
        mixup=values.mixup,
        class_weights=values.class_weights,
        seed=values.seed,
        tune=values.tune,
    )
