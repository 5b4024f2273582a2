"""Shards of a data set's embeddings as files, made by machines that know nothing of each other.

A shard is a TFRecord file and its manifest entry, a JSON file written after it: where the entry
is, the records are whole. Both are written aside (see atomic_files.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.embeddings.store import RowLocations, compact
from sound_pipeline.errors import UserError, check, first_line
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside

MADE_BY = "made_by.json"
# Contents whose rows are in memory at once.
_AT_ONCE = 256
_READ_BYTES = 1 << 20
_ENTRY_NAME = re.compile(r"(\d{5})-of-(\d{5})\.json")


@dataclasses.dataclass(frozen=True)
class ShardManifest:
    """Manifest entry of a shard.

    Attributes:
      shard: which part of the recordings it holds.
      keys: of their contents, in the order of the recordings.
      unreadable: reason by position in the shard, of those that can't be read.
      records: the TFRecord file's name, beside the entry.
      sha256: of that file, hexadecimal.
    """

    shard: Shard
    keys: tuple[str, ...]
    unreadable: dict[int, str]
    records: str
    sha256: str


def write_shard(
    directory: Path,
    shard: Shard,
    keys: Keys,
    kept: RowLocations,
    unreadable: dict[int, str],
    made_by: str,
) -> ShardManifest:
    """Writes a shard in place of an earlier one of the same shard.

    The bytes depend on the arguments alone. Each content is in it once, at its first recording.

    Args:
      directory: of the shards made in the same way; made if missing.
      shard: which part of the recordings.
      keys: of the contents of the shard's recordings, in order.
      kept: where a store has their embeddings.
      unreadable: reason by position in the shard, of those that it has not.
      made_by: what decides the embeddings, as text; goes to the folder's `MADE_BY`, for people.

    Raises:
      UserError: the directory can't be written.
    """
    digest = hashlib.sha256(b"\n".join(keys.tolist())).hexdigest()[:24]
    path = directory / f"{shard.name}-{digest}.tfrecord"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / MADE_BY, made_by)
        with written_aside(path, "wb") as file:
            with tf.io.TFRecordWriter(file.name) as writer:
                for record in _records(keys, kept):
                    writer.write(record)
            sha256 = _sha256(Path(file.name))
        entry = ShardManifest(
            shard, tuple(keys.astype(str).tolist()), unreadable, path.name, sha256
        )
        _write(directory / f"{shard.name}.json", _to_json(entry))
        _remove_earlier_records(directory, shard, path.name)
        remove_abandoned(directory)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"--shards_dir: {directory} can't be written ({first_line(error)}); give a folder "
            "that can"
        ) from error
    return entry


def read_manifest(directory: Path, shard: Shard) -> ShardManifest | None:
    """Manifest entry of a shard, or None where there is none.

    Raises:
      UserError: it is damaged, or that of another shard.
    """
    path = directory / f"{shard.name}.json"
    try:
        entry = _from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: damaged ({first_line(error)}); delete it and run --shard={shard} again"
        ) from error
    check(
        entry.shard == shard,
        f"{path}: is a copy of the shard {entry.shard}; delete it and run --shard={shard}",
    )
    return entry


def shards_in(directory: Path) -> list[Shard]:
    """Shards that a folder has entries of, by number."""
    names = [_ENTRY_NAME.fullmatch(path.name) for path in sorted(directory.glob("*.json"))]
    return [Shard(int(name[1]), int(name[2])) for name in names if name]


def is_whole(directory: Path, entry: ShardManifest) -> bool:
    """Whether the records of an entry are there, as they were written."""
    records = directory / entry.records
    return records.is_file() and _sha256(records) == entry.sha256


def read_shard(directory: Path, entry: ShardManifest) -> Iterator[tuple[bytes, Floats]]:
    """Yields key and embeddings, float32 [windows, D], of each content of a shard.

    Raises:
      UserError: its records are missing or damaged.
    """
    records = directory / entry.records
    damaged = f"{records}: damaged; run --shard={entry.shard} again"
    check(is_whole(directory, entry), damaged)
    for record in tf.data.TFRecordDataset(str(records)).as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        dtype = np.dtype(example["dtype"].bytes_list.value[0].decode())
        values = np.frombuffer(example["embeddings"].bytes_list.value[0], dtype)
        rows = values.reshape(example["shape"].int64_list.value)
        yield example["key"].bytes_list.value[0], rows.astype(np.float32)


def _records(keys: Keys, kept: RowLocations) -> Iterator[bytes]:
    """Contents that are kept, each once, as tf.train.Example messages."""
    _, first = np.unique(keys, return_index=True)
    found = np.sort(first[kept.is_kept[first]])
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        windows = kept.windows[some]
        every = kept.rows(some, np.zeros_like(windows), windows)[:]
        for position, rows in zip(some, np.split(every, np.cumsum(windows)[:-1]), strict=True):
            yield _record(bytes(keys[position]), compact(rows))


def _record(key: bytes, rows: npt.NDArray[np.floating]) -> bytes:
    little = rows.astype(rows.dtype.newbyteorder("<"))
    feature = {
        "key": _bytes(key),
        "dtype": _bytes(little.dtype.str.encode()),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=rows.shape)),
        "embeddings": _bytes(little.tobytes()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    # A map's entries come in any order otherwise.
    return bytes(example.SerializeToString(deterministic=True))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _write(path: Path, text: str) -> None:
    with written_aside(path, "w") as file:
        file.write(text)


def _remove_earlier_records(directory: Path, shard: Shard, records: str) -> None:
    """Removes a shard's records of other contents."""
    for path in directory.glob(f"{shard.name}*.tfrecord"):
        if path.name != records:
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _to_json(entry: ShardManifest) -> str:
    return json.dumps(dataclasses.asdict(entry), indent=1, sort_keys=True) + "\n"


def _from_json(text: str) -> ShardManifest:
    values = json.loads(text)
    return ShardManifest(
        # Version 0.1 called it a share.
        shard=Shard(**values["shard" if "shard" in values else "share"]),
        keys=tuple(values["keys"]),
        unreadable={int(position): why for position, why in values["unreadable"].items()},
        records=values["records"],
        sha256=values["sha256"],
    )
