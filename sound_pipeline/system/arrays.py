"""Types of NumPy arrays, and how files of them are read."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
AnyFloats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a .npz file, by name.

    Raises:
      OSError: the file can't be read.
      ValueError: it is damaged, or something else.
    """
    loaded = _load(path, None)
    if not isinstance(loaded, dict):
        raise ValueError("it is no .npz file")
    return loaded


def map_array(path: Path) -> np.memmap[Any, Any]:
    """Array of a .npy file, which stays on disk.

    Raises:
      OSError: the file can't be read.
      ValueError: it is damaged, or something else.
    """
    loaded = _load(path, "r")
    if not isinstance(loaded, np.memmap):
        raise ValueError("it is no .npy file")
    return loaded


def _load(path: Path, mmap_mode: Literal["r"] | None) -> Any:
    try:
        loaded = np.load(path, mmap_mode=mmap_mode)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return loaded
        with loaded:
            return dict(loaded)
    except OSError as error:
        # EINVAL is of a place before the file's start, which a damaged zip file names.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ValueError(str(error)) from error
    except Exception as error:
        # Of damaged bytes NumPy raises whatever they lead to: errors of Python's own parser, of
        # zip files with features that it lacks, of sizes beyond all memory.
        raise ValueError(f"{type(error).__name__}: {error}") from error
