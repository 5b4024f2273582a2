"""Files that a folder may hold and that programs can't read, or can't name anything after."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

LONGEST = "x" * 251 + ".wav"
"""No file of a longer name can be made, so nothing can be named after it."""
UNREADABLE = {
    "broken.wav": "No such file or directory",
    "loop.wav": "Too many levels of symbolic links",
    "caf\udce9.wav": "the file name is not UTF-8: rename it",
}
"""Why, by name as Python has it."""


def write_odd_names(folder: Path, recording: Path) -> None:
    """Puts copies of a recording, and links, under such names into a folder; skips elsewhere."""
    if sys.platform != "linux":
        pytest.skip("such names are Linux's")
    (folder / "broken.wav").symlink_to("absent.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    for name in (LONGEST, "caf\udce9.wav"):
        shutil.copy(recording, folder / name)
