"""The store of embeddings: gives back what it got, whole, from any process, in half the space."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.embeddings.store import EmbeddingStore

MADE_BY = {"features": {"window_seconds": 0.5}, "extractor": "gabor-1"}


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Numbers that float16 holds exactly."""
    return np.random.default_rng(seed).integers(-999, 999, [count, 5]).astype(np.float32)


def read(store: EmbeddingStore, *names: bytes) -> dict[bytes, np.ndarray]:
    """All windows of the contents that the store keeps."""
    keys = np.array(names, "S32")
    kept = store.find(keys)
    found = np.flatnonzero(kept.is_kept)
    windows = kept.windows[found]
    every = kept.rows(found, np.zeros_like(windows), windows)[:]
    assert every.dtype == np.float32
    return dict(zip(keys[found].tolist(), np.split(every, np.cumsum(windows))[:-1], strict=True))


def test_gives_back_what_it_got(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_BY)
    kept = {b"a": rows(1), b"b": rows(3, 1), b"c": rows(2, 2)}
    store.add({key: kept[key] for key in (b"a", b"b")})
    store.add({b"c": kept[b"c"]})
    store.add({})
    for opened in (store, EmbeddingStore(tmp_path, MADE_BY)):
        found = read(opened, b"c", b"unknown", b"b", b"a")
        assert list(found) == [b"c", b"b", b"a"]
        for key, values in kept.items():
            np.testing.assert_array_equal(found[key], values)
    assert list(read(store, b"b")) == [b"b"]
    assert read(store, b"0", b"z") == read(EmbeddingStore(tmp_path, {}), b"a") == {}


def test_gives_some_windows_of_contents_in_any_order_and_twice(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_BY)
    one, other = rows(4), rows(3, 1)
    store.add({b"one": one})
    store.add({b"other": other})
    kept = store.find(np.array([b"other", b"one", b"other"]))
    assert kept.windows.tolist() == [3, 4, 3]
    found = kept.rows(np.array([1, 0, 2]), np.array([2, 0, 1]), np.array([2, 1, 2]))
    np.testing.assert_array_equal(found[:], np.concatenate([one[2:], other[:1], other[1:]]))


def test_everything_that_makes_an_embedding_has_a_folder_of_its_own(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path, MADE_BY).add({b"a": rows(1)})
    same = EmbeddingStore(tmp_path, dict(reversed(MADE_BY.items())))
    assert set(read(same, b"a")) == {b"a"}
    for other in ({**MADE_BY, "extractor": "gabor-2"}, {**MADE_BY, "features": {}}):
        store = EmbeddingStore(tmp_path, other)
        assert read(store, b"a") == {} and store.directory != same.directory


def test_takes_half_the_space_with_float16s_precision(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(3, 2, [50, 700]).astype(np.float32)
    values[0] = 0
    values[1, :3] = [1e-9, -1e-6, 65504]
    store = EmbeddingStore(tmp_path, MADE_BY)
    store.add({b"a": values})
    (part,) = store.directory.glob("*.npy")
    assert part.stat().st_size < 2 * values.size + 1000
    np.testing.assert_allclose(read(store, b"a")[b"a"], values, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("what", [65520.0, -1e20, np.inf, np.nan], ids=str)
def test_what_float16_cannot_hold_is_kept_whole(tmp_path: Path, what: float) -> None:
    values = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    values[2, 3] = what
    store = EmbeddingStore(tmp_path, MADE_BY)
    store.add({b"a": values})
    store.add({b"b": values[:1]})
    found = read(store, b"a", b"b")
    np.testing.assert_array_equal(found[b"a"], values)
    np.testing.assert_allclose(found[b"b"], values[:1], rtol=2**-11)


def test_a_row_too_small_for_float16_is_kept_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    values[2] *= 1e-6
    store = EmbeddingStore(tmp_path, MADE_BY)
    store.add({b"a": values})
    np.testing.assert_array_equal(read(store, b"a")[b"a"], values)


def test_what_a_kill_left_half_written_is_ignored(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, MADE_BY)
    store.add({b"a": rows(2)})
    (part,) = store.directory.glob("*.npz")
    half = part.read_bytes()[: part.stat().st_size // 2]
    (store.directory / "0123.partial").write_bytes(half)
    (store.directory / "4567.npy").write_bytes(half)
    (store.directory / "made_by.json.0123.partial").write_bytes(b"{")
    assert set(read(EmbeddingStore(tmp_path, MADE_BY), b"a")) == {b"a"}


@pytest.mark.parametrize("written", ["save", "savez"])
def test_a_write_that_fails_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    store = EmbeddingStore(tmp_path, MADE_BY)
    store.add({b"a": rows(2)})

    def disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patches, pytest.raises(OSError, match="No space"):
        patches.setattr(np, written, disk_full)
        store.add({b"b": rows(1)})
    assert set(read(store, b"a", b"b")) == {b"a"}


def half_zeroed(content: bytes) -> bytes:
    """As a disk has it whose power was cut before it wrote all."""
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-30],
    "other bytes": lambda content: b"x" * len(content),
    "half of it zero": half_zeroed,
    "a bit is another": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "longer": lambda content: content + content[-40:],
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, damage: str
) -> None:
    values = rows(9)
    EmbeddingStore(tmp_path, MADE_BY).add({b"a": values})
    store = EmbeddingStore(tmp_path, MADE_BY)
    (file,) = store.directory.glob(f"*{suffix}")
    content = file.read_bytes()
    file.write_bytes(DAMAGES[damage](content))
    found = read(store, b"a")
    for _, kept in found.items():  # what a zip file has behind its end changes nothing
        np.testing.assert_array_equal(kept, values)
    if not found:
        (record,) = caplog.records
        assert "damaged" in record.message and str(file.with_suffix(".npz")) in record.message
        assert not list(store.directory.glob("*.np?"))
        store.add({b"a": values})
        np.testing.assert_array_equal(read(store, b"a")[b"a"], values)
    assert bool(found) <= (damage in ("longer", "a bit is another"))


def test_a_part_without_rows_or_with_those_of_another_is_not_believed(tmp_path: Path) -> None:
    for other in (rows(8), rows(9, 1), None):
        EmbeddingStore(tmp_path, MADE_BY).add({b"a": rows(9)})
        store = EmbeddingStore(tmp_path, MADE_BY)
        (file,) = store.directory.glob("*.npy")
        if other is None:
            file.unlink()
        else:
            np.save(file, other)
        assert read(store, b"a") == {}


def _add_many(directory: Path, name: str, ready: Barrier) -> None:
    store = EmbeddingStore(directory, MADE_BY)
    ready.wait(120)
    for number in range(20):
        store.add({f"{name} {number}".encode(): np.full((2, 3), number, np.float32)})


@pytest.mark.slow
def test_two_processes_may_add_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(2)
    process = spawn.Process(target=_add_many, args=(tmp_path, "other", ready))
    process.start()
    _add_many(tmp_path, "one", ready)
    process.join()
    assert process.exitcode == 0
    keys = [f"{name} {number}".encode() for name in ("one", "other") for number in range(20)]
    found = read(EmbeddingStore(tmp_path, MADE_BY), *keys)
    assert set(found) == set(keys)
    assert all((values == int(key.split()[1])).all() for key, values in found.items())
