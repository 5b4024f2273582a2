"""Files that are whole or not there: errors, kills, links, and what reaches the disk first."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from sound_pipeline.system import atomic_files
from sound_pipeline.system.atomic_files import put_in_place, remove_abandoned, written_aside


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_and_text(tmp_path: Path) -> None:
    with written_aside(tmp_path / "a.bin", "wb") as binary:
        binary.write(b"\0\r\n")
    with written_aside(tmp_path / "a.txt", "w") as text:
        text.write("ü\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\0\r\n"
    assert (tmp_path / "a.txt").read_bytes() == "ü\n".encode()
    assert names(tmp_path) == ["a.bin", "a.txt"]


def test_what_is_there_stays_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_aside(path, "w") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
        (aside,) = set(tmp_path.iterdir()) - {path}
        assert aside.name.startswith(".a.txt.") and str(aside) == file.name
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_everything_as_it_was(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), written_aside(path, "w") as file:
        file.write("half")
        raise error
    assert (names(tmp_path), path.read_text()) == (["a.txt"], "old")


def test_a_name_that_cannot_be_taken_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError), written_aside(tmp_path / "taken", "w") as file:
        file.write("x")
    assert names(tmp_path) == ["taken"]
    with pytest.raises(FileNotFoundError), written_aside(tmp_path / "no" / "a", "w"):
        pass


_HALF = """
import sys, time
from pathlib import Path
from sound_pipeline.system.atomic_files import written_aside

with written_aside(Path(sys.argv[1]), "wb") as file:
    file.write(bytes(100_000))
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_kill_in_mid_write(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if before is not None:
        path.write_bytes(before)
    process = subprocess.Popen(
        [sys.executable, "-c", _HALF, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert (path.read_bytes() if path.exists() else None) == before
    (left,) = tmp_path.glob(".a.bin.*.partial")
    remove_abandoned(tmp_path)
    assert left.exists(), "another program might be writing it"
    os.utime(left, (0, 0))
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ([] if before is None else ["a.bin"])


def test_only_what_was_written_aside_is_abandoned(tmp_path: Path) -> None:
    letters = uuid.uuid4().hex
    ours = [f".a.txt.{letters}.partial", f"a.tfrecord.{letters}.partial", f"{letters}.partial"]
    others = ["a.partial", f"{letters}.txt", f".{letters}", f"a{letters}.partial", "b.txt"]
    for name in ours + others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    remove_abandoned(tmp_path)
    assert names(tmp_path) == sorted(others)
    remove_abandoned(tmp_path / "nowhere")


def test_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    fixed = uuid.UUID(int=0)
    monkeypatch.setattr(uuid, "uuid4", lambda: fixed)
    folder = tmp_path / "folder"
    folder.mkdir()
    link = folder / f".a.txt.{fixed.hex}.partial"
    for target in (victim, tmp_path / "not_yet"):
        link.symlink_to(target)
        with pytest.raises(FileExistsError), written_aside(folder / "a.txt", "w") as file:
            file.write("x")
        link.unlink(missing_ok=True)
    assert victim.read_text() == "precious"
    assert names(tmp_path) == ["folder", "victim"]


def test_a_link_with_the_files_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "a.txt").symlink_to(tmp_path / "victim")
    with written_aside(tmp_path / "a.txt", "w") as file:
        file.write("new")
    assert not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_bytes_reach_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        about = os.fstat(descriptor)
        done.append("folder" if stat.S_ISDIR(about.st_mode) else f"{about.st_size} bytes")
        fsync(descriptor)

    def note_replace(aside: Any, path: Any) -> None:
        done.append("rename")
        replace(aside, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    with written_aside(tmp_path / "a.txt", "w") as file:
        file.write("12345")
    assert done == ["5 bytes", "rename", "folder"]
    (tmp_path / "new").mkdir()
    put_in_place(tmp_path / "new", tmp_path / "b")
    assert done[3:] == ["rename", "folder"]


def test_a_file_system_that_syncs_no_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_alone(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_alone)
    with written_aside(tmp_path / "a.txt", "w") as file:
        file.write("x")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "犬" * 85])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    with written_aside(tmp_path / name, "w") as file:
        assert len(os.fsencode(Path(file.name).name)) <= 255
        file.write("x")
    assert names(tmp_path) == [name]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with written_aside(tmp_path / "a", "wb"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_names_are_random(tmp_path: Path) -> None:
    first, second = (atomic_files._aside(tmp_path / "a") for _ in range(2))
    assert first != second
