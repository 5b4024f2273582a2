"""The recordings that a program is given, as files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sound_pipeline.datasets import AUDIO_SUFFIXES
from sound_pipeline.datasets.folders import files_below
from sound_pipeline.errors import UserError


def find_recordings(paths: Sequence[str]) -> list[str]:
    """The files among `paths` and those below the folders among them, in order.

    Raises:
      UserError: a path doesn't exist, or a folder holds no audio file.
    """
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            below = sorted(files_below(path, AUDIO_SUFFIXES))
            if not below:
                raise UserError(f"--input={path}: no audio file below this folder")
            found += below
        elif Path(path).exists():
            found.append(path)
        else:
            raise UserError(f"--input={path}: no such file or folder")
    return found
