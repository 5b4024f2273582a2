"""The recordings that programs are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.errors import UserError


def test_finds_files_and_folders_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.WAV", "b/deep/3.flac", "b/notes.txt", "b/.hidden.wav", "a.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "odd.name").touch()
    found = find_recordings([str(tmp_path / name) for name in ("b", "odd.name", "a.wav", "a.wav")])
    relative = [Path(path).relative_to(tmp_path).as_posix() for path, _ in found]
    assert relative == ["b/1.WAV", "b/2.wav", "b/deep/3.flac", "odd.name", "a.wav", "a.wav"]
    names = [Path(name).as_posix() for _, name in found]
    assert names == ["1.WAV", "2.wav", "deep/3.flac", "odd.name", "a.wav", "a.wav"]


def test_patterns(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.wav", "b/deep/3.wav", "b/notes.txt", "c/[4].wav", "c/4.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def found(pattern: str) -> list[str]:
        paths = [path for path, _ in find_recordings([str(tmp_path / pattern)], "")]
        return [Path(path).relative_to(tmp_path).as_posix() for path in paths]

    assert found("b/*.wav") == ["b/1.wav", "b/2.wav"]
    assert found("b/**/*.wav") == ["b/1.wav", "b/2.wav", "b/deep/3.wav"]
    assert found("[bc]") == ["b/1.wav", "b/2.wav", "b/deep/3.wav", "c/4.wav", "c/[4].wav"]
    assert found("c/[4].wav") == ["c/[4].wav"], "a file of that name is no pattern"
    with pytest.raises(UserError, match=r"^.*none\*: no file is like this"):
        found("none*")


def test_a_missing_or_empty_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--input=.*gone: no such file or folder"):
        find_recordings([str(tmp_path / "gone")])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=rf"--input={tmp_path}: no audio file below"):
        find_recordings([str(tmp_path)])
