"""Converts an exported model to TensorFlow Lite, for devices too small for TensorFlow.

    python -m sound_pipeline.tflite RUN/saved_model [--formats=int8]

writes RUN/tflite/model_int8.tflite (and _float32, _float16): one window of sound at the model's own
rate in, scores out; nothing but built-in operations; labels, rate and minimum score inside, where
the standard tools find them. serve_mic.py --model=RUN/tflite/model_int8.tflite needs no TensorFlow.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import sys
from pathlib import Path

from absl import flags

from sound_pipeline.errors import UserError
from sound_pipeline.system import program
from sound_pipeline.tflite.conversion import export_tflite
from sound_pipeline.tflite.formats import LITE_FOLDER, LITE_FORMATS, check_formats

_PROGRAM = "sound_pipeline.tflite"
_USAGE = "python -m sound_pipeline.tflite RUN/saved_model [--formats=float32,float16,int8]"


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_list(
        "formats",
        list(LITE_FORMATS),
        "Formats to write, separated by commas: float16 halves the size of float32, int8 quarters "
        "it.",
    )
    flags.DEFINE_string("output_dir", "", "Folder for the files; tflite beside the model if empty.")


def main(arguments: list[str]) -> None:
    """Converts the model named on the command line."""
    if len(arguments) != 2:
        raise UserError(f"name one exported model: {_USAGE}")
    values = flags.FLAGS
    check_formats("formats", values.formats)
    saved_model = Path(arguments[1]).expanduser()
    folder = Path(values.output_dir) if values.output_dir else None
    directory = folder or saved_model.resolve().parent / LITE_FOLDER
    for path in export_tflite(saved_model, directory, values.formats):
        program.say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    # Messages and --help then name what was typed rather than __main__.py.
    sys.argv[0] = _PROGRAM
    define_flags()
    program.run(main)
