"""Entries of folders: files, folders, and what only looks like one."""

from __future__ import annotations

import os
from typing import Literal, Protocol


class DirectoryEntry(Protocol):
    """Entry of a folder; `os.DirEntry` is one."""

    @property
    def name(self) -> str:
        """Its name there."""

    @property
    def path(self) -> str:
        """Folder's path and its name."""

    def is_dir(self) -> bool:
        """Whether it is a folder, or a link to one."""

    def is_file(self) -> bool:
        """Whether it is a file, or a link to one."""


def kind_of(entry: DirectoryEntry) -> Literal["folder", "file", "special", "nothing"]:
    """Kind of an entry, or of what it is a link to.

    Returns:
      "special" for a pipe, a socket or a device; "nothing" where a link leads nowhere, or back to
      itself.
    """
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:
        return "nothing"
    return "special" if is_special(entry.path) else "nothing"


def is_special(path: str) -> bool:
    """Whether a path is that of a pipe, a socket or a device, which may keep its reader waiting."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
