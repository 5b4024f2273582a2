"""Manifests of the public data sets, UrbanSound8K and ESC-50; audio is never opened."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.datasets import DatasetConfig, load_manifest
from tests.helpers.user_errors import error_of

URBANSOUND8K_COLUMNS = [
    "slice_file_name",
    "fsID",
    "start",
    "end",
    "salience",
    "fold",
    "classID",
    "class",
]
ESC50_COLUMNS = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def urbansound8k(root: Path, clips: Iterable[tuple[int, int, int, str]]) -> Path:
    """Writes a data set of (fsID, fold, classID, class) clips."""
    rows = []
    for take, (source, fold, class_id, label) in enumerate(clips):
        name = f"{source}-{class_id}-0-{take}.wav"
        touch(root / "audio" / f"fold{fold}" / name)
        rows.append((name, source, 0.0, 4.0, 1, fold, class_id, label))
    write_csv(root / "metadata" / "UrbanSound8K.csv", URBANSOUND8K_COLUMNS, rows)
    return root


URBAN_CLIPS = [
    (100, 1, 3, "dog_bark"),
    (100, 1, 3, "dog_bark"),
    (7, 2, 0, "air_conditioner"),
    (8, 10, 0, "air_conditioner"),
]


def esc50(root: Path) -> Path:
    rows = [
        ("1-17-A-40.wav", 1, 40, "helicopter", True, 17, "A"),
        ("1-17-B-40.wav", 1, 40, "helicopter", True, 17, "B"),
        ("2-18-A-0.wav", 2, 0, "dog", True, 18, "A"),
        ("2-19-A-0.wav", 2, 0, "dog", True, 19, "A"),
        ("2-20-A-1.wav", 2, 1, "rooster", False, 20, "A"),
        ("2-20-B-1.wav", 2, 1, "rooster", False, 20, "B"),
    ]
    for row in rows:
        touch(root / "audio" / str(row[0]))
    write_csv(root / "meta" / "esc50.csv", ESC50_COLUMNS, rows)
    return root


def test_urbansound8k(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path / "us8k", URBAN_CLIPS)
    manifest = load_manifest(DatasetConfig("urbansound8k", str(root)))
    assert manifest.name == "urbansound8k"
    assert manifest.classes == ("air_conditioner", "dog_bark")
    assert manifest.folds == (1, 2, 10)
    assert manifest.groups.tolist() == ["100", "100", "7", "8"]
    assert manifest.labels.tolist() == [1, 1, 0, 0]
    assert manifest.clip_seconds == 4.0
    assert manifest.recordings[3].path == str(root / "audio" / "fold10" / "8-0-0-3.wav")
    assert all(os.path.isfile(recording.path) for recording in manifest.recordings)


def test_paths_open_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urbansound8k(tmp_path / "us8k", URBAN_CLIPS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for data_dir in ("us8k", "~/us8k", "us8k/"):
        manifest = load_manifest(DatasetConfig("urbansound8k", data_dir))
        assert all(os.path.isfile(recording.path) for recording in manifest.recordings)


def test_classes_are_ordered_by_id(tmp_path: Path) -> None:
    clips = [(i, 1 + i % 2, i // 2, name) for i, name in enumerate("zzbbaa")]
    root = urbansound8k(tmp_path, clips)
    manifest = load_manifest(DatasetConfig("urbansound8k", str(root)))
    assert manifest.classes == ("z", "b", "a")
    assert manifest.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_esc50_and_its_subset(tmp_path: Path) -> None:
    root = esc50(tmp_path)
    whole = load_manifest(DatasetConfig("esc50", str(root)))
    assert whole.classes == ("dog", "rooster", "helicopter")
    assert whole.labels.tolist() == [2, 2, 0, 0, 1, 1]
    assert whole.clip_seconds == 5.0
    subset = load_manifest(DatasetConfig("esc50", str(root), subset="esc10"))
    assert subset.name == "esc50 (esc10 subset)"
    assert subset.classes == ("dog", "helicopter")
    assert subset.labels.tolist() == [1, 1, 0, 0]
    assert subset.groups.tolist() == ["17", "17", "18", "19"]


def test_esc10_as_published(assets: Path) -> None:
    config = DatasetConfig("esc50", str(assets / "data" / "esc10"), subset="esc10")
    manifest = load_manifest(config)
    assert len(manifest.recordings) == 400
    assert manifest.folds == (1, 2, 3, 4, 5)
    assert np.bincount(manifest.labels).tolist() == [40] * 10
    assert manifest.classes[:2] == ("dog", "rooster")
    for recording in manifest.recordings:
        fold, source, _, target = Path(recording.path).stem.split("-")
        assert recording.fold == int(fold)
        assert recording.group == source
        with open(recording.path, "rb") as file:
            assert file.read(4) == b"RIFF"
        assert manifest.classes.index(recording.label) == sorted(
            {0, 1, 10, 11, 12, 20, 21, 38, 40, 41}
        ).index(int(target))


@pytest.mark.parametrize(
    ("dataset", "site"),
    [
        ("urbansound8k", "urbansounddataset.weebly.com"),
        ("esc50", "github.com/karolpiczak/ESC-50"),
    ],
)
def test_missing_folder_or_metadata_says_where_to_get_the_data(
    tmp_path: Path, dataset: str, site: str
) -> None:
    archive, empty = tmp_path / "archive.tar.gz", tmp_path / "empty"
    touch(archive)
    empty.mkdir()
    for data_dir, words in (
        (tmp_path / "absent", ("does not exist",)),
        (archive, ("not a folder", "unpack")),
        (empty, (".csv",)),
    ):
        config = DatasetConfig(dataset, str(data_dir))
        error_of(partial(load_manifest, config), f"--data_dir={data_dir}", site, *words)


def test_missing_metadata_names_the_folder_that_holds_it(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path / "sounds" / "UrbanSound8K", URBAN_CLIPS)
    for wrong in (root.parent, root / "audio", root / "metadata", root / "audio" / "fold1"):
        error_of(
            partial(load_manifest, DatasetConfig("urbansound8k", str(wrong))),
            "metadata/UrbanSound8K.csv",
            f"use --data_dir={root}",
        )


def test_missing_recordings_are_counted_with_their_lines(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path, [(i, 1, i % 2, "ab"[i % 2]) for i in range(10)])
    for name in ("1-1-0-1.wav", "3-1-0-3.wav", "4-0-0-4.wav", "8-0-0-8.wav"):
        (root / "audio" / "fold1" / name).unlink()
    message = error_of(
        lambda: load_manifest(DatasetConfig("urbansound8k", str(root))),
        "4 of 10",
        "UrbanSound8K.csv",
        "1-1-0-1.wav",
        "(line 3)",
        "(line 5)",
        "(line 6)",
        "--data_dir",
    )
    assert "8-0-0-8.wav" not in message


def test_missing_fold_folder(tmp_path: Path) -> None:
    root = urbansound8k(tmp_path, URBAN_CLIPS)
    (root / "audio" / "fold10").rename(root / "audio" / "fold11")
    error_of(lambda: load_manifest(DatasetConfig("urbansound8k", str(root))), "1 of 4", "fold10")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("x.wav", 5, 0, 4, 1, "two", 0, "a"), ("fold", "'two'", "line 4")),
        (("x.wav", 5, 0, 4, 1, 1, "c", "a"), ("classID", "'c'", "line 4")),
        (("x.wav", 5, 0, 4, 1, 1, 7, "a"), ("classID", "'a'", "7", "line 4")),
        (("x.wav", 5, 0, 4, 1, 1, 0, "b"), ("classID", "'a'", "'b'", "line 4")),
        (("x.wav", "", 0, 4, 1, 1, 0, "a"), ("fsID", "empty", "line 4")),
        (("x.wav", 5, 0, 4, 1, 1), ("line 4", "6 values", "8 columns")),
    ],
)
def test_unusable_metadata_row(tmp_path: Path, row: Sequence[object], words: Sequence[str]) -> None:
    good = [("x.wav", 1, 0, 4, 1, 1, 0, "a"), ("y.wav", 1, 0, 4, 1, 1, 0, "a")]
    for name in ("x.wav", "y.wav"):
        touch(tmp_path / "audio" / "fold1" / name)
    write_csv(tmp_path / "metadata/UrbanSound8K.csv", URBANSOUND8K_COLUMNS, [*good, row])
    config = DatasetConfig("urbansound8k", str(tmp_path))
    error_of(lambda: load_manifest(config), "UrbanSound8K.csv", *words)


def test_metadata_without_a_column(tmp_path: Path) -> None:
    root = esc50(tmp_path)
    write_csv(root / "meta" / "esc50.csv", ["filename", "fold", "Target", "category"], [])
    error_of(
        lambda: load_manifest(DatasetConfig("esc50", str(root))),
        "esc50.csv",
        "'target'",
        "did you mean 'Target'",
        "github.com/karolpiczak/ESC-50",
    )


def test_empty_subset(tmp_path: Path) -> None:
    root = esc50(tmp_path)
    write_csv(root / "meta" / "esc50.csv", ESC50_COLUMNS, [("a.wav", 1, 1, "c", False, 2, "A")])
    error_of(
        lambda: load_manifest(DatasetConfig("esc50", str(root), subset="esc10")),
        "esc50.csv",
        "--subset=esc10",
        "no recordings",
    )
