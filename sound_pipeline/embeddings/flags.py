"""Flags of where and by whom embeddings are made and kept."""

from __future__ import annotations

import os
from pathlib import Path

from absl import flags

from sound_pipeline.system import program
from sound_pipeline.system.flag_groups import group


def define_cache_dir() -> None:
    """Defines where embeddings are kept."""
    with group("Machine", ("cache_dir",)):
        flags.DEFINE_string(
            "cache_dir",
            os.environ.get("SOUND_PIPELINE_CACHE", "~/.cache/sound_pipeline"),
            "Folder in which embeddings are kept between runs.",
        )


def define() -> None:
    """Defines the flags."""
    define_cache_dir()
    with group("Data"):
        flags.DEFINE_float(
            "max_bad_clips",
            0.01,
            "Fraction of the recordings that may be unreadable; more stop the run.",
        )
    with group("Machine", ("data_service",)):
        flags.DEFINE_string(
            "data_service",
            "",
            "Dispatcher of a tf.data service whose workers read recordings and compute features, "
            "as grpc://host:5050 (python -m sound_pipeline.data_worker). They must see the files "
            "under the same paths.",
        )


def cache_dir(values: flags.FlagValues) -> Path:
    """Folder in which embeddings are kept.

    Raises:
      UserError: it is below the home directory, and there is none.
    """
    return Path(program.expanded("cache_dir", values.cache_dir))
