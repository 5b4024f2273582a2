"""Files and folders that one program at a time writes into."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

# Windows keeps others from reading what is locked: nothing is as far into a file.
_WINDOWS_PLACE = 1 << 30


@contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Keeps other programs that ask for the same folder out; ends with the process at the latest.

    Args:
      folder: exists. Nothing is written into it, except on Windows, where no folder can be locked.

    Raises:
      BlockingIOError: another program has it.
      OSError: the folder can't be opened.
    """
    if sys.platform == "win32":
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    else:
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path) -> None:
    """Keeps other programs that ask for the same out, until it is closed.

    Args:
      descriptor: of an open file; or, but on Windows, of a folder.
      path: what it is, to warn where the file system knows no locks.

    Raises:
      BlockingIOError: another program has it.
    """
    if sys.platform == "win32":
        import msvcrt

        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _WINDOWS_PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(str(error)) from error
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
        return

    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        # Some network file systems know no locks.
        logger.warning(
            "%s can't be locked (%s): let no other program write into it meanwhile",
            path,
            error.strerror,
        )
