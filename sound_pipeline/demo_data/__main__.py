"""Writes the demo's data set: synthetic city sounds in the layout of UrbanSound8K.

    python -m sound_pipeline.demo_data DIR

makes DIR/metadata/UrbanSound8K.csv, DIR/audio/fold1 to foldN and, for trying a trained model,
DIR/heldout with recordings that are in no fold. As in UrbanSound8K, several clips are slices of
one source recording, which never straddles folds, and files differ in sample rate, channels,
sample format and duration. The whole takes about ten seconds and 150 MB.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import sys
from pathlib import Path

from absl import flags

from sound_pipeline.demo_data.dataset import DemoConfig, write_demo_data
from sound_pipeline.demo_data.sounds import CLASS_NAMES
from sound_pipeline.errors import UserError
from sound_pipeline.system import program


def define_flags() -> None:
    """Defines the flags of `DemoConfig`."""
    defaults = DemoConfig()
    flags.DEFINE_integer("seed", defaults.seed, "Random seed; the same seed gives the same bytes.")
    flags.DEFINE_integer("folds", defaults.folds, "Number of cross-validation folds.")
    flags.DEFINE_integer(
        "clips_per_class", defaults.clips_per_class, "Clips of each class, over all folds."
    )
    flags.DEFINE_integer(
        "heldout_per_class",
        defaults.heldout_per_class,
        "Recordings of each class in DIR/heldout, which are in no fold.",
    )


def main(argv: list[str]) -> None:
    """Writes the data set to the folder named on the command line."""
    if len(argv) != 2:
        raise UserError("name one folder to write to: python -m sound_pipeline.demo_data DIR")
    values = flags.FLAGS
    config = DemoConfig(
        seed=values.seed,
        folds=values.folds,
        clips_per_class=values.clips_per_class,
        heldout_per_class=values.heldout_per_class,
    )
    written = write_demo_data(Path(argv[1]), config)
    clips = len(CLASS_NAMES) * config.clips_per_class
    program.say(
        f"{argv[1]}: {clips} clips of {len(CLASS_NAMES)} classes in {config.folds} folds, "
        f"{len(CLASS_NAMES) * config.heldout_per_class} held-out recordings, seed {config.seed}"
        + ("" if written else "; it was there already, nothing to do")
    )


if __name__ == "__main__":
    # Messages and --help then name what was typed rather than __main__.py.
    sys.argv[0] = "sound_pipeline.demo_data"
    define_flags()
    program.run(main)
