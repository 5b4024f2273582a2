"""A class of background: added last, dealt to the folds, refused where it can't be meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sound_pipeline.datasets import BACKGROUND, DatasetConfig, Manifest, load_manifest
from sound_pipeline.datasets.splits import SplitConfig, make_splits
from sound_pipeline.errors import UserError
from tests.e2e import tiny_data


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def sounds(folder: Path) -> Path:
    return touch(
        folder, *(f"{label}/{number}.wav" for label in ("bark", "zap") for number in "123")
    )


def load(folder: Path, background: Path) -> Manifest:
    return load_manifest(DatasetConfig("folder", str(folder), background_dir=str(background)))


def test_is_a_last_class_of_single_sources(tmp_path: Path) -> None:
    silence = touch(tmp_path / "quiet", "a.wav", "night/b.flac", "night/notes.txt", "c.MP3")
    manifest = load(sounds(tmp_path / "sounds"), silence)
    assert manifest.classes == ("bark", "zap", BACKGROUND)
    added = manifest.recordings[6:]
    assert {Path(recording.path).name for recording in added} == {"a.wav", "b.flac", "c.MP3"}
    assert {recording.label for recording in added} == {BACKGROUND}
    assert len({recording.group for recording in manifest.recordings}) == 9
    assert {recording.fold for recording in added} == {None}
    assert manifest.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_is_dealt_evenly_to_the_folds_of_the_data_set(tmp_path: Path) -> None:
    data = tiny_data.write_esc50(tmp_path / "esc50", folds=3, clips=2)
    silence = touch(tmp_path / "quiet", *(f"{number}.wav" for number in range(8)))
    config = DatasetConfig("esc50", str(data), background_dir=str(silence))
    manifest = load_manifest(config)
    folds = Counter(r.fold for r in manifest.recordings if r.label == BACKGROUND)
    assert sorted(folds) == [1, 2, 3] and sorted(folds.values()) == [2, 3, 3]
    assert len(make_splits(manifest, SplitConfig("folds"))) == 3
    assert load_manifest(config) == manifest


def test_cuts_of_one_recording_stay_in_one_fold(tmp_path: Path) -> None:
    data = tiny_data.write_esc50(tmp_path / "esc50", folds=3, clips=2)
    silence = touch(
        tmp_path / "quiet",
        *(f"{night}_00000{n}.000_rain.wav" for night in ("mon", "tue", "wed") for n in range(4)),
    )
    manifest = load_manifest(DatasetConfig("esc50", str(data), background_dir=str(silence)))
    added = [r for r in manifest.recordings if r.label == BACKGROUND]
    assert sorted(Counter(r.group for r in added).items()) == [("mon", 4), ("tue", 4), ("wed", 4)]
    assert len({(r.group, r.fold) for r in added}) == 3 == len({r.fold for r in added})


def test_is_refused_where_it_can_not_be_meant(tmp_path: Path) -> None:
    folder = sounds(tmp_path / "sounds")
    lonely = touch(tmp_path / "lonely", "a.wav", "b.txt")
    for background, words in (
        (tmp_path / "gone", "is not a folder"),
        (touch(tmp_path / "empty", "b.txt"), "holds no recordings"),
        (lonely, "holds one recording"),
        (folder / "zap", "1.wav is a recording of folder (sounds) too"),
    ):
        with pytest.raises(UserError, match="--background_dir=") as caught:
            load(folder, background)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    touch(folder, "background/1.wav", "background/2.wav")
    with pytest.raises(UserError, match="has a class 'background' of its own"):
        load(folder, touch(lonely, "c.wav"))


def test_does_not_make_up_for_a_class_that_is_lacking(tmp_path: Path) -> None:
    silence = touch(tmp_path / "quiet", "1.wav", "2.wav")
    lonely = touch(tmp_path / "lonely", "bark/1.wav", "bark/2.wav")
    with pytest.raises(UserError, match="holds only one class, 'bark'"):
        load(lonely, silence)
    with pytest.raises(UserError, match="holds no recordings: add at least two for each class"):
        load(touch(tmp_path / "none", "1.wav"), silence)


def test_a_recording_listed_in_other_letters_is_found_among_the_background(tmp_path: Path) -> None:
    sounds(tmp_path)
    (tmp_path / "list.csv").write_text(
        "path,label\nbark/1.wav,bark\nbark/2.wav,bark\nzap/1.WAV,zap\nzap/2.wav,zap\n"
    )
    config = DatasetConfig(
        "csv",
        "",
        manifest=str(tmp_path / "list.csv"),
        background_dir=str(tmp_path / "bark" / ".." / "zap"),
    )
    with pytest.raises(UserError, match=r"1\.wav is a recording of csv \(list\.csv\) too"):
        load_manifest(config)
