"""Embeddings computed once and kept on disk; interrupted work goes on where it stopped.

What is kept is keyed by the content of each recording and by everything that decides its
embedding (features, extractor, versions), so that a stale embedding is never used.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm

from sound_pipeline.contents import Keys, content_keys
from sound_pipeline.embedding_store import EmbeddingStore, Kept
from sound_pipeline.errors import UserError
from sound_pipeline.extractors import Extractor
from sound_pipeline.features import FEATURES_VERSION
from sound_pipeline.input_pipeline import FILLER, Batch, read_windows
from sound_pipeline.precision import computing_in
from sound_pipeline.rows import Beside, Floats, Matrix
from sound_pipeline.windows import WINDOWS_AT_ONCE

Ints = npt.NDArray[np.int32]

logger = logging.getLogger(__name__)

# New embeddings are written out when this many seconds have gone by, what a kill can cost, or when
# they take so much memory.
_WRITE_EVERY_SECONDS = 5.0
_WRITE_EVERY_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """The windows of a list of recordings.

    Attributes:
      values: float32 [windows, D], in the order of the recordings; on disk until asked for.
      recording: int32 [windows], the position in the list that a window belongs to; ascending.
      beginnings: float32 [beginnings, D], of sounds that have just begun: only to learn from.
      beginning_of: int32 [beginnings], likewise.
      unreadable: reason by position of the recordings that have no windows.
      joined: where several extractors looked at the same windows, what each of them made of them,
        in the order in which they stand side by side here.
    """

    values: Matrix
    recording: Ints
    beginnings: Matrix
    beginning_of: Ints
    unreadable: dict[int, str]
    joined: tuple[Embeddings, ...] = ()

    @property
    def parts(self) -> tuple[Embeddings, ...]:
        """The embeddings of each extractor."""
        return self.joined or (self,)

    def mean_of(self, recordings: npt.NDArray[np.integer]) -> Matrix:
        """The mean embedding of readable recordings: float32 [recordings, D], as ordered."""
        return _Means(self, recordings)


class _Means:
    """Mean embeddings, made where they are asked for."""

    def __init__(self, embeddings: Embeddings, recordings: npt.NDArray[np.integer]) -> None:
        self._embeddings = embeddings
        self._recordings = recordings
        self.shape = (len(recordings), embeddings.values.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> Floats:
        owners, values = self._embeddings.recording, self._embeddings.values
        chosen, place = np.unique(self._recordings[index], return_inverse=True)
        windows = np.flatnonzero(np.isin(owners, chosen))
        starts = np.searchsorted(owners[windows], chosen)
        sums = np.add.reduceat(values[windows], starts, axis=0)
        counts = np.diff(np.append(starts, len(windows)))[:, None]
        return np.asarray((sums / counts)[place], np.float32)


def embed_recordings(
    paths: Sequence[str],
    extractor: Extractor,
    cache_dir: Path,
    max_bad_clips: float,
    precision: str = "float32",
    data_service: str = "",
) -> Embeddings:
    """Embeds recordings, taking from the cache what it holds, with a progress bar.

    Args:
      paths: audio files.
      extractor: makes the embeddings.
      cache_dir: where they are kept.
      max_bad_clips: share of the recordings that may be unreadable.
      precision: what the extractor computes in (see precision.py).
      data_service: what prepares windows (see `read_windows`).

    Raises:
      UserError: more recordings than that can't be read, or all; the cache or the data service
        can't be used.
    """
    store = open_store(cache_dir, extractor, precision)
    keys = content_keys(paths, cache_dir)
    allowed = int(max_bad_clips * len(paths))
    kept, unreadable = embed_missing(
        paths, keys, store, extractor, precision, data_service, allowed
    )
    check_readable(paths, unreadable, max_bad_clips)
    good = np.flatnonzero(kept.is_kept)
    beginnings = np.full(len(good), len(extractor.config.beginnings), np.int32)
    windows = kept.windows[good] - beginnings
    owners = good.astype(np.int32)
    return Embeddings(
        values=kept.rows(good, np.zeros_like(windows), windows),
        recording=np.repeat(owners, windows),
        beginnings=kept.rows(good, windows, beginnings),
        beginning_of=np.repeat(owners, beginnings),
        unreadable=dict(sorted(unreadable.items())),
    )


def open_store(cache_dir: Path, extractor: Extractor, precision: str) -> EmbeddingStore:
    """Where the embeddings of an extractor are kept, computed in a precision.

    Raises:
      UserError: the cache can't be written.
    """
    return EmbeddingStore(
        cache_dir,
        {
            "features": dataclasses.asdict(extractor.config),
            "features_version": FEATURES_VERSION,
            "extractor": extractor.fingerprint,
            "precision": precision,
        },
    )


def embed_missing(
    paths: Sequence[str],
    keys: Keys,
    store: EmbeddingStore,
    extractor: Extractor,
    precision: str,
    data_service: str = "",
    most_unreadable: int | None = None,
) -> tuple[Kept, dict[int, str]]:
    """Embeds what a store lacks, each content once, with a progress bar.

    Args:
      paths: audio files.
      keys: of their contents.
      store: that of the extractor and precision.
      extractor: makes the embeddings.
      precision: what it computes in.
      data_service: what prepares windows (see `read_windows`).
      most_unreadable: recordings that may be unreadable before it stops; None: all.

    Returns:
      Where the embeddings are, and the reason by position of recordings that can't be read.
    """
    kept = store.find(keys)
    _, first = np.unique(keys, return_index=True)
    missing = np.sort(first[~kept.is_kept[first]])
    logger.info(
        "%d recordings, %d embedded before (%s)",
        len(paths),
        kept.is_kept.sum(),
        store.directory,
    )
    unreadable: dict[int, str] = {}
    if not len(missing):
        return kept, unreadable
    some = [paths[position] for position in missing]
    results = _embed(some, extractor, precision, data_service)
    with (
        tqdm.tqdm(total=len(missing), desc="embedding", unit="clip") as progress,
        _Writer(store) as writer,
    ):
        for position, result in results:
            progress.update()
            key = keys[missing[position]]
            if not isinstance(result, str):
                writer.add(key, result)
                continue
            for same in np.flatnonzero(keys == key).tolist():
                logger.warning("skipped %s: %s", paths[same], result)
                unreadable[same] = result
            if most_unreadable is not None and len(unreadable) > most_unreadable:
                break
    return store.find(keys), unreadable


def embed_by_each(
    paths: Sequence[str],
    extractors: Sequence[Extractor],
    cache_dir: Path,
    max_bad_clips: float,
    precisions: Sequence[str],
    data_service: str = "",
) -> Embeddings:
    """`embed_recordings` for several extractors, whose embeddings are kept each by itself.

    Args:
      paths: audio files.
      extractors: made for the same features.
      cache_dir: where embeddings are kept.
      max_bad_clips: share of the recordings that may be unreadable.
      precisions: what each extractor computes in.
      data_service: as of `embed_recordings`.

    Raises:
      UserError: as of `embed_recordings`; a recording has changed while they were at it.
    """
    first = embed_recordings(
        paths, extractors[0], cache_dir, max_bad_clips, precisions[0], data_service
    )
    readable = np.unique(first.recording)
    parts = [first]
    for extractor, precision in zip(extractors[1:], precisions[1:], strict=True):
        again = embed_recordings(
            [paths[position] for position in readable],
            extractor,
            cache_dir,
            0.0,
            precision,
            data_service,
        )
        part = dataclasses.replace(
            again,
            recording=readable[again.recording],
            beginning_of=readable[again.beginning_of],
            unreadable=first.unreadable,
        )
        if not np.array_equal(part.recording, first.recording):
            raise UserError("recordings have changed while they were read; run it again")
        parts.append(part)
    return side_by_side(parts)


def side_by_side(parts: Sequence[Embeddings]) -> Embeddings:
    """What several extractors made of the same windows, as one."""
    if len(parts) == 1:
        return parts[0]
    return dataclasses.replace(
        parts[0],
        values=Beside([part.values for part in parts]),
        beginnings=Beside([part.beginnings for part in parts]),
        joined=tuple(parts),
    )


class _Writer:
    """Adds to a store what has come together in a while, or has grown large."""

    def __init__(self, store: EmbeddingStore) -> None:
        self._store = store
        self._fresh: dict[bytes, Floats] = {}
        self._bytes = 0
        self._written = time.monotonic()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def add(self, key: bytes, rows: Floats) -> None:
        self._fresh[key] = rows
        self._bytes += rows.nbytes
        late = time.monotonic() - self._written > _WRITE_EVERY_SECONDS
        if late or self._bytes > _WRITE_EVERY_BYTES:
            self._write()

    def _write(self) -> None:
        self._store.add(self._fresh)
        self._fresh = {}
        self._bytes = 0
        self._written = time.monotonic()


def check_readable(
    paths: Sequence[str], unreadable: Mapping[int, str], max_bad_clips: float
) -> None:
    """Raises UserError where too many recordings, or all, can't be read.

    Args:
      paths: all recordings.
      unreadable: reason by position.
      max_bad_clips: the share that may be unreadable.
    """
    if not unreadable or len(unreadable) <= min(int(max_bad_clips * len(paths)), len(paths) - 1):
        return
    position = min(unreadable)
    first_bad = f"the first is {paths[position]} ({unreadable[position]})"
    if len(unreadable) == len(paths):
        raise UserError(f"not one of {len(paths)} recordings can be read; {first_bad}: repair them")
    raise UserError(
        f"at least {len(unreadable)} of {len(paths)} recordings can't be read, more than "
        f"--max_bad_clips={max_bad_clips:g} allows; {first_bad}: repair or remove them, or "
        "raise --max_bad_clips"
    )


def _embed(
    paths: Sequence[str], extractor: Extractor, precision: str, data_service: str
) -> Iterator[tuple[int, Floats | str]]:
    """Yields (position, [windows, D] or the reason why not) as recordings are done."""
    pending: dict[int, dict[int, Floats]] = {}
    for batch, values in _embed_batches(paths, extractor, precision, data_service):
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


def _embed_batches(
    paths: Sequence[str], extractor: Extractor, precision: str, data_service: str
) -> Iterator[tuple[Batch, Floats]]:
    """Yields batches of windows with their embeddings: float32 [batch, D].

    The network runs in a thread of its own, one batch ahead of whoever takes the results, so that
    it doesn't wait for what is done with them.
    """
    forward = tf.function(extractor, reduce_retracing=True)

    def embed(batch: Batch) -> Floats:
        with computing_in(precision):
            return np.asarray(forward(batch.prepared).numpy())

    with ThreadPoolExecutor(1) as thread:
        last: tuple[Batch, Future[Floats]] | None = None
        batches = read_windows(
            paths, extractor.prepare, extractor.config, WINDOWS_AT_ONCE, data_service
        )
        for batch in batches:
            following = batch, thread.submit(embed, batch)
            if last is not None:
                yield last[0], last[1].result()
            last = following
        if last is not None:
            yield last[0], last[1].result()
