"""Recordings that are not read: counted and named by every program that takes a folder."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.datasets import load_manifest
from sound_pipeline.datasets.check import check_files, find
from sound_pipeline.datasets.check_report import to_json, to_text
from sound_pipeline.datasets.config import DatasetConfig
from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.datasets.passed_over import PassedOver

AMR = b"#!AMR\n" + bytes(100)


def remarks(folder: Path, recordings: tuple[str, ...] = ()) -> tuple[str, ...]:
    found = PassedOver()
    for path in folder.iterdir():
        found.add(str(path), recordings)
    return found.remarks


def test_other_formats_are_counted_and_named(tmp_path: Path) -> None:
    for name in ("b.m4a", "a.M4A", "c.webm", "d.amr", "notes.txt", "picture.png"):
        (tmp_path / name).write_bytes(AMR)
    (remark,) = remarks(tmp_path)
    assert remark.startswith("4 recordings are passed over, as their formats are not read (2 .m4a")
    assert f"the first is {tmp_path / 'a.M4A'}" in remark
    assert "ffmpeg -i NAME.amr NAME.wav" in remark


def test_sound_without_an_ending_is_named_by_its_content(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "rec1", np.zeros(100), 8000, format="WAV")
    soundfile.write(tmp_path / "rec2.bak", np.zeros(100), 8000, format="FLAC")
    (tmp_path / "other").write_bytes(b"no sound at all")
    (remark,) = remarks(tmp_path)
    assert remark.startswith("2 files are passed over that hold sound by their content")
    assert "1 WAV" in remark and "1 FLAC" in remark and remark.endswith("rename them")


def test_what_was_converted_beside_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(AMR)
    assert remarks(tmp_path, ("a.wav", "b.wav")) == ()
    assert len(remarks(tmp_path, ("b.wav",))) == 1


def test_nothing_to_say_of_documents(tmp_path: Path) -> None:
    for name in ("a.txt", "b.csv", "c", "d.dat"):
        (tmp_path / name).write_bytes(b"plain")
    assert remarks(tmp_path) == ()


def data_set(folder: Path) -> Path:
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            soundfile.write(folder / label / f"{number}.wav", np.zeros(1000) + 0.1, 8000)
        (folder / label / "lost.m4a").write_bytes(AMR)
    return folder


def test_training_and_the_check_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = data_set(tmp_path / "ds")
    manifest = load_manifest(DatasetConfig("folder", str(folder)))
    assert "2 recordings are passed over" in caplog.text and "2 .m4a" in caplog.text
    findings = find(manifest, check_files(manifest, lambda: None))
    assert "2 recordings are passed over" in to_text(findings)
    assert len(to_json(findings)["listing_remarks"]) == 1


def test_background_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, background = data_set(tmp_path / "ds"), tmp_path / "quiet"
    data_set(background)
    load_manifest(DatasetConfig("folder", str(folder), background_dir=str(background)))
    assert f"--background_dir={background}: 2 recordings are passed over" in caplog.text


def test_labelling_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = data_set(tmp_path / "ds")
    with caplog.at_level(logging.WARNING):
        assert len(find_recordings([str(folder)])) == 4
    assert f"--input={folder}: 2 recordings are passed over" in caplog.text
