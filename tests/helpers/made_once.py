"""What is made once for all processes that run tests side by side."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """The value of `make`, called with a new folder by whichever process comes first.

    The others wait for it. They get a copy of the value and find the folder as it was left, so what
    is in it must only be read.

    Args:
      tmp_path_factory: pytest's.
      name: the folder's, one for each use.
      make: fills the folder; returns what can be pickled.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Beside the folders of the workers.
        folder = folder.parent
    folder = folder / "made_once"
    folder.mkdir(exist_ok=True)
    value = folder / f"{name}.pickle"
    with locked(folder / f"{name}.lock"):
        if not value.exists():
            # Left over where making it failed in another process.
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
            value.write_bytes(pickle.dumps(make(folder / name)))
        made: T = pickle.loads(value.read_bytes())
    return made


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock among processes: two that need something don't both make it."""
    with path.open("w") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
