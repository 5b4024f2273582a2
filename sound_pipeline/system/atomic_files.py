"""Files that are there whole or not at all, however the program that writes them ends."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, overload

# Nobody still writes to what has not been touched for so long.
_ABANDONED_SECONDS = 3600.0
# File systems allow 255 bytes, of which dots, random letters and suffix take 42.
_MOST_NAME_BYTES = 200
_SUFFIX = ".partial"
# Earlier versions put no dot before the name, or had the random letters alone.
_ASIDE_NAME = re.compile(rf"(\.?.*\.)?[0-9a-f]{{32}}{re.escape(_SUFFIX)}", re.DOTALL)


@overload
def written_aside(path: Path, mode: Literal["wb"]) -> AbstractContextManager[BinaryIO]: ...


@overload
def written_aside(path: Path, mode: Literal["w"]) -> AbstractContextManager[TextIO]: ...


@contextmanager  # type: ignore[misc]
def written_aside(path: Path, mode: Literal["w", "wb"]) -> Iterator[BinaryIO | TextIO]:
    """Yields a hidden file in the same folder, which takes a path's place at the end.

    It has a random name, and is made anew: a link that lies under that name is never followed.
    At the end its bytes are on disk before it is renamed, and the new name is afterwards. On an
    error it is removed, and `path` stays as it was; what a killed program leaves behind is for
    `remove_abandoned`.

    Args:
      path: the file to write, in a folder that exists; a link is replaced, not followed.
      mode: "wb" for bytes, "w" for text: UTF-8, whose lines end alike on all systems.

    Yields:
      The file, open for writing; its `name` is its path, as a str.

    Raises:
      OSError: it can't be written.
    """
    aside = _aside(path)
    encoding, newline = ("utf-8", "\n") if mode == "w" else (None, None)
    try:
        # Mode x: O_CREAT | O_EXCL.
        with open(
            aside,
            mode.replace("w", "x"),
            encoding=encoding,
            newline=newline,
            opener=not_through_links,
        ) as file:
            yield file  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        put_in_place(aside, path)
    except OSError as error:
        # Of writing to a full disk, which names no file, and of a random name that tells nobody.
        error.filename = os.fspath(path)
        raise
    finally:
        with suppress(OSError):
            aside.unlink()


def put_in_place(aside: Path, path: Path) -> None:
    """Renames a file, or a folder, and makes the new name last.

    Args:
      aside: in the same file system as `path`.
      path: the name to have; a file there is replaced, as an empty folder is by a folder.

    Raises:
      OSError: it can't be renamed.
    """
    os.replace(aside, path)
    _sync_folder(path.parent)


def remove_abandoned(folder: Path) -> None:
    """Removes from a folder what killed programs have left of `written_aside`.

    What has changed within the last hour stays: another program may be writing it. So does what
    can't be removed, and a folder that isn't there is left alone.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _ASIDE_NAME.fullmatch(entry.name):
                continue
            # Another program may have removed it meanwhile, or finished it.
            with suppress(OSError):
                changed = entry.stat(follow_symlinks=False).st_mtime
                if time.time() - changed > _ABANDONED_SECONDS:
                    os.unlink(entry.path)


def _aside(path: Path) -> Path:
    name = os.fsencode(path.name)[:_MOST_NAME_BYTES].decode(errors="ignore")
    return path.with_name(f".{name}.{uuid.uuid4().hex}{_SUFFIX}")


def not_through_links(path: str, flags: int) -> int:
    """Opener, for `open`, of files whose names others can guess: a link is an error."""
    # Windows has no such flag; O_EXCL follows no link either, where the file system keeps to it.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _sync_folder(folder: Path) -> None:
    # Windows opens no folders, and needs not: NTFS keeps a journal of names.
    if not hasattr(os, "O_DIRECTORY"):
        return
    # Some network file systems can't; the file is in place all the same.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
