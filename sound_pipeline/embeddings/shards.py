"""Shards of a data set to shards, and shards to the store that training reads."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets.content_keys import Keys, content_keys
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.embeddings.jobs import EmbeddingJob, check_readable, embed_missing, open_store
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.embeddings.shard_files import (
    MADE_BY,
    ShardManifest,
    is_whole,
    read_manifest,
    read_shard,
    shards_in,
    write_shard,
)
from sound_pipeline.embeddings.store import EmbeddingStore
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.system.arrays import Floats

logger = logging.getLogger(__name__)

# A store is quicker to search the fewer parts it has; a merge that is killed loses one of them.
_PART_BYTES = 256 << 20
_MOST_NAMED = 5


def embed_shard(
    paths: Sequence[str],
    shard: Shard,
    extractor: Extractor,
    shards_dir: Path,
    settings: EmbeddingSettings,
    precision: str = "float32",
) -> Path:
    """Embeds a shard of the recordings and writes its shard, unless that is there already.

    A recording's embedding doesn't depend on how the recordings are divided, since a window's
    doesn't on what it is in a batch with: batches have one shape (see `window_batches`), and
    tests/extractors/test_batches.py holds the extractors to it.

    Args:
      paths: the shard's recordings, as `load_shard` lists them.
      shard: which it is.
      extractor: makes the embeddings.
      shards_dir: gets a folder of shards for each way of making embeddings.
      settings: how, and where they are kept meanwhile, to go on after a kill. How many recordings
        may be unreadable is for the merge to say, which sees all.
      precision: what the extractor computes in.

    Returns:
      The TFRecord file.

    Raises:
      UserError: a folder can't be used.
    """
    store = open_store(settings.cache_dir, extractor, precision)
    directory = shards_dir / store.directory.name
    keys = content_keys(paths, settings.cache_dir)
    entry = read_manifest(directory, shard)
    if entry and _matches(entry, keys) and is_whole(directory, entry):
        logger.info("shard %s is there already", shard)
        return directory / entry.records
    job = EmbeddingJob(extractor, precision, store, reader=settings.reader)
    kept, unreadable = embed_missing(paths, keys, job)
    entry = write_shard(directory, shard, keys, kept, unreadable, store.made_by)
    return directory / entry.records


def merge_shards(
    paths: Sequence[str],
    extractor: Extractor,
    shards_dir: Path,
    settings: EmbeddingSettings,
    precision: str = "float32",
) -> int:
    """Fills the store that training reads with what all shards hold.

    Args:
      paths: all recordings, in the order in which they were divided.
      extractor: made the embeddings.
      shards_dir: as of `embed_shard`.
      settings: where the store is, and how many recordings may be unreadable.
      precision: what the extractor computed in.

    Returns:
      How many recordings have embeddings now.

    Raises:
      UserError: shards are missing, damaged, of other recordings or made in another way; too many
        recordings can't be read.
    """
    store = open_store(settings.cache_dir, extractor, precision)
    directory = shards_dir / store.directory.name
    shards = shards_in(directory)
    if not shards:
        raise UserError(_nothing(shards_dir, store))
    _check_complete(directory, shards)
    keys = content_keys(paths, settings.cache_dir)
    entries = _checked_entries(directory, shards, keys)
    unreadable = {
        int(entry.shard.positions(len(paths))[position]): why
        for entry in entries
        for position, why in entry.unreadable.items()
    }
    check_readable(paths, unreadable, settings.max_bad_clips)
    for position, why in sorted(unreadable.items()):
        logger.warning("skipped %s: %s", paths[position], why)
    wanted, first = np.unique(keys, return_index=True)
    is_done = store.find(keys).is_kept[first]
    for entry in entries:
        _add_shard(store, directory, entry, wanted, is_done)
    merged = int(store.find(keys).is_kept.sum())
    if merged + len(unreadable) != len(paths):
        raise UserError(
            f"{directory}: {len(paths) - merged - len(unreadable)} recordings are in no shard "
            "though their shards name them; delete the folder and make the shards again"
        )
    return merged


def _add_shard(
    store: EmbeddingStore,
    directory: Path,
    entry: ShardManifest,
    wanted: Keys,
    is_done: npt.NDArray[np.bool_],
) -> None:
    """Adds what a shard holds and a store doesn't: of the keys, ascending, those not done yet."""
    fresh: dict[bytes, Floats] = {}
    size = 0
    for key, rows in read_shard(directory, entry):
        place = np.searchsorted(wanted, key)
        if is_done[place]:
            continue
        is_done[place] = True
        fresh[key] = rows
        size += rows.nbytes
        if size > _PART_BYTES:
            store.add(fresh)
            fresh, size = {}, 0
    store.add(fresh)


def _check_complete(directory: Path, shards: Sequence[Shard]) -> None:
    """Raises UserError unless the shards are all of one division."""
    of = sorted({shard.of for shard in shards})
    if len(of) > 1:
        raise UserError(
            f"{directory}: shards of {' and of '.join(map(str, of))}, which overlap; delete those "
            "of one division"
        )
    there = {shard.number for shard in shards}
    missing = [Shard(n, of[0]) for n in range(1, of[0] + 1) if n not in there]
    if missing:
        raise UserError(
            f"{directory}: {len(missing)} of {of[0]} shards are missing; run --shard="
            + _some([str(shard) for shard in missing])
        )


def _checked_entries(directory: Path, shards: Sequence[Shard], keys: Keys) -> list[ShardManifest]:
    """Entries of all shards, without their keys, which are those of the recordings.

    Raises:
      UserError: they are not, or an entry is damaged.
    """
    entries, stale = [], []
    for shard in shards:
        entry = read_manifest(directory, shard)
        if entry is None or not _matches(entry, keys[shard.positions(len(keys))]):
            stale.append(str(shard))
        else:
            entries.append(dataclasses.replace(entry, keys=()))
    if stale:
        raise UserError(
            f"{directory}: {len(stale)} of {len(shards)} shards are of other recordings than the "
            f"data set has now, or in another order; run again --shard={_some(stale)}"
        )
    return entries


def _matches(entry: ShardManifest, keys: Keys) -> bool:
    """Whether a shard is of these contents, in this order."""
    return list(entry.keys) == keys.astype(str).tolist()


def _nothing(shards_dir: Path, store: EmbeddingStore) -> str:
    """Explains that no shard was made as a store's embeddings are."""
    others = sorted(shards_dir.glob(f"*/{MADE_BY}"))
    if not others:
        return (
            f"--shards_dir={shards_dir}: holds no shards; run extract --shard=1/N and so on first"
        )
    wanted, other = json.loads(store.made_by), json.loads(others[0].read_text(encoding="utf-8"))
    differing = [
        f"{name} {other.get(name)!r} rather than {value!r}"
        for name, value in wanted.items()
        if other.get(name) != value
    ]
    return (
        f"--shards_dir={shards_dir}: holds no shards of this configuration, but "
        f"{others[0].parent} has some with {'; '.join(differing)}; give the flags that they were "
        "made with"
    )


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return ", ".join(words[:_MOST_NAMED]) + more
