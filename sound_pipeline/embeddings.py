"""Embeddings computed once and kept on disk; interrupted work goes on where it stopped.

What is kept is keyed by the content of each recording and by everything that decides its
embedding (features, extractor, versions), so that a stale embedding is never used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.extractors import Extractor
from sound_pipeline.features import FEATURES_VERSION
from sound_pipeline.input_pipeline import FILLER, read_windows
from sound_pipeline.windows import WINDOWS_AT_ONCE

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

logger = logging.getLogger(__name__)

# New embeddings are written out when this many seconds have gone by: what a kill can cost.
_WRITE_EVERY_SECONDS = 5.0
# Of a file of the store: content keys, how many windows each has, the embeddings of them all.
_COLUMNS = ("keys", "windows", "values")


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """The windows of a list of recordings.

    Attributes:
      values: float32 [windows, D], in the order of the recordings.
      recording: int32 [windows], the position in the list that a window belongs to; ascending.
      beginnings: float32 [beginnings, D], of sounds that have just begun: only to learn from.
      beginning_of: int32 [beginnings], likewise.
      unreadable: reason by position of the recordings that have no windows.
    """

    values: Floats
    recording: Ints
    beginnings: Floats
    beginning_of: Ints
    unreadable: dict[int, str]

    def mean_of(self, recordings: npt.NDArray[np.integer]) -> Floats:
        """The mean embedding of readable recordings: float32 [recordings, D], as ordered."""
        starts = np.searchsorted(self.recording, recordings, "left")
        ends = np.searchsorted(self.recording, recordings, "right")
        return np.stack(
            [self.values[start:end].mean(axis=0) for start, end in zip(starts, ends, strict=True)]
        )


class EmbeddingStore:
    """A folder of embeddings made in one way.

    Every write makes a new file under a name of its own, first aside, then renamed: readers see
    whole files only, and several processes may add to one store.
    """

    def __init__(self, directory: Path, made_by: Mapping[str, Any]) -> None:
        """Opens or makes the store.

        Args:
          directory: holds stores of all kinds.
          made_by: all that decides what the embedding of a content is; JSON values.

        Raises:
          UserError: the directory can't be written.
        """
        text = json.dumps(made_by, sort_keys=True, indent=2)
        self.directory = directory / hashlib.sha256(text.encode()).hexdigest()[:24]
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write_whole(self.directory / "made_by.json", text.encode())
        except OSError as error:
            raise UserError(
                f"--cache_dir={directory}: {error.strerror}; give a directory that can be written"
            ) from error

    def read(self, keys: set[str]) -> dict[str, Floats]:
        """The embeddings there are for `keys`: float32 [windows, D] by content key.

        Raises:
          UserError: a file of the store is damaged.
        """
        found = {}
        for part in sorted(self.directory.glob("*.npz")):
            try:
                with np.load(part) as columns:
                    names, counts, values = (columns[name] for name in _COLUMNS)
            except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
                raise UserError(
                    f"{part}: damaged ({first_line(error)}); delete it, what it held is then "
                    "computed again"
                ) from error
            rows = np.split(values, np.cumsum(counts)[:-1])
            found.update({key: row for key, row in zip(names, rows, strict=True) if key in keys})
        return found

    def add(self, embeddings: Mapping[str, Floats]) -> None:
        """Keeps embeddings: float32 [windows, D] by content key."""
        if not embeddings:
            return
        part = self.directory / f"{uuid.uuid4().hex}.npz"
        aside = part.with_suffix(".partial")
        with aside.open("wb") as file:
            np.savez(
                file,
                keys=np.array(list(embeddings)),
                windows=np.array([len(rows) for rows in embeddings.values()], np.int32),
                values=np.concatenate(list(embeddings.values())),
            )
        aside.rename(part)


def embed_recordings(
    paths: Sequence[str], extractor: Extractor, cache_dir: Path, max_bad_clips: float
) -> Embeddings:
    """Embeds recordings, taking from the cache what it holds, with a progress bar.

    Args:
      paths: audio files.
      extractor: makes the embeddings.
      cache_dir: where they are kept.
      max_bad_clips: share of the recordings that may be unreadable.

    Raises:
      UserError: more recordings than that can't be read, or all; the cache can't be used.
    """
    store = EmbeddingStore(
        cache_dir,
        {
            "features": dataclasses.asdict(extractor.config),
            "features_version": FEATURES_VERSION,
            "extractor": extractor.fingerprint,
        },
    )
    keys = content_keys(paths)
    kept = store.read(set(keys))
    first = {key: position for position, key in reversed(list(enumerate(keys)))}
    missing = [
        position
        for key, position in sorted(first.items(), key=lambda item: item[1])
        if key not in kept
    ]
    logger.info(
        "%d recordings, %d embedded before (%s)",
        len(paths),
        len(paths) - sum(key not in kept for key in keys),
        store.directory,
    )
    allowed = int(max_bad_clips * len(paths))
    unreadable: dict[str, str] = {}
    fresh: dict[str, Floats] = {}
    written = time.monotonic()
    progress = tqdm.tqdm(total=len(missing), desc="embedding", unit="clip", disable=not missing)
    try:
        for position, result in _embed([paths[position] for position in missing], extractor):
            progress.update()
            key = keys[missing[position]]
            if isinstance(result, str):
                unreadable[key] = result
                for path, same in zip(paths, keys, strict=True):
                    if same == key:
                        logger.warning("skipped %s: %s", path, result)
                if len(unreadable) > allowed:
                    break
            else:
                fresh[key] = result
            if time.monotonic() - written > _WRITE_EVERY_SECONDS:
                store.add(fresh)
                kept |= fresh
                fresh = {}
                written = time.monotonic()
    finally:
        progress.close()
        store.add(fresh)
    kept |= fresh
    bad = {position: unreadable[key] for position, key in enumerate(keys) if key in unreadable}
    if bad and len(bad) > min(allowed, len(paths) - 1):
        position, reason = next(iter(bad.items()))
        first_bad = f"the first is {paths[position]} ({reason})"
        if len(bad) == len(paths):
            raise UserError(
                f"not one of {len(paths)} recordings can be read; {first_bad}: repair them"
            )
        raise UserError(
            f"at least {len(bad)} of {len(paths)} recordings can't be read, more than "
            f"--max_bad_clips={max_bad_clips:g} allows; {first_bad}: repair or remove them, or "
            "raise --max_bad_clips"
        )
    good = [position for position in range(len(paths)) if position not in bad]
    rows = [kept[keys[position]] for position in good]
    owners = np.array(good, np.int32)
    beginnings = len(extractor.config.beginnings)
    windows = [len(row) - beginnings for row in rows]
    return Embeddings(
        values=np.concatenate([row[:count] for row, count in zip(rows, windows, strict=True)]),
        recording=np.repeat(owners, windows),
        beginnings=np.concatenate([row[count:] for row, count in zip(rows, windows, strict=True)]),
        beginning_of=np.repeat(owners, beginnings),
        unreadable=bad,
    )


def content_keys(paths: Sequence[str]) -> list[str]:
    """A digest of each file's bytes, in the order of the paths.

    Raises:
      UserError: a file can't be read from disk.
    """

    def key(path: str) -> str:
        try:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror}; make it readable or leave it out"
            ) from error

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(key, paths))


def _embed(paths: Sequence[str], extractor: Extractor) -> Iterator[tuple[int, Floats | str]]:
    """Yields (position, [windows, D] or the reason why not) as recordings are done."""
    if not paths:
        return
    forward = tf.function(extractor, reduce_retracing=True)
    pending: dict[int, dict[int, Floats]] = {}
    for batch in read_windows(paths, extractor.prepare, extractor.config, WINDOWS_AT_ONCE):
        values = forward(batch.prepared).numpy()
        columns = (batch.recording, batch.window, batch.windows, batch.reason)
        for position, window, windows, reason, value in zip(*columns, values, strict=True):
            if position == FILLER:
                continue
            if reason:
                yield int(position), reason.decode()
                continue
            rows = pending.setdefault(int(position), {})
            rows[int(window)] = value
            if len(rows) == windows:
                del pending[int(position)]
                yield int(position), np.stack([rows[number] for number in range(windows)])


def _write_whole(path: Path, content: bytes) -> None:
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    aside.write_bytes(content)
    aside.rename(path)
