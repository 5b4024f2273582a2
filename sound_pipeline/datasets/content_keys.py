"""Recordings told apart by their bytes, and what was read once not read again."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.system.arrays import load_arrays
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside
from sound_pipeline.system.filesystem import is_remote, open_binary, stamp

logger = logging.getLogger(__name__)

Keys = npt.NDArray[np.bytes_]

_KEY_LETTERS = 32
_READ_BYTES = 1 << 20
# A file changed so shortly before it was read may change again without its times telling: their
# clock ticks every few milliseconds on usual disks, every two seconds on FAT.
_UNSETTLED_NANOSECONDS = 2_000_000_000
# Looked at together, so that the list of what is still to be done stays short.
_FILES_AT_ONCE = 1024
# Requests to an object store, which take tens of milliseconds each.
_STAMPS_AT_ONCE = 16


def content_keys(paths: Sequence[str], cache_dir: Path) -> Keys:
    """A digest of each file's bytes, in the order of the paths: bytes [paths].

    A file that can't be read has one of its own, which isn't remembered.

    A file is read again only if its size, its inode or one of its times (of the last change of
    content, and of the inode, which no program can set back) is not what it was.

    Args:
      paths: files.
      cache_dir: remembers the digests between runs; made if it isn't there.

    Raises:
      UserError: they can't be written there.
    """
    if not paths:
        return np.zeros(0, f"S{_KEY_LETTERS}")
    longest = max(len(_name(path)) for path in paths)
    names = np.fromiter(map(_name, paths), f"S{longest}", len(paths))
    stamps = np.zeros([len(paths), 4], np.int64)
    with ThreadPoolExecutor(_STAMPS_AT_ONCE) as threads:
        for start in range(0, len(paths), _FILES_AT_ONCE):
            some = paths[start : start + _FILES_AT_ONCE]
            stamps[start : start + len(some)] = list(threads.map(_stamp, some))
    # By characters, which unlike `commonpath` takes files on several Windows drives.
    shared = os.path.commonprefix([min(names), max(names)])  # noqa: RUF071
    folder = hashlib.sha256(os.fsencode(os.path.dirname(shared))).hexdigest()[:24]
    memory = cache_dir / "contents" / f"{folder}.npz"
    known_names, known_stamps, known_keys = _remembered(memory)

    keys = np.zeros(len(paths), f"S{_KEY_LETTERS}")
    if len(known_names):
        place = np.minimum(np.searchsorted(known_names, names), len(known_names) - 1)
        same = (known_names[place] == names) & (known_stamps[place] == stamps).all(axis=1)
        keys[same] = known_keys[place[same]]
    unknown = np.flatnonzero(keys == b"")
    settled = np.zeros(len(paths), bool)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(unknown), _FILES_AT_ONCE):
            wanted = unknown[start : start + _FILES_AT_ONCE]
            answers = threads.map(_digest, [paths[n] for n in wanted], stamps[wanted])
            for position, (key, is_settled) in zip(wanted, answers, strict=True):
                keys[position] = key
                settled[position] = is_settled
    if settled.any():
        fresh = np.flatnonzero(settled)
        kept = ~np.isin(known_names, names[fresh])
        _remember(
            memory,
            np.concatenate([known_names[kept], names[fresh]]),
            np.concatenate([known_stamps[kept], stamps[fresh]]),
            np.concatenate([known_keys[kept], keys[fresh]]),
        )
    return keys


def _name(path: str) -> bytes:
    """One name of a file wherever a program is started."""
    return os.fsencode(path if is_remote(path) else os.path.abspath(path))


def _stamp(path: str) -> tuple[int, int, int, int]:
    """Stamp of a file, which changes when the file does; zeros of one that can't be read."""
    try:
        return stamp(path)
    except OSError:
        return 0, 0, 0, 0


def _digest(path: str, stamped: npt.NDArray[np.int64]) -> tuple[bytes, bool]:
    """A file's key, and whether its stamp can be trusted to stand for it."""
    now = time.time_ns()
    digest = hashlib.sha256()
    try:
        with open_binary(path) as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
    except OSError:
        # Whoever decodes it will say why.
        digest = hashlib.sha256(b"unreadable:" + _name(path))
        return digest.hexdigest()[:_KEY_LETTERS].encode(), False
    _, content_changed, inode_changed, _ = stamped
    # A file system may tell no times at all: they are zero.
    settled = 0 < max(content_changed, inode_changed) < now - _UNSETTLED_NANOSECONDS
    unchanged = tuple(stamped) == _stamp(path)
    return digest.hexdigest()[:_KEY_LETTERS].encode(), bool(settled and unchanged)


def _remembered(memory: Path) -> tuple[Keys, npt.NDArray[np.int64], Keys]:
    """Names, ascending, with their stamps and keys."""
    try:
        columns = load_arrays(memory)
        return columns["names"], columns["stamps"], columns["keys"]
    except FileNotFoundError:
        pass
    except (OSError, KeyError, ValueError) as error:
        logger.warning(
            "%s: damaged (%s); all files are read again, and it is written anew",
            memory,
            first_line(error),
        )
    return np.zeros(0, "S1"), np.zeros([0, 4], np.int64), np.zeros(0, f"S{_KEY_LETTERS}")


def _remember(memory: Path, names: Keys, stamps: npt.NDArray[np.int64], keys: Keys) -> None:
    names, first = np.unique(names, return_index=True)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(memory, "wb") as file:
            np.savez(file, names=names, stamps=stamps[first], keys=keys[first])
    except OSError as error:
        raise UserError(
            f"--cache_dir={memory.parent.parent}: {error.strerror}; give a directory that can be "
            "written"
        ) from error
    remove_abandoned(memory.parent)
