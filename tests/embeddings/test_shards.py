"""Shares embedded apart and merged: the store of one process, bit for bit, or a named gap."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.embeddings import jobs, shard_files
from sound_pipeline.embeddings.embed import embed_recordings, open_store
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.embeddings.shards import embed_shard, merge_shards
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.gabor import GaborExtractor
from tests.helpers.sound_folders import SHORT
from tests.helpers.tiny_models import LoudnessExtractor
from tests.helpers.user_errors import error_of

OF = 4
BROKEN = (20, 31)


class Loudness(LoudnessExtractor):
    """Only a name for what `by_bytes` makes."""

    def __init__(self) -> None:
        super().__init__(SHORT)


@pytest.fixture(autouse=True)
def by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a stub in place of decoding and extracting, whose results come in any order.

    What a file holds decides its rows; one in twenty has a number beyond float16.
    """

    def embed_stub(paths: Sequence[str], *_: object) -> Iterator[tuple[int, np.ndarray | str, str]]:
        for position in np.random.default_rng(len(paths)).permutation(len(paths)).tolist():
            content = Path(paths[position]).read_bytes()
            if content.startswith(b"broken"):
                yield position, "it is broken", ""
                continue
            random = np.random.default_rng(list(content))
            rows = random.normal(size=(random.integers(1, 4), 5)).astype(np.float32)
            rows[0, 0] *= 1e6 if random.random() < 0.05 else 1
            yield position, rows, ""

    monkeypatch.setattr(jobs, "_embed", embed_stub)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Forty files: some alike, two that can't be read."""
    (tmp_path / "sounds").mkdir()
    for number in range(40):
        broken = number in BROKEN
        (tmp_path / f"sounds/{number:02d}").write_text(f"{'broken ' * broken}{number % 35}")
    return sorted(str(path) for path in (tmp_path / "sounds").iterdir())


def embed(paths: Sequence[str], share: Shard, directory: Path, cache: str = "own") -> Path:
    """Each share with a cache of its own, as on a machine of its own."""
    own = list(share.take(paths))
    settings = EmbeddingSettings(directory / cache / str(share.number))
    return embed_shard(own, share, Loudness(), directory, settings)


def embed_all(paths: Sequence[str], directory: Path, of: int = OF) -> None:
    for number in np.random.default_rng(0).permutation(of) + 1:
        embed(paths, Shard(int(number), of), directory)


def merge(paths: Sequence[str], directory: Path, max_bad_clips: float = 0.2) -> int:
    settings = EmbeddingSettings(directory / "merged", max_bad_clips)
    return merge_shards(paths, Loudness(), directory, settings)


def stored(paths: Sequence[str], cache: Path) -> list[bytes]:
    """The bytes that a store keeps of each recording, empty for none."""
    kept = open_store(cache, Loudness(), "float32").find(content_keys(paths, cache))
    found = []
    for position, is_kept in enumerate(kept.is_kept):
        start, count = kept.start[position], kept.windows[position]
        rows = kept.parts[kept.part[position]][start : start + count] if is_kept else np.zeros(0)
        found.append(rows.tobytes())
    return found


def files_of(directory: Path) -> dict[str, bytes]:
    (folder,) = {path.parent for path in directory.glob("*/made_by.json")} - {directory / "merged"}
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_merged_shares_are_the_store_of_one_process(tmp_path: Path, paths: list[str]) -> None:
    shards_dir = tmp_path / "shards"
    embed_all(paths, shards_dir)
    assert merge(paths, shards_dir) == len(paths) - 2
    embed_recordings(paths, Loudness(), EmbeddingSettings(tmp_path / "alone", 0.2))
    alone = stored(paths, tmp_path / "alone")
    assert stored(paths, shards_dir / "merged") == alone
    assert [number for number, rows in enumerate(alone) if not rows] == list(BROKEN)
    store = open_store(shards_dir / "merged", Loudness(), "float32").directory
    kept = np.concatenate([np.load(part)["keys"] for part in store.glob("*.npz")]).tolist()
    assert len(kept) == len(set(kept)), "what several shards hold is kept once"

    # Nothing is left to do for training, nor for another merge.
    parts = set((shards_dir / "merged").rglob("*.npy"))
    merge(paths, shards_dir)
    embed_recordings(paths, Loudness(), EmbeddingSettings(shards_dir / "merged", 0.2))
    assert set((shards_dir / "merged").rglob("*.npy")) == parts


