"""Files of arrays: read, or damaged in one way, whatever their bytes lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_pipeline.system.arrays import load_arrays, map_array


@pytest.mark.parametrize(("suffix", "read"), [(".npz", load_arrays), (".npy", map_array)])
def test_damage_is_one_kind_of_error(
    tmp_path: Path, suffix: str, read: Callable[[Path], Any]
) -> None:
    path = tmp_path / f"numbers{suffix}"
    values = np.arange(12.0)
    np.savez(path, values=values) if suffix == ".npz" else np.save(path, values)
    content = path.read_bytes()
    for position in range(len(content)):
        for damaged in (
            content[:position] + bytes([content[position] ^ 20]) + content[position + 1 :],
            content[:position] + bytes(len(content) - position),
            content[:position],
        ):
            path.write_bytes(damaged)
            try:
                read(path)
            except ValueError as error:
                assert str(error)


def test_a_file_of_another_kind_is_damaged_and_a_missing_one_is_not(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npz.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"no \.npz file"):
        load_arrays(tmp_path / "a.npz.npy")
    with pytest.raises(ValueError, match=r"no \.npy file"):
        map_array(tmp_path / "a.npz")
    for read in (load_arrays, map_array):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
