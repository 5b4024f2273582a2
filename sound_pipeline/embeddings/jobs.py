"""Recordings embedded where that isn't done yet, and kept on disk as they come.

What is kept is keyed by the content of each recording and by everything that decides its
embedding (features, extractor, versions), so that a stale embedding is never used.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from sound_pipeline.augmentation.copies import Plan
from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.embeddings.made_by import made_by
from sound_pipeline.embeddings.store import EmbeddingStore, RowLocations
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.input_pipeline.batches import FILLER, Batch
from sound_pipeline.input_pipeline.read import READ_HERE, WindowReader
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.precision import computing_in

logger = logging.getLogger(__name__)

# New embeddings are written out when this many seconds have gone by, what a kill can cost, or when
# they take so much memory.
_WRITE_EVERY_SECONDS = 5.0
_WRITE_EVERY_BYTES = 16 << 20
_NOT_FINITE = "the extractor makes of it what is no number: its network overflows, or is damaged"


class EmbeddingJob(NamedTuple):
    """Extractor, precision and store of a pass over recordings.

    Attributes:
      extractor: makes the embeddings.
      precision: what it computes in (see precision.py).
      store: that of the extractor and the precision.
      name: for people, beside the progress bar.
      plan: how each recording is augmented; None for the recordings as they are.
      reader: reads their windows.
    """

    extractor: Extractor
    precision: str
    store: EmbeddingStore
    name: str = "embedding"
    plan: Plan | None = None
    reader: WindowReader = READ_HERE


def open_store(
    cache_dir: Path,
    extractor: Extractor,
    precision: str,
    changed: Mapping[str, Any] | None = None,
) -> EmbeddingStore:
    """Opens the store of an extractor's embeddings, computed in a precision.

    Args:
      cache_dir: holds all stores.
      extractor: makes the embeddings.
      precision: what it computes in.
      changed: how recordings are changed before; JSON values.

    Raises:
      UserError: the cache can't be written.
    """
    return EmbeddingStore(cache_dir, made_by(extractor, precision, changed))


def embed_missing(
    paths: Sequence[str], keys: Keys, job: EmbeddingJob, most_unreadable: int | None = None
) -> tuple[RowLocations, dict[int, str]]:
    """Embeds what a store lacks, each content once, with a progress bar.

    Args:
      paths: audio files.
      keys: of their contents.
      job: how, and the store.
      most_unreadable: recordings that may be unreadable before it stops; None: all.

    Returns:
      Where the embeddings are, and the reason by position of recordings that can't be read.
    """
    kept = job.store.find(keys)
    _, first = np.unique(keys, return_index=True)
    missing = np.sort(first[~kept.is_kept[first]])
    logger.info(
        "%d recordings, %d embedded before (%s)",
        len(paths),
        kept.is_kept.sum(),
        job.store.directory,
    )
    unreadable: dict[int, str] = {}
    remarks: dict[str, list[int]] = defaultdict(list)
    if not len(missing):
        return kept, unreadable
    chosen = [paths[position] for position in missing]
    plan = job.plan.of(missing) if job.plan is not None else None
    with (
        tqdm.tqdm(total=len(missing), desc=job.name, unit="clip") as progress,
        _Writer(job.store) as writer,
    ):
        for position, result, remark in _embed(chosen, job._replace(plan=plan)):
            progress.update()
            if remark:
                remarks[remark].append(int(missing[position]))
            key = keys[missing[position]]
            if not isinstance(result, str):
                writer.add(key, result)
                continue
            for same in np.flatnonzero(keys == key).tolist():
                logger.warning("skipped %s: %s", paths[same], result)
                unreadable[same] = result
            if most_unreadable is not None and len(unreadable) > most_unreadable:
                break
    for remark, positions in remarks.items():
        first_path = paths[min(positions)]
        logger.warning("%d recordings, first %s: %s", len(positions), first_path, remark)
    return job.store.find(keys), unreadable


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


def _embed(paths: Sequence[str], job: EmbeddingJob) -> Iterator[tuple[int, Floats | str, str]]:
    """Yields (position, [windows, D] or the reason why not, remark) as recordings are done."""
    pending: dict[int, dict[int, Floats]] = {}
    for batch, values in _embed_batches(paths, job):
        columns = (batch.recording, batch.window, batch.windows, batch.reason, batch.remark)
        for position, window, windows, reason, remark, value in zip(*columns, values, strict=True):
            if position == FILLER:
                continue
            if reason:
                yield int(position), reason.decode(), ""
                continue
            rows = pending.setdefault(int(position), {})
            rows[int(window)] = value
            if len(rows) == windows:
                del pending[int(position)]
                embedded = np.stack([rows[number] for number in range(windows)])
                if np.isfinite(embedded).all():
                    yield int(position), embedded, remark.decode()
                else:
                    yield int(position), _NOT_FINITE, ""


def _embed_batches(paths: Sequence[str], job: EmbeddingJob) -> Iterator[tuple[Batch, Floats]]:
    """Yields batches of windows with their embeddings: float32 [batch, D].

    The network runs in a thread of its own, one step ahead of whoever takes the results, so that
    it doesn't wait for what is done with them. A step is a batch for each device.
    """
    strategy = tf.distribute.get_strategy()

    @partial(tf.function, reduce_retracing=True, autograph=False)
    def forward(prepared: Any) -> Any:
        return strategy.run(job.extractor, args=(prepared,))

    def embed(step: Sequence[Batch]) -> list[Floats]:
        def of_device(context: tf.distribute.ValueContext) -> tf.Tensor:
            # In the last step there may be devices without a batch of their own.
            return step[min(context.replica_id_in_sync_group, len(step) - 1)].prepared

        with computing_in(job.precision):
            prepared = strategy.experimental_distribute_values_from_function(of_device)
            results = strategy.experimental_local_results(forward(prepared))
        return [np.asarray(values.numpy()) for values in results[: len(step)]]

    batches = job.reader.read(
        paths,
        job.extractor.prepare,
        job.extractor.config,
        job.extractor.windows_at_once,
        job.plan,
    )
    with ThreadPoolExecutor(1) as thread:
        last: tuple[list[Batch], Future[list[Floats]]] | None = None
        while step := list(itertools.islice(batches, strategy.num_replicas_in_sync)):
            following = step, thread.submit(embed, step)
            if last is not None:
                yield from zip(last[0], last[1].result(), strict=True)
            last = following
        if last is not None:
            yield from zip(last[0], last[1].result(), strict=True)
