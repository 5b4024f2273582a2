"""Forms that a .tflite file may have; known without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from sound_pipeline.errors import check

LITE_FORMATS = ("float32", "float16", "int8")
"""How a .tflite file may keep the weights."""
LITE_FOLDER = "tflite"
"""Where in a run directory .tflite files are."""


def check_formats(flag: str, formats: Sequence[str]) -> None:
    """Raises UserError where a flag names a format that there is not."""
    for kind in formats:
        check(
            kind in LITE_FORMATS,
            f"--{flag}={','.join(formats)}: {kind!r} is no format; give {', '.join(LITE_FORMATS)}",
        )
