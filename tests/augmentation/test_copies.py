"""Augmented copies: planned by content, and never of what is tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.copies import NO_COPIES, Copies, backgrounds_beside
from sound_pipeline.datasets import DatasetConfig, Manifest, load_manifest
from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.datasets.splits import SplitConfig, make_splits
from tests.helpers.sound_folders import write_folder
from tests.helpers.sounds import noise, write_wav

CONFIG = AugmentationConfig()


def keys_of(*contents: str) -> Keys:
    return np.array([content.ljust(32, "0").encode() for content in contents])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("sounds")
    write_folder(folder / "sounds", 6)
    (folder / "background").mkdir()
    for number in range(7):
        write_wav(folder / "background" / f"{number}.wav", noise(4000, seed=number), 8000)
    return load_manifest(
        DatasetConfig("folder", str(folder / "sounds"), background_dir=str(folder / "background"))
    )


def test_a_copy_depends_on_content_and_number_alone() -> None:
    copies = Copies(3, CONFIG)
    plan, keys = copies.plan(1, ["a", "b", "a again"], keys_of("a", "b", "a"))
    assert plan.config == CONFIG
    assert plan.seeds.shape == (3, 2) and plan.seeds.dtype == np.int32
    assert plan.seeds[0].tolist() == plan.seeds[2].tolist() != plan.seeds[1].tolist()
    assert list(plan.backgrounds) == ["", "", ""]
    np.testing.assert_array_equal(keys, keys_of("a", "b", "a"))
    alone, _ = copies.plan(1, ["b, elsewhere"], keys_of("b"))
    assert alone.seeds[0].tolist() == plan.seeds[1].tolist()
    second, _ = copies.plan(2, ["b"], keys_of("b"))
    assert second.seeds[0].tolist() != alone.seeds[0].tolist()
    assert plan.of(np.array([1])).seeds.tolist() == [plan.seeds[1].tolist()]


def test_keys_tell_what_is_mixed_in() -> None:
    paths = ["a", "b", "noise", "hum"]
    keys = keys_of("a", "b", "n", "h")
    both = Copies(1, CONFIG, [("noise", "hum"), (), ("noise",), ("gone",)])
    plan, found = both.plan(1, paths, keys)
    assert plan.backgrounds[0] in ("noise", "hum")
    assert list(plan.backgrounds[1:]) == ["", "noise", ""]
    same = found == keys
    assert same.tolist() == [False, True, False, True]
    assert len(set(found.tolist())) == 4
    other, others = both.plan(1, paths, keys_of("a", "b", "changed", "changed too"))
    assert other.backgrounds[0] == plan.backgrounds[0]
    assert others[0] != found[0]
    assert both.of(np.array([2, 0])).backgrounds == [("noise",), ("noise", "hum")]


def test_every_background_is_chosen() -> None:
    names = [f"{number}" for number in range(4)]
    paths = [f"sound {number}" for number in range(60)]
    copies = Copies(1, CONFIG, [names] * 64)
    plan, _ = copies.plan(1, names + paths, keys_of(*names, *paths))
    assert set(plan.backgrounds) == set(names)


@pytest.mark.parametrize("protocol", ["grouped", "random", "holdout"])
def test_backgrounds_are_tested_where_the_recordings_are(manifest: Manifest, protocol: str) -> None:
    splits = make_splits(manifest, SplitConfig(protocol, folds=3))
    beside = backgrounds_beside(manifest, splits)
    paths = [recording.path for recording in manifest.recordings]
    assert len(beside) == len(paths)
    found = 0
    for position, candidates in enumerate(beside):
        for candidate in candidates:
            other = paths.index(candidate)
            assert manifest.recordings[other].label == "background"
            for split in splits:
                assert (position in split.test) == (other in split.test)
            found += 1
    assert found > len(paths)


def test_without_background_there_is_none(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "sounds", 4)
    manifest = load_manifest(DatasetConfig("folder", str(folder)))
    beside = backgrounds_beside(manifest, make_splits(manifest, SplitConfig("grouped", folds=2)))
    assert [len(candidates) for candidates in beside] == [0] * 12


def test_no_copies_of_any_part_are_none() -> None:
    assert NO_COPIES.of(np.array([3, 1])) == NO_COPIES
