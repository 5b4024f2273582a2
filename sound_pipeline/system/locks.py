"""Folders that one program at a time writes into."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


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
        import msvcrt

        path = folder / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                raise BlockingIOError(str(error)) from error
            yield
        finally:
            os.close(descriptor)
        return

    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            # Some network file systems know no locks.
            logger.warning(
                "%s can't be locked (%s): let no other program write into it meanwhile",
                folder,
                error.strerror,
            )
        yield
    finally:
        os.close(descriptor)
