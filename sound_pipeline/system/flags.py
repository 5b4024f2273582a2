"""Flags of what computes, and in which precision."""

from __future__ import annotations

from absl import flags

from sound_pipeline.system.devices import STRATEGIES
from sound_pipeline.system.flag_groups import group
from sound_pipeline.system.precision import PRECISIONS


def define_precision(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines --precision, for the programs that compute with an extractor."""
    with group("Machine", ("precision",), values):
        flags.DEFINE_enum(
            "precision",
            "auto",
            PRECISIONS,
            "Number format that the extractor computes in. auto: bfloat16 on CPUs or float16 on "
            "GPUs that have units for it, where the extractor gains from them, else float32. Name "
            "one to get the same numbers on different machines.",
            flag_values=values,
        )


def define_strategy() -> None:
    """Defines --strategy, for train.py."""
    with group("Machine", ("strategy",)):
        flags.DEFINE_enum(
            "strategy",
            "one",
            STRATEGIES,
            "Devices that compute, as a tf.distribute strategy. one: a single device; mirrored: "
            "all GPUs of this machine; multi_worker: fine-tuning by the processes of the "
            "environment variable TF_CONFIG, each started with the same flags and a --cache_dir "
            "that all of them see.",
        )
