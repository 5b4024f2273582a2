"""Labels sounds with an exported model.

    serve_mic.py --model=runs/esc50/saved_model --input=recording.wav

Prints a line for every window of sound: file, start and end in seconds, label, score.
"""

from __future__ import annotations

import logging
from pathlib import Path

from absl import flags

from sound_pipeline import programs
from sound_pipeline.errors import UserError

logger = logging.getLogger("sound_pipeline.serve_mic")


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_string("model", None, "Exported model: OUTPUT_DIR/saved_model.", required=True)
    flags.DEFINE_multi_string(
        "input",
        None,
        "Recording, or folder of recordings, to label; may be repeated.",
        required=True,
    )


def main(arguments: list[str]) -> int:
    """Labels every recording; a bad one is named and makes the exit status 1."""
    programs.no_arguments(arguments)
    from sound_pipeline import labelling  # after the flags: TensorFlow takes seconds to import

    recordings = labelling.find_recordings(flags.FLAGS.input)
    model = labelling.load_model(Path(flags.FLAGS.model))
    bad = 0
    for path in recordings:
        try:
            for window in labelling.label_recording(model, path):
                print(
                    f"{path}  {window.start_seconds:.1f}-{window.end_seconds:.1f} s  "
                    f"{window.label}  {window.score:.2f}"
                )
        except UserError as error:
            bad += 1
            logger.warning("skipped %s", error)
    if bad:
        logger.warning("%d of %d recordings can't be read", bad, len(recordings))
    return programs.EXIT_ERROR if bad else 0


if __name__ == "__main__":
    define_flags()
    programs.run(main)
