"""Files found with one directory listing a folder rather than one `stat` a file.

So 100,000 files are found in a second or two, on network disks too.
"""

from __future__ import annotations

import os
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from sound_pipeline.datasets.passed_over import PassedOver
from sound_pipeline.datasets.texts import StringColumn
from sound_pipeline.errors import UserError
from sound_pipeline.system.entries import kind_of
from sound_pipeline.system.filesystem import canonical, is_dir, is_remote, scan_folder

AUDIO_SUFFIXES = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc",
    ".caf", ".au", ".snd", ".w64", ".rf64",
)  # fmt: skip
"""File name endings, in lower case, that `--dataset=folder` takes for recordings."""


# Trash, indices and found pieces of files, by their names in lower case: of Windows, macOS's
# archives, Linux, Android, and the network stores of Synology, QNAP and NetApp.
_NOBODYS = {
    "$recycle.bin", "recycler", "recycled", "system volume information", "__macosx", "lost+found",
    "lost.dir", "@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot",
    "~snapshot",
}  # fmt: skip

# A path with backslashes is looked for in two folders, the next one maybe in two others.
_FOLDERS_HELD = 4


def files_below(
    folder: str, suffixes: tuple[str, ...], passed_over: PassedOver | None = None
) -> Iterator[str]:
    """Yields the files of a folder and all folders below it, sorted by path; no hidden ones.

    Folders in which systems keep what is theirs (see `is_nobodys`) are passed over too. Links that
    lead nowhere are among the files, as ones that can't be read.

    Paths are compared with "/" between folders on every system, so that their order is the same
    there. What is held meanwhile is the names in one folder, and in those above it.

    Args:
      folder: where to look. Links to folders are followed, but none to where it was before.
      suffixes: the endings, in lower case, of the names to yield.
      passed_over: is given the others.

    Raises:
      UserError: a folder can't be listed, or a pipe or a device has such a name.
    """
    visited = set()  # a link to a folder above would never end

    def below(current: str) -> Iterator[str]:
        actual = canonical(current)
        if actual in visited:
            return
        visited.add(actual)
        names, others = [], []
        for entry in scan_folder(current):
            if is_nobodys(entry.name):
                continue
            if (kind := kind_of(entry)) == "folder":
                names.append(f"{entry.name}/")
            elif entry.name.lower().endswith(suffixes):
                if kind == "special":
                    raise UserError(f"{entry.path!r} is a pipe or a device: move it away")
                names.append(entry.name)
            elif kind == "file":
                others.append(entry.path)
        if passed_over is not None:
            for path in others:
                passed_over.add(path, names)
        names.sort()
        for name in names:
            if name.endswith("/"):
                yield from below(_inside(current, name[:-1]))
            else:
                yield _inside(current, name)

    return below(folder)


def is_nobodys(name: str) -> bool:
    """Whether a file or folder is hidden by its name, or a system's own rather than a person's."""
    return name.startswith(".") or name.casefold() in _NOBODYS


def find_files(paths: Sequence[str]) -> Iterator[tuple[int, str | None]]:
    """Finds the existing file that each path means.

    A name that differs from the only such file in letter case or Unicode composition means that
    file, and backslashes may separate folders: lists of files travel between operating systems.

    Args:
      paths: as openable from the current directory.

    Yields:
      The position of each path, folder by folder rather than in their order, since so the names
      in one folder are held at a time; and that of the existing file, or None.

    Raises:
      UserError: a folder can't be listed.
    """
    listed = lru_cache(_FOLDERS_HELD)(_Names)
    folders = (hash(os.path.dirname(path.replace("\\", "/"))) for path in paths)
    for position in np.argsort(np.fromiter(folders, np.int64, len(paths)), kind="stable"):
        path = paths[position]
        found = _find(path, listed)
        if found is None and "\\" in path and os.sep == "/":
            found = _find(path.replace("\\", "/"), listed)
        yield int(position), found


def _find(path: str, listed: Callable[[str], _Names]) -> str | None:
    folder, name = os.path.split(path)
    alike = listed(folder).alike(name)
    if name in alike:
        return path
    return os.path.join(folder, alike[0]) if len(alike) == 1 else None


class _Names:
    """Names of a folder's files by their spelling: 20 bytes a file beside the name."""

    def __init__(self, folder: str) -> None:
        """Lists the folder.

        Raises:
          UserError: it can't be listed.
        """
        folder = folder or os.curdir
        hashes = array("q")

        def names() -> Iterator[str]:
            for entry in scan_folder(folder) if is_dir(folder) else ():
                if kind_of(entry) == "file":
                    hashes.append(hash(_spelling(entry.name)))
                    yield entry.name

        self._names = StringColumn(names())
        unordered = np.frombuffer(hashes, np.int64)
        self._order = np.argsort(unordered, kind="stable").astype(np.int32)
        # Bisection in an array, unlike in NumPy's, makes no object of NumPy a step.
        self._hashes = array("q", unordered[self._order].tobytes())

    def alike(self, name: str) -> list[str]:
        """Names that are spelled alike."""
        spelling = _spelling(name)
        wanted = hash(spelling)
        place = bisect_left(self._hashes, wanted)
        alike = []
        while place < len(self._hashes) and self._hashes[place] == wanted:
            found = self._names[self._order[place]]
            if found == name or _spelling(found) == spelling:
                alike.append(found)
            place += 1
        return alike


def _inside(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
