"""Lists of recordings are read one by one: what is held of them, and what a share makes of them."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from sound_pipeline.datasets import DatasetConfig, folders, load_manifest, load_shard, loading
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.datasets.sources import list_recordings
from tests.e2e import tiny_data
from tests.helpers.user_errors import error_of


def touch(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def csv_of(folder: Path, lines: Iterable[str], name: str = "list.csv") -> DatasetConfig:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DatasetConfig("csv", "", manifest=str(folder / name))


# ---- Shares ----------------------------------------------------------------------------------


def of_folders(root: Path) -> DatasetConfig:
    names = ["a/1.wav", "a/b/2.wav", "a/b-c/1.wav", "a/b.wav", "B/Ü.wav", "B/z.wav", "c/1", "c/2"]
    return DatasetConfig("folder", str(touch(root, (f"{name}.wav" for name in names))))


def of_folders_beside_background(root: Path) -> DatasetConfig:
    config = of_folders(root / "sounds")
    quiet = touch(root / "quiet", ("1.wav", "night/2.wav", "3.wav"))
    return DatasetConfig("folder", config.data_dir, background_dir=str(quiet))


def of_esc50(root: Path) -> DatasetConfig:
    return DatasetConfig("esc50", str(tiny_data.write_esc50(root, folds=3, clips=2)))


def of_a_subset_beside_background(root: Path) -> DatasetConfig:
    data = tiny_data.write_esc50(root / "data", folds=3, clips=2)
    metadata = data / "meta" / "esc50.csv"
    header, *lines = metadata.read_text().splitlines()
    kept = [line for number, line in enumerate(lines) if number % 5]
    rest = [line.replace("True", "False") for number, line in enumerate(lines) if not number % 5]
    metadata.write_text("\n".join([header, *rest, *kept]) + "\n")
    quiet = touch(root / "quiet", (f"{number}.wav" for number in range(5)))
    return DatasetConfig("esc50", str(data), subset="esc10", background_dir=str(quiet))


def of_urbansound8k_less_a_class(root: Path) -> DatasetConfig:
    lines = ["slice_file_name,fsID,fold,classID,class"]
    for number in range(12):
        fold, class_id = 1 + number % 2, number // 4
        touch(root, [f"audio/fold{fold}/{number}.wav"])
        lines.append(f"{number}.wav,{number},{fold},{class_id},class{class_id}")
    csv_of(root / "metadata", lines, "UrbanSound8K.csv")
    return DatasetConfig("urbansound8k", str(root), unknown_classes=("class1",))


def of_patterns_in_several_files(root: Path) -> DatasetConfig:
    touch(root, (f"{label}/{number}.wav" for label in ("cat", "dog") for number in range(5)))
    csv_of(root, ["path,label,fold", "dog/4.wav,dog,2", "cat/*.wav,cat,1"], "1.csv")
    csv_of(root, ["path,label,fold", "DOG/3.wav,dog,1", "dog/[0-2]?wav,dog,2"], "2.csv")
    (root / "2.csv").write_text((root / "2.csv").read_text().replace("DOG/3", "dog\\3"))
    return DatasetConfig("csv", "", manifest=str(root / "*.csv"))


@pytest.mark.parametrize(
    "write",
    [
        of_folders,
        of_folders_beside_background,
        of_esc50,
        of_a_subset_beside_background,
        of_urbansound8k_less_a_class,
        of_patterns_in_several_files,
    ],
)
def test_shares_are_at_their_positions_in_the_manifest(
    tmp_path: Path, write: Callable[[Path], DatasetConfig]
) -> None:
    config = write(tmp_path)
    manifest = load_manifest(config)
    paths = list(manifest.paths)
    assert len(set(paths)) == len(paths) >= 8
    assert all(map(os.path.isfile, paths))
    for of in (1, 2, 3, len(paths)):
        for number in range(1, of + 1):
            share = Shard(number, of)
            own = [paths[position] for position in share.positions(len(paths))]
            assert list(load_shard(config, share)) == own
    too_many = Shard(len(paths) + 1, len(paths) + 1)
    error_of(lambda: load_shard(config, too_many), f"only {len(paths)} recordings; divide by less")


def test_a_share_looks_for_its_own_files(tmp_path: Path) -> None:
    config = csv_of(tmp_path, ["path,label", "a.wav,cat", "gone.wav,cat", "b.wav,dog"])
    touch(tmp_path, ["a.wav", "b.wav"])
    assert [os.path.basename(path) for path in load_shard(config, Shard(1, 2))] == [
        "a.wav",
        "b.wav",
    ]
    error_of(lambda: load_shard(config, Shard(2, 2)), "1 of 1 files", "gone.wav' (line 3)")
    error_of(lambda: load_manifest(config), "1 of 3 files", "gone.wav' (line 3)")


def test_what_takes_all_recordings_to_tell_is_left_to_the_manifest(tmp_path: Path) -> None:
    config = csv_of(tmp_path, ["path,label", "a.wav,cat", "./a.wav,dog"])
    touch(tmp_path, ["a.wav"])
    for number in (1, 2):
        assert len(load_shard(config, Shard(number, 2))) == 1
    error_of(lambda: load_shard(config, Shard(1, 1)), "line 3", "is on line 2 already")
    error_of(lambda: load_manifest(config), "line 3", "is on line 2 already")


# ---- One by one ------------------------------------------------------------------------------


def test_what_is_wrong_in_the_last_line_is_met_there(tmp_path: Path) -> None:
    good = [f"{number}.wav,cat,{number}" for number in range(1000)]
    config = csv_of(tmp_path, ["path,label,fold", *good, "last.wav,cat,x"])
    stream = list_recordings(config).stream()
    for number in range(1000):
        assert next(stream).recording.fold == number
    error_of(lambda: next(stream), "line 1002: fold is 'x'")
    for number in (1, 64):
        error_of(lambda number=number: load_shard(config, Shard(number, 64)), "line 1002")


def test_a_list_is_read_anew_each_time(tmp_path: Path) -> None:
    config = of_patterns_in_several_files(tmp_path)
    listing = list_recordings(config)
    first = next(listing.stream())
    assert [first, *list(listing.stream())[1:]] == list(listing.stream())


def test_files_are_told_apart_though_their_hashes_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{number}.wav,{'cat' if number % 2 else 'dog'}" for number in range(20)]
    config = csv_of(tmp_path, ["path,label", *lines])
    touch(tmp_path, (f"{number}.wav" for number in range(20)))
    expected = load_manifest(config)
    for module in (loading, folders):
        monkeypatch.setattr(module, "hash", lambda text: len(text) % 2, raising=False)
    assert load_manifest(config) == expected
    csv_of(tmp_path, ["path,label", *lines, "./7.wav,dog", "8.wav,dog"])
    error_of(lambda: load_manifest(config), "line 22: ", "./7.wav", "on line 9 already")


def test_lines_of_patterns_are_named(tmp_path: Path) -> None:
    touch(tmp_path, ["a1.wav", "a2.wav", "b1.wav", "b2.wav"])
    config = csv_of(tmp_path, ["path,label", "b1.wav,b", "", "a*.wav,a", "b2.wav,b", "*2.wav,a"])
    error_of(lambda: load_manifest(config), "line 6: ", "a2.wav' is on line 4 already")


# ---- Memory ----------------------------------------------------------------------------------

ROWS = 30_000


def peak_of(action: Callable[[], object]) -> float:
    """The most bytes that are held at a time, by the number of rows."""
    tracemalloc.start()
    try:
        kept = action()
        assert kept is not None
        return tracemalloc.get_traced_memory()[1] / ROWS
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def long_list(tmp_path_factory: pytest.TempPathFactory) -> DatasetConfig:
    """A CSV of paths of 50 characters; every hundredth names a file."""
    root = tmp_path_factory.mktemp("long")
    width = 50 - len(str(root)) - len("/0/.wav")
    names = [f"{number % 10}/{number:0{max(width, 5)}d}.wav" for number in range(ROWS)]
    touch(root, names[::100])
    lines = (f"{name},class {number % 7}" for number, name in enumerate(names))
    return csv_of(root, ["path,label", *lines])


@pytest.mark.slow
def test_a_manifest_holds_columns_alone(long_list: DatasetConfig) -> None:
    # As lists of rows and of recordings it was 676.
    assert peak_of(lambda: load_manifest(long_list, require_files=False)) < 200


def test_a_share_holds_its_own(long_list: DatasetConfig) -> None:
    assert peak_of(lambda: load_shard(long_list, Shard(1, 100))) < 10
