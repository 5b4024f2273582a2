"""The forms that a .tflite file may have; known without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sound_pipeline.errors import check

WINDOW_SIGNATURE = "window"
"""The signature of a SavedModel that a .tflite file is made of."""
LITE_SUFFIX = ".tflite"
LITE_FORMATS = ("float32", "float16", "int8")
"""How a .tflite file may keep the weights."""


def is_lite(path: Path) -> bool:
    """Whether a path names a .tflite file, not the folder of a SavedModel."""
    return path.suffix.lower() == LITE_SUFFIX


def check_formats(flag: str, formats: Sequence[str]) -> None:
    """Raises UserError where a flag names a format that there is not."""
    for kind in formats:
        check(
            kind in LITE_FORMATS,
            f"--{flag}={','.join(formats)}: {kind!r} is no format; give {', '.join(LITE_FORMATS)}",
        )
