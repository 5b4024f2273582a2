"""Weights of a fine-tuned network: one file, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.system.arrays import load_arrays
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside

BACKUP = "backup"
"""The folder beside it of a training that hasn't ended."""

_WEIGHTS_FILE = "weights.npz"


def is_kept(directory: Path) -> bool:
    """Whether a network has been fine-tuned to the end."""
    return (directory / _WEIGHTS_FILE).is_file()


def make_directory(directory: Path, cache_dir: Path) -> None:
    """Makes the directory of a network, in a cache.

    Raises:
      UserError: the cache can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--cache_dir={cache_dir}: {error.strerror}; give a directory that can be written"
        ) from error


def keep(
    directory: Path, weights: Sequence[npt.NDArray[Any]], curves: dict[str, list[float]]
) -> None:
    """Writes what was learned, all of it or nothing; the backup isn't needed any more.

    Args:
      directory: of the network.
      weights: of the extractor, in its order.
      curves: values by epoch.
    """
    with written_aside(directory / _WEIGHTS_FILE, "wb") as file:
        named = {f"weights_{number:05d}": values for number, values in enumerate(weights)}
        np.savez(file, **named, **{name: np.array(values) for name, values in curves.items()})
    remove_abandoned(directory)
    shutil.rmtree(directory / BACKUP, ignore_errors=True)


def read_curves(directory: Path) -> dict[str, list[float]]:
    """Curves that were kept.

    Raises:
      UserError: the file is damaged.
    """
    return {
        name: values.tolist()
        for name, values in _read(directory).items()
        if not name.startswith("weights_")
    }


def read_weights(directory: Path) -> list[npt.NDArray[Any]]:
    """Weights that were kept.

    Raises:
      UserError: the file is damaged.
    """
    kept = _read(directory)
    return [kept[name] for name in sorted(kept) if name.startswith("weights_")]


def _read(directory: Path) -> dict[str, npt.NDArray[Any]]:
    file = directory / _WEIGHTS_FILE
    try:
        return load_arrays(file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file}: damaged ({first_line(error)}); delete it, the network is then tuned again"
        ) from error
