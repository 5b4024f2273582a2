"""Keys of contents: of the bytes and nothing else, however seldom the bytes are read."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path

import pytest

from sound_pipeline.datasets import content_keys as content_keys_module
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.datasets.texts import StringColumn


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the paths whose bytes are read."""
    paths: list[str] = []
    digest = content_keys_module._digest

    def watched(path: str, stamp: object) -> tuple[bytes, bool]:
        paths.append(path)
        return digest(path, stamp)

    monkeypatch.setattr(content_keys_module, "_digest", watched)
    return paths


def write(directory: Path, **texts: str) -> list[str]:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text)
    return [str(directory / name) for name in texts]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(content_keys_module, "_UNSETTLED_NANOSECONDS", -(10**12))


def expected(*texts: str) -> list[bytes]:
    return [hashlib.sha256(text.encode()).hexdigest()[:32].encode() for text in texts]


def test_keys_are_of_bytes_in_order(tmp_path: Path) -> None:
    paths = write(tmp_path / "a", z="1", b="2", c="1", e="")
    assert content_keys(paths, tmp_path).tolist() == expected("1", "2", "1", "")
    assert content_keys([], tmp_path).tolist() == []
    # What can't be read has a key of its own, each time: whoever decodes it says why.
    loop = tmp_path / "loop.wav"
    loop.symlink_to(loop)
    gone = [str(tmp_path / "gone.wav"), str(loop), str(tmp_path)]
    for _ in range(2):
        keys = content_keys([*paths, *gone], tmp_path).tolist()
        assert keys[:4] == expected("1", "2", "1", "") and len(set(keys)) == 6


@pytest.mark.usefixtures("settled")
def test_what_has_not_changed_is_read_once(tmp_path: Path, read: list[str]) -> None:
    paths = write(tmp_path / "a", z="1", b="2", ü="3")
    for _ in range(3):
        assert content_keys(paths, tmp_path).tolist() == expected("1", "2", "3")
    assert sorted(read) == sorted(paths)
    more = write(tmp_path / "a", d="4")
    assert content_keys(more + paths[::-1], tmp_path).tolist() == expected("4", "3", "2", "1")
    assert read[3:] == more
    # Under another folder in common nothing is known, and the first memory stays.
    other = write(tmp_path / "other", d="5")
    content_keys(paths + other, tmp_path)
    assert len(read) == 8
    content_keys(paths + more, tmp_path)
    assert len(read) == 8


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", ["same size", "times set back", "another file", "other size"])
def test_what_has_changed_is_read_again(tmp_path: Path, how: str) -> None:
    one, two = write(tmp_path / "a", one="1111", two="2222")
    content_keys([one, two], tmp_path)
    before = os.stat(one)
    time.sleep(0.02)  # longer than a tick of the disk's clock
    if how == "another file":
        (tmp_path / "new").write_text("3333")
        os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(tmp_path / "new", one)
    else:
        Path(one).write_text("33" if how == "other size" else "3333")
        if how == "times set back":
            os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    text = "33" if how == "other size" else "3333"
    assert content_keys([one, two], tmp_path).tolist() == expected(text, "2222")


@pytest.mark.usefixtures("settled")
def test_files_are_looked_at_a_few_at_a_time(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_keys_module, "_FILES_AT_ONCE", 3)
    texts = {f"{'long' * (number % 3)}{number}": str(number) for number in range(10)}
    paths = write(tmp_path / "a", **texts)
    assert content_keys(StringColumn(paths), tmp_path).tolist() == expected(*texts.values())
    assert sorted(read) == sorted(paths)
    read.clear()
    for number in (2, 7):
        Path(paths[number]).write_text(f"{number} has changed")
        texts[Path(paths[number]).name] = f"{number} has changed"
    assert content_keys(paths, tmp_path).tolist() == expected(*texts.values())
    assert read == [paths[2], paths[7]]


def test_a_file_written_just_now_is_not_trusted(tmp_path: Path, read: list[str]) -> None:
    (fresh,) = write(tmp_path / "a", fresh="1")
    content_keys([fresh], tmp_path)
    before = os.stat(fresh)
    # Within one tick of the disk's clock a second change leaves the times as they were.
    Path(fresh).write_text("2")
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert content_keys([fresh], tmp_path).tolist() == expected("2")
    content_keys([fresh], tmp_path)
    assert len(read) == 3


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write(tmp_path / "a", path="1")
    stamp = content_keys_module._stamp

    def stamped_late(name: str) -> tuple[int, int, int, int]:
        size, *rest = stamp(name)
        return (size + 1, *rest) if calls.append(name) or len(calls) == 2 else (size, *rest)

    calls: list[str] = []
    monkeypatch.setattr(content_keys_module, "_stamp", stamped_late)
    content_keys([path], tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.usefixtures("settled")
def test_a_damaged_memory_is_said_and_written_anew(
    tmp_path: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    paths = write(tmp_path / "a", z="1", b="2")
    content_keys(paths, tmp_path)
    (memory,) = (tmp_path / "contents").glob("*.npz")
    for number, damaged in enumerate([b"", memory.read_bytes()[:-40], b"nonsense"], 1):
        memory.write_bytes(damaged)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "sound_pipeline"):
            assert content_keys(paths, tmp_path).tolist() == expected("1", "2")
        assert f"{memory}: damaged" in caplog.text
        assert len(read) == 2 + 2 * number
    content_keys(paths, tmp_path)
    assert len(read) == 8
