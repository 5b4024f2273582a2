"""Files found below folders, and found as lists from other systems spell them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest

from sound_pipeline.datasets import folders
from sound_pipeline.datasets.folders import files_below, find_files
from sound_pipeline.errors import UserError
from sound_pipeline.system.filesystem import list_folder, open_binary


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found_of(paths: Iterable[str]) -> list[str | None]:
    """What `find_files` finds, in the order of the paths."""
    asked = list(paths)
    found = dict(find_files(asked))
    assert sorted(found) == list(range(len(asked)))
    return [found[position] for position in range(len(asked))]


def test_list_folder_is_sorted(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b", "C", "a")))
    assert [entry.name for entry in list_folder(str(tmp_path))] == ["C", "a", "b"]


def test_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.*No such file or directory"):
        list_folder(str(tmp_path / "absent"))


def test_files_below(tmp_path: Path) -> None:
    names = ["a.wav", "deep/er/b.WAV", "deep/c.mp3", ".d.wav", ".git/e.wav", "dir.wav/f.txt"]
    touch(*(tmp_path / name for name in names))
    found = {os.path.relpath(path, tmp_path) for path in files_below(str(tmp_path), (".wav",))}
    assert found == {"a.wav", os.path.join("deep", "er", "b.WAV")}


def test_what_systems_keep_in_folders_is_nobodys(tmp_path: Path) -> None:
    nobodys = [
        "$RECYCLE.BIN", "$Recycle.Bin", "__MACOSX", "@eaDir", "System Volume Information",
        "lost+found", "LOST.DIR", "#recycle", ".Trashes",
    ]  # fmt: skip
    for folder in (tmp_path, tmp_path / "deep"):
        touch(*(folder / name / "a.wav" for name in [*nobodys, "$5", "lost", "@home"]))
    found = {os.path.relpath(path, tmp_path) for path in files_below(str(tmp_path), (".wav",))}
    kept = {os.path.join(name, "a.wav") for name in ("$5", "lost", "@home")}
    assert found == kept | {os.path.join("deep", path) for path in kept}


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.wav", tmp_path / "root" / "b.wav")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root")
    found = sorted(map(os.path.basename, files_below(str(tmp_path / "root"), (".wav",))))
    assert found == ["a.wav", "b.wav"]


def test_files_below_are_sorted_by_path(tmp_path: Path) -> None:
    names = [
        f"{folder}{name}.wav"
        for folder in ("", "a/", "a b/", "a-/", "a/b/", "a/b-c/", "B/", "é/")
        for name in ("a", "a b", "a-", "a.b", "b", "Z", "ü", "日")
    ]
    touch(*(tmp_path / name for name in names))
    found = [path[len(str(tmp_path)) + 1 :] for path in files_below(str(tmp_path), (".wav",))]
    assert found == sorted(names)


def test_links_that_lead_nowhere_are_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "note.txt").symlink_to(tmp_path / "absent")
    (tmp_path / "a.wav").symlink_to(tmp_path / "absent")
    (tmp_path / "b.wav").symlink_to("b.wav")
    found = list(files_below(str(tmp_path), (".wav",)))
    assert found == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert found_of(found) == [None, None]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes")
def test_a_pipe_among_files_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a\.wav.*pipe"):
        list(files_below(str(tmp_path), (".wav",)))
    with pytest.raises(OSError, match="pipe or a device: save it to a file"):
        open_binary(str(tmp_path / "a.wav"))


def test_files_are_found_as_other_systems_spell_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Tür.wav")
    touch(*(tmp_path / name for name in ("a.wav", decomposed, "d.wav", "D.wav", "sub/e.wav")))
    asked = ["A.WAV", "Tür.wav", "d.wav", "sub\\e.wav", "gone.wav", "gone/e.wav"]
    *found, gone, gone_folder = found_of(str(tmp_path / name) for name in asked)
    assert gone is None
    assert gone_folder is None
    assert all(path and os.path.isfile(path) for path in found)
    assert [os.path.basename(path or "").lower() for path in found] == [
        "a.wav",
        decomposed.lower(),
        "d.wav",
        "e.wav",
    ]
    assert found[2] == str(tmp_path / "d.wav")


def test_path_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.wav")
    monkeypatch.chdir(tmp_path)
    assert found_of(["a.wav", "./a.wav", "A.wav"]) == ["a.wav", "./a.wav", "a.wav"]


def test_file_of_ambiguous_spelling_is_not_found(tmp_path: Path) -> None:
    touch(tmp_path / "ab.wav", tmp_path / "AB.wav")
    if len(os.listdir(tmp_path)) < 2:
        pytest.skip("this file system ignores letter case")
    assert found_of([str(tmp_path / "Ab.wav")]) == [None]


def test_file_is_not_found_by_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "ab.wav", tmp_path / "abc.wav", tmp_path / "abcd.wav")
    monkeypatch.setattr(folders, "hash", len, raising=False)
    asked = [str(tmp_path / name) for name in ("ab.wav", "xyz.wav", "ABCD.wav")]
    assert found_of(asked) == [asked[0], None, str(tmp_path / "abcd.wav")]


def test_folder_in_place_of_a_file_is_not_found(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav" / "inside.wav")
    assert found_of([str(tmp_path / "a.wav"), str(tmp_path)]) == [None, None]


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / str(i % 20) / f"{i}.wav" for i in range(400)]
    touch(*paths)
    listed = []
    real = os.scandir

    def scandir(folder: str) -> object:
        listed.append(folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found_of(map(str, paths)) == list(map(str, paths))
    assert sorted(listed) == sorted(str(tmp_path / str(i)) for i in range(20))