def test_a_shard_has_the_same_bytes_whenever_it_is_made(tmp_path: Path, paths: list[str]) -> None:
    for name in ("one", "two"):
        embed(paths, Shard(2, OF), tmp_path / name)
    one = files_of(tmp_path / "one")
    assert one == files_of(tmp_path / "two")
    assert sorted(Path(name).suffix for name in one) == [".json", ".json", ".tfrecord"]

    (records,) = (tmp_path / "one").rglob("*.tfrecord")
    about = records.stat()
    assert embed(paths, Shard(2, OF), tmp_path / "one", "another") == records
    assert records.stat().st_mtime_ns == about.st_mtime_ns, "there already: not written again"
    records.write_bytes(records.read_bytes()[:-1])
    embed(paths, Shard(2, OF), tmp_path / "one", "another")
    assert files_of(tmp_path / "one") == one


def test_a_write_that_fails_leaves_the_shard_as_it_was(
    tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(paths, Shard(1, OF), tmp_path / "shards")
    before = files_of(tmp_path / "shards")
    Path(paths[0]).write_text("changed")

    replace = os.replace

    def disk_full(aside: Path, path: Path) -> None:
        if path.suffix == ".tfrecord":
            raise OSError(28, "No space left on device")
        replace(aside, path)

    with monkeypatch.context() as patches:
        patches.setattr(os, "replace", disk_full)
        error_of(
            lambda: embed(paths, Shard(1, OF), tmp_path / "shards"), "--shards_dir", "No space"
        )
    after = files_of(tmp_path / "shards")
    assert {name: after[name] for name in before} == before

    embed(paths, Shard(1, OF), tmp_path / "shards")
    changed = files_of(tmp_path / "shards")
    assert len([name for name in changed if name.endswith(".tfrecord")]) == 1
    assert changed["00001-of-00004.json"] != before["00001-of-00004.json"]


def test_what_was_abandoned_goes_and_what_another_process_writes_stays(
    tmp_path: Path, paths: list[str]
) -> None:
    records = embed(paths, Shard(1, OF), tmp_path)
    old, new = (records.with_name(f".{records.name}.{digit * 32}.partial") for digit in "01")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    records.unlink()
    embed(paths, Shard(1, OF), tmp_path)
    assert records.exists() and new.exists() and not old.exists()


def test_gaps_are_named(tmp_path: Path, paths: list[str]) -> None:
    error_of(lambda: merge(paths, tmp_path), f"--shards_dir={tmp_path}", "holds no shards; run")
    embed_all(paths, tmp_path)
    for number in (2, 4):
        next(tmp_path.rglob(f"0000{number}-of-00004.json")).unlink()
    error_of(lambda: merge(paths, tmp_path), "2 of 4 shards are missing; run --shard=2/4, 4/4")
    assert not list((tmp_path / "merged").rglob("*.npy")), "nothing is merged by halves"


def test_two_divisions_overlap(tmp_path: Path, paths: list[str]) -> None:
    embed_all(paths, tmp_path)
    embed(paths, Shard(1, 3), tmp_path)
    error_of(lambda: merge(paths, tmp_path), "shards of 3 and of 4, which overlap; delete")


def test_a_copy_of_a_shard_is_no_other_shard(tmp_path: Path, paths: list[str]) -> None:
    embed_all(paths, tmp_path)
    (one,) = tmp_path.rglob("00001-of-00004.json")
    shutil.copy(one, one.with_name("00002-of-00004.json"))
    error_of(lambda: merge(paths, tmp_path), "00002-of-00004.json: is a copy of the shard 1/4")


def test_recordings_that_changed_or_came_are_noticed(tmp_path: Path, paths: list[str]) -> None:
    embed_all(paths, tmp_path)
    error_of(lambda: merge(paths[1:], tmp_path), "4 of 4 shards are of other recordings")
    Path(paths[5]).write_text("changed")
    error_of(lambda: merge(paths, tmp_path), "1 of 4 shards are of other", "run again --shard=2/4")
    embed_all(paths, tmp_path)
    merge(paths, tmp_path)


def test_shards_of_another_configuration_are_named(tmp_path: Path, paths: list[str]) -> None:
    embed_all(paths, tmp_path)
    error_of(
        lambda: merge_shards(
            paths, Loudness(), tmp_path, EmbeddingSettings(tmp_path / "m", 0.2), "bfloat16"
        ),
        "no shards of this configuration",
        "precision 'float32' rather than 'bfloat16'",
    )
    other = GaborExtractor(SHORT)
    error_of(
        lambda: merge_shards(paths, other, tmp_path, EmbeddingSettings(tmp_path / "m", 0.2)),
        f"rather than '{other.fingerprint}'",
    )


@pytest.mark.parametrize("suffix", ["json", "tfrecord"])
def test_damage_is_named(tmp_path: Path, paths: list[str], suffix: str) -> None:
    embed_all(paths, tmp_path)
    file = next(path for path in tmp_path.rglob(f"00003-of-*.{suffix}"))
    content = file.read_bytes()
    for damaged in (b"", content[:-9], b"#" + content[1:]):
        file.write_bytes(damaged)
        error_of(lambda: merge(paths, tmp_path), f"{file}: damaged", "--shard=3/4 again")
    file.unlink()
    with pytest.raises(UserError, match=r"damaged|missing"):
        merge(paths, tmp_path)


@pytest.mark.slow
def test_how_many_may_be_unreadable_is_said_of_all(tmp_path: Path, paths: list[str]) -> None:
    # Alone in its share, one that can't be read is all of it.
    of = len(paths)
    embed_all(paths, tmp_path, of)
    error_of(
        lambda: merge(paths, tmp_path, 0.04),
        f"at least 2 of {of}",
        paths[BROKEN[0]],
        "--max_bad_clips",
    )
    assert merge(paths, tmp_path, 0.2) == of - 2


def test_what_float16_cannot_hold_is_kept_whole_in_every_share(tmp_path: Path) -> None:
    keys = np.array([b"a" * 32, b"b" * 32])
    values = {bytes(keys[0]): np.full((2, 3), 1e6, np.float32)}
    values[bytes(keys[1])] = np.full((1, 3), 0.1, np.float32)
    together = open_store(tmp_path / "together", Loudness(), "float32")
    together.add(values)
    kept = together.find(keys)
    entry = shard_files.write_shard(tmp_path, Shard(1, 1), keys, kept, {}, "{}")
    read = dict(shard_files.read_shard(tmp_path, entry))
    np.testing.assert_array_equal(read[bytes(keys[0])], values[bytes(keys[0])])
    # As it would be without its neighbour.
    np.testing.assert_array_equal(
        read[bytes(keys[1])], values[bytes(keys[1])].astype(np.float16).astype(np.float32)
    )
    records = tf.data.TFRecordDataset(str(tmp_path / entry.records)).as_numpy_iterator()
    formats = [
        tf.train.Example.FromString(record).features.feature["dtype"].bytes_list.value[0]
        for record in records
    ]
    assert formats == [b"<f4", b"<f2"]
    assert json.loads((tmp_path / shard_files.MADE_BY).read_text()) == {}
