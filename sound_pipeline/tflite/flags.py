"""Flags of models for small devices, for the programs that make them on the way."""

from __future__ import annotations

from absl import flags

from sound_pipeline.system.flag_groups import group
from sound_pipeline.tflite.formats import LITE_FORMATS


def define() -> None:
    """Defines the flag."""
    with group("Output", ("export_tflite",)):
        flags.DEFINE_list(
            "export_tflite",
            [],
            f"Formats ({', '.join(LITE_FORMATS)}) in which to write the model for TensorFlow Lite "
            "too, to OUTPUT_DIR/tflite, for devices without TensorFlow.",
        )
