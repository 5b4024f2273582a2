"""Files found with one directory listing a folder rather than one `stat` a file.

So 100,000 files are found in a second or two, on network disks too.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

from sound_pipeline.errors import UserError
from sound_pipeline.filesystem import canonical, is_dir, list_folder

AUDIO_SUFFIXES = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc",
    ".caf", ".au", ".snd", ".w64", ".rf64",
)  # fmt: skip
"""File name endings, in lower case, that `--dataset=folder` takes for recordings."""


def files_below(
    folder: str, suffixes: tuple[str, ...], broken_links: bool = False
) -> Iterator[str]:
    """Yields the files of a folder and all folders below it; no hidden ones.

    Args:
      folder: where to look. Links to folders are followed.
      suffixes: the endings, in lower case, of the names to yield.
      broken_links: whether to yield links to nothing too.

    Raises:
      UserError: a folder can't be listed, or a link of such a name is broken and `broken_links`
        is False.
    """
    pending = [folder]
    visited = set()  # a link to a folder above would never end
    while pending:
        current = pending.pop()
        actual = canonical(current)
        if actual in visited:
            continue
        visited.add(actual)
        for entry in list_folder(current):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                pending.append(entry.path)
            elif entry.name.lower().endswith(suffixes):
                if not (broken_links or entry.is_file()):
                    raise UserError(f"{entry.path!r} is a broken link: mend or remove it")
                yield entry.path


def find_files(paths: Iterable[str]) -> list[str | None]:
    """Finds the existing file that each path means.

    A name that differs from the only such file in letter case or Unicode composition means that
    file, and backslashes may separate folders: lists of files travel between operating systems.

    Args:
      paths: as openable from the current directory.

    Returns:
      For each path that of the existing file, or None.

    Raises:
      UserError: a folder can't be listed.
    """
    listed = cache(_files_by_spelling)

    def find(path: str) -> str | None:
        folder, name = os.path.split(path)
        alike = listed(folder).get(_spelling(name), [])
        if name in alike:
            return path
        if len(alike) == 1:
            return os.path.join(folder, alike[0])
        return find(path.replace("\\", "/")) if "\\" in path and os.sep == "/" else None

    return [find(path) for path in paths]


def _files_by_spelling(folder: str) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    folder = folder or os.curdir
    if is_dir(folder):
        for entry in list_folder(folder):
            if entry.is_file():
                files.setdefault(_spelling(entry.name), []).append(entry.name)
    return files


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
