"""Files and folders on disk, and wherever TensorFlow reads: gs://, s3:// and so on.

What is on disk needs no TensorFlow. TensorFlow itself knows gs://; s3:// and others come with
tensorflow-io, where it loads.
"""

from __future__ import annotations

import errno
import glob as disk_glob
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.system.entries import DirectoryEntry, is_special

_MARK = "://"
_BLOCK_BYTES = 1 << 20
# An object store is asked about every name whether it is a folder, which takes longer than reading
# a small file: what ends as files do is taken for one.
_LIKE_A_FILE = re.compile(r".+\.[a-z][a-z0-9]{1,4}", re.IGNORECASE)


@dataclass(frozen=True)
class _RemoteEntry:
    """Asks what it is as seldom as it can: each question is a request."""

    path: str
    known_folder: bool

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def is_dir(self) -> bool:
        if self.known_folder:
            return True
        return not _LIKE_A_FILE.fullmatch(self.name) and is_dir(self.path)

    def is_file(self) -> bool:
        return not self.is_dir()


def is_remote(path: str) -> bool:
    """Whether a path is a URL rather than on disk."""
    return _MARK in path


def is_dir(path: str) -> bool:
    """Whether there is such a folder."""
    return _ask("isdir", path) if is_remote(path) else os.path.isdir(path)


def is_file(path: str) -> bool:
    """Whether there is such a file."""
    if is_remote(path):
        return _ask("exists", path) and not is_dir(path)
    return os.path.isfile(path)


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return _ask("exists", path) or is_dir(path) if is_remote(path) else os.path.exists(path)


def no_such(path: str) -> str:
    """Reason why a path can't be read, where nothing is there."""
    if path == "-":
        return "standard input is not read: save it to a file"
    return "no such file or folder"


def glob(pattern: str) -> list[str]:
    """Files and folders that are like a pattern, sorted; `*`, `?` and `[a-z]` are known."""
    return sorted(_ask("glob", pattern) if is_remote(pattern) else disk_glob.glob(pattern))


def has_magic(path: str) -> bool:
    """Whether a path may be a pattern."""
    return disk_glob.has_magic(path)


def scan_folder(folder: str) -> Iterator[DirectoryEntry]:
    """Goes through a folder, in no order.

    Raises:
      UserError: it can't be listed.
    """
    if is_remote(folder):
        for name in _ask("listdir", folder):
            if name.strip("/"):
                yield _RemoteEntry(f"{folder.rstrip('/')}/{name.rstrip('/')}", name.endswith("/"))
        return
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise UserError(
            f"folder {folder!r} cannot be listed ({error.strerror}): make it readable"
        ) from error


def list_folder(folder: str) -> list[DirectoryEntry]:
    """Lists a folder, sorted by name.

    Raises:
      UserError: it can't be listed.
    """
    return sorted(scan_folder(folder), key=lambda entry: entry.name)


def join(folder: str, path: str) -> str:
    """A path that starts from a folder, unless it is absolute or a URL."""
    return path if is_remote(path) else os.path.join(folder, path)


def canonical(path: str) -> str:
    """One name for all ways to write a path."""
    return path if is_remote(path) else os.path.realpath(path)


def open_binary(path: str) -> BinaryIO:
    """Opens a file for reading, block by block wherever it is.

    Raises:
      OSError: it can't be read.
    """
    if not is_remote(path):
        return _open_on_disk(path)
    file = io.BufferedReader(_RemoteFile(path), _BLOCK_BYTES)
    # An object store is asked for a file when it is read, not when it is opened.
    file.peek()
    return file


def _open_on_disk(path: str) -> BinaryIO:
    try:
        path.encode()
    except UnicodeEncodeError:
        # TensorFlow can't be given its name, and what is written about it would not be text.
        raise OSError(errno.EILSEQ, "the file name is not UTF-8: rename it", path) from None
    if is_special(path):
        raise OSError(errno.ESPIPE, "it is a pipe or a device: save it to a file", path)
    return open(path, "rb")


class _RemoteFile(io.RawIOBase):
    """A file that TensorFlow reads, with Python's errors; `io.BufferedReader` makes it whole."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = _tensorflow(path).io.gfile.GFile(path, "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_errors(self._path):
            block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _as_os_errors(self._path):
            self._file.seek(offset, whence)
            return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def read_bytes(path: str) -> bytes:
    """Whole file.

    Raises:
      OSError: it can't be read.
    """
    if not is_remote(path):
        with _open_on_disk(path) as file:
            return file.read()
    with _as_os_errors(path):
        return bytes(_tensorflow(path).io.gfile.GFile(path, "rb").read())


def stamp(path: str) -> tuple[int, int, int, int]:
    """Stamp of a file: its size, times of change of content and inode (ns), inode.

    Raises:
      OSError: there is no such file.
    """
    if not is_remote(path):
        about = os.stat(path)
        return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino
    with _as_os_errors(path):
        found = _tensorflow(path).io.gfile.stat(path)
    return found.length, found.mtime_nsec, 0, 0


def load_plugins() -> None:
    """Has tensorflow-io add its file systems to TensorFlow's, where it is there and loads."""
    _load_plugins()


def plugins_loaded() -> bool:
    """Whether it did: see `programs.run` for what follows from that."""
    return bool(_load_plugins.cache_info().currsize) and "tensorflow_io" in sys.modules


@cache
def _load_plugins() -> None:
    try:
        import tensorflow_io  # noqa: F401
    except (ImportError, NotImplementedError, OSError):
        return


def _ask(question: str, path: str) -> Any:
    """Calls a function of tf.io.gfile; UserError if it fails."""
    try:
        with _as_os_errors(path):
            return getattr(_tensorflow(path).io.gfile, question)(path)
    except FileNotFoundError:
        return [] if question in ("glob", "listdir") else False
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; see to the network, the address and the credentials"
        ) from error


@cache
def _schemes() -> frozenset[str]:
    import tensorflow as tf

    load_plugins()
    return frozenset(tf.io.gfile.get_registered_schemes())


def _tensorflow(path: str) -> Any:
    """TensorFlow, once it knows the path's file system."""
    import tensorflow as tf

    scheme = path.partition(_MARK)[0]
    if scheme not in _schemes():
        raise UserError(
            f"{path}: TensorFlow {tf.__version__} reads no {scheme}:// here; install "
            "tensorflow-io==0.37.1 beside TensorFlow 2.16 or 2.17 (Python 3.10 to 3.12), or copy "
            "the files to a disk"
        )
    return tf


@contextmanager
def _as_os_errors(path: str) -> Iterator[None]:
    """Lets TensorFlow's errors about files be what Python's are."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(2, "No such file or directory", path) from error
    except tf.errors.OpError as error:
        raise OSError(5, first_line(error), path) from error
