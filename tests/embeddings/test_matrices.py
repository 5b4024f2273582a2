"""Rows of matrices on disk and in memory: what NumPy's indexing gives, in any order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sound_pipeline.embeddings.matrices import (
    MatrixFile,
    MixedRows,
    PieceRows,
    RowSelection,
    SideBySide,
)


def matrices(directory: Path) -> list[np.ndarray]:
    """Of several lengths and formats."""
    random = np.random.default_rng(0)
    made = [random.integers(-99, 99, [count, 3]) for count in (5, 0, 1, 9)]
    made = [values.astype(dtype) for values, dtype in zip(made, "efef", strict=True)]
    for number, values in enumerate(made):
        np.save(directory / f"{number}.npy", values)
    return made


@given(st.data())
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_are_those_of_the_matrices(tmp_path: Path, data: st.DataObject) -> None:
    arrays = matrices(tmp_path)
    everything = np.concatenate(arrays).astype(np.float32)
    places = [(number, row) for number, values in enumerate(arrays) for row in range(len(values))]
    picked = data.draw(st.lists(st.integers(0, len(places) - 1), max_size=30))
    where = np.array([places[position] for position in picked], int).reshape(-1, 2)
    files = [MatrixFile(tmp_path / f"{number}.npy") for number in range(len(arrays))]
    rows = RowSelection(files, where[:, 0], where[:, 1], 3)
    expected = everything[picked].reshape(-1, 3)
    assert rows.shape == expected.shape and len(rows) == len(picked)
    np.testing.assert_array_equal(np.asarray(rows), expected)
    assert rows[:].dtype == np.float32
    mask = np.arange(len(picked)) % 3 == 0
    backwards = np.arange(len(picked))[::-2]
    for index in (mask, backwards, slice(2, None), slice(1, -1)):
        np.testing.assert_array_equal(rows[index], expected[index])
        np.testing.assert_array_equal(
            RowSelection.chosen((rows, backwards), (everything, np.arange(4)))[:],
            np.concatenate([expected[backwards], everything[:4]]),
        )


def test_a_file_is_read_as_it_is_when_it_is_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones([4, 2], np.float32))
    rows = MatrixFile(tmp_path / "a.npy")
    assert len(rows) == 4 and rows.shape == (4, 2)
    np.save(tmp_path / "a.npy", np.full([4, 2], 2, np.float32))
    assert (rows[:] == 2).all()


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises((ValueError, OSError, EOFError)):
        MatrixFile(tmp_path / "a.npy")


def test_side_by_side() -> None:
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(7, size)).astype(np.float32) for size in (3, 1, 4)]
    beside, expected = SideBySide(arrays), np.concatenate(arrays, axis=1)
    assert beside.shape == (7, 8) and len(beside) == 7
    np.testing.assert_array_equal(np.asarray(beside), expected)
    for index in (np.arange(7) % 2 == 0, np.array([5, 0, 5]), slice(2, 4)):
        np.testing.assert_array_equal(beside[index], expected[index])
    chosen = RowSelection.chosen((beside, np.array([6, 1])), (expected, np.array([2])))
    np.testing.assert_array_equal(chosen[:], expected[[6, 1, 2]])


INDICES = [slice(None), slice(1, -1), np.arange(6) % 2 == 0, np.array([4, 0, 0, 5]), slice(6, 6)]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_pieces_are_the_rows_cut_up(index: slice | np.ndarray) -> None:
    values = np.arange(24).reshape(2, 12).astype(np.float16)
    cut = PieceRows(values, 3)
    assert cut.shape == (6, 4) and len(cut) == 6
    np.testing.assert_array_equal(cut[index], values.reshape(6, 4)[index])
    assert cut[index].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(cut), values.reshape(6, 4))


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_mixed_rows_are_shares_of_two(index: slice | np.ndarray) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(6, 4)).astype(np.float16)
    other = np.array([5, 4, 3, 0, 0, 5])
    share = random.random(6).astype(np.float32)
    mixed = MixedRows(values, other, share)
    assert mixed.shape == (6, 4) and len(mixed) == 6
    wide = values.astype(np.float64)
    expected = share[:, None] * wide + (1 - share[:, None]) * wide[other]
    np.testing.assert_allclose(mixed[index], expected[index], rtol=1e-5)
    assert mixed[index].dtype == np.float32
