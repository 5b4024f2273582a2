"""What the folders on the way to a recording say about it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from sound_pipeline.datasets.layout import FolderLayout, Placed, find_layout, part_of
from tests.helpers.user_errors import error_of


def paths(*folders: str, names: Sequence[str] = ("1.wav", "2.wav")) -> list[str]:
    return [f"{folder}/{name}" for folder, name in itertools.product(folders, names)]


def layout_of(*folders: str) -> FolderLayout:
    return find_layout(paths(*folders))


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        *((name, "train") for name in ("train", "TRAIN", "Training", "train_data", "01-train")),
        *((name, "test") for name in ("test", "Test Set", "testset", "holdout")),
        *((name, "validation") for name in ("val", "valid", "Validation", "dev")),
        ("eval", "evaluation"),
        *((name, "") for name in ("trains", "contest", "invalid", "dog", "data", "set", "", "5")),
    ],
)
def test_part_of(folder: str, part: str) -> None:
    assert part_of(folder) == part


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "test"), ("train", "test")),
        (("Training", "VAL"), ("train", "validation")),
        (("test", "train", "valid"), ("train", "validation", "test")),
        (("train", "evaluation"), ("train", "evaluation")),
        (("train", "eval", "test"), ("train", "evaluation", "test")),
    ],
)
def test_parts_above_classes_and_below(folders: Sequence[str], parts: Sequence[str]) -> None:
    for pattern in ("{}/dog", "dog/{}"):
        layout = layout_of(
            *(pattern.format(folder) for folder in folders),
            *(pattern.format(folder).replace("dog", "cat") for folder in folders),
        )
        assert layout.division.parts == parts
        for folder in folders:
            path = f"{pattern.format(folder)}/1.wav"
            fold = 1 + parts.index(part_of(folder))
            assert layout.place(path) == Placed("dog", fold, path)


def test_folds_above_classes() -> None:
    layout = layout_of("fold1/dog", "fold1/cat", "Fold_10/dog", "Fold_10/cat")
    assert layout.division.parts == ()
    assert layout.place("Fold_10/cat/1.wav") == Placed("cat", 10, "Fold_10/cat/1.wav")


@pytest.mark.parametrize(
    "folders",
    [
        ("train", "bus"),
        ("train/steam", "train/diesel", "bus/a", "bus/b"),
        ("train/a", "bus", "test"),
        ("dog", "cat"),
        ("dog/train", "dog/test", "cat"),
        ("dog/train", "dog/test", "cat/other"),
        ("valid", "invalid"),
        ("fold1", "fold2"),
    ],
)
def test_classes_that_only_sound_like_parts(folders: Sequence[str]) -> None:
    layout = layout_of(*folders)
    assert not layout.division.folds
    for folder in folders:
        placed = layout.place(f"{folder}/1.wav")
        assert placed is not None and placed.label == folder.split("/")[0]


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("train", "test"), ("'test', 'train'", "folders of classes")),
        (("train/dog", "train/cat", "test"), ("'test'", "folders of classes")),
        (("train/dog", "test/dog", "noise"), ("'noise'", "move it away")),
        (("val/dog", "test/dog"), ("'test', 'val'", "rename that one to train")),
        (("train/dog", "train/cat"), ("'train'", "name that folder")),
    ],
)
def test_parts_that_can_not_be_taken_for_any(folders: Sequence[str], words: Sequence[str]) -> None:
    error_of(lambda: layout_of(*folders), *words)


def test_what_lies_beside_the_classes_is_counted_and_named() -> None:
    loose = [f"{number}.wav" for number in range(5)]
    layout = find_layout([*loose, *paths("dog", "cat")])
    assert (layout.loose, layout.loose_names) == (5, ("0.wav", "1.wav", "2.wav"))
    assert layout.place("0.wav") is None
    layout = find_layout(["train/0.wav", *paths("train/dog", "test/dog")])
    assert (layout.loose, layout.loose_names) == (1, ("train/0.wav",))
    assert layout.place("train/0.wav") is None


def groups(found: Sequence[str]) -> list[str]:
    layout = find_layout(found)
    placed = [layout.place(path) for path in found]
    return [each.group for each in placed if each]


def test_cuts_are_of_one_source_by_name_in_all_classes_with_the_whole_recording() -> None:
    found = [
        "dog/yard_000020.9_dog.wav",
        "dog/yard_000044.120_dog-2.wav",
        "cat/yard_000001.000_cat.wav",
        "cat/yard.flac",
        "cat/other.wav",
    ]
    assert groups(found) == ["yard"] * 4 + ["cat/other.wav"]
    assert find_layout(found).grouping == (
        "told apart by names of cuts, such as SOURCE_SECONDS_LABEL.wav; other files are their own"
    )


def test_folders_below_classes_are_sources() -> None:
    found = ["dog/yard/1.wav", "dog/yard/2.wav", "dog/deep/er/1.wav", "dog/1.wav", "cat/yard/1.wav"]
    assert groups(found) == ["dog/yard", "dog/yard", "dog/deep/er", "dog/1.wav", "cat/yard"]
    assert "folders below" in find_layout(found).grouping
    assert groups(paths("dog/yard", "cat/road")) == ["dog/yard"] * 2 + ["cat/road"] * 2


def test_a_folder_that_all_classes_have_is_no_source() -> None:
    found = paths("dog/wav", "cat/wav")
    assert groups(found) == found
    assert find_layout(found).grouping.startswith("each file its own")
    found = paths("train/dog/wav", "test/dog/wav")
    assert groups(found) == found
