"""Recordings that a program is given, as files, folders and patterns."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sound_pipeline.datasets import AUDIO_SUFFIXES
from sound_pipeline.datasets.folders import files_below
from sound_pipeline.datasets.passed_over import PassedOver
from sound_pipeline.errors import UserError
from sound_pipeline.system.filesystem import no_such

logger = logging.getLogger(__name__)


class FoundRecording(NamedTuple):
    """A recording.

    Attributes:
      path: of the file.
      name: the path below the folder that the user named; else the file's name alone.
    """

    path: str
    name: str


def find_recordings(paths: Sequence[str], flag: str = "--input=") -> list[FoundRecording]:
    """Files among `paths` and those below the folders among them, in order.

    Args:
      paths: files, folders, or patterns such as "*.wav" and "**/*.flac" of either.
      flag: what the user wrote before each.

    Raises:
      UserError: a path doesn't exist, no file is like a pattern, or a folder holds no audio file.
    """
    found: list[FoundRecording] = []
    for path in paths:
        if Path(path).is_dir():
            found += _below(path, flag)
        elif Path(path).exists():
            found.append(FoundRecording(path, os.path.basename(path)))
        elif glob.has_magic(path):
            found += _like(path, flag)
        else:
            raise UserError(f"{flag}{path}: {no_such(path)}")
    return found


def _below(folder: str, flag: str) -> list[FoundRecording]:
    passed_over = PassedOver()
    below = sorted(files_below(folder, AUDIO_SUFFIXES, passed_over))
    for remark in passed_over.remarks:
        logger.warning("%s%s: %s", flag, folder, remark)
    if not below:
        raise UserError(f"{flag}{folder}: no audio file below this folder")
    return [FoundRecording(path, os.path.relpath(path, folder)) for path in below]


def _like(pattern: str, flag: str) -> list[FoundRecording]:
    found: list[FoundRecording] = []
    for path in sorted(glob.glob(pattern, recursive=True)):
        if not os.path.isdir(path):
            found.append(FoundRecording(path, os.path.basename(path)))
        elif "**" not in pattern:  # which names what is below a folder itself
            found += _below(path, flag)
    if not found:
        raise UserError(f"{flag}{pattern}: no file is like this")
    return found
