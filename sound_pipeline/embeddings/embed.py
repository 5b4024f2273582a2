"""Embeddings computed once and kept on disk; interrupted work goes on where it stopped.

What is kept is keyed by the content of each recording and by everything that decides its
embedding (features, extractor, versions), so that a stale embedding is never used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_pipeline.augmentation.waveform import AUGMENTATION_VERSION
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.jobs import EmbeddingJob, check_readable, embed_missing, open_store
from sound_pipeline.embeddings.matrices import Matrix, SideBySide
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.embeddings.store import RowLocations
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.system.arrays import Floats, Ints


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Windows of a list of recordings.

    Attributes:
      values: float32 [windows, D], in the order of the recordings; on disk until asked for.
      recording: int32 [windows], the position in the list that a window belongs to; ascending.
      beginnings: float32 [beginnings, D], of sounds that have just begun: only to train on.
      beginning_of: int32 [beginnings], likewise.
      unreadable: reason by position of the recordings that have no windows.
      copies: the same of each augmented copy of the readable recordings: only to train on.
      joined: where several extractors looked at the same windows, what each of them made of them,
        in the order in which they stand side by side here; each has copies of its own.
      pieces: how many pieces of a window stand side by side in each row.
    """

    values: Matrix
    recording: Ints
    beginnings: Matrix
    beginning_of: Ints
    unreadable: dict[int, str]
    copies: tuple[Embeddings, ...] = ()
    joined: tuple[Embeddings, ...] = ()
    pieces: int = 1

    @property
    def parts(self) -> tuple[Embeddings, ...]:
        """Embeddings of each extractor."""
        return self.joined or (self,)

    def mean_of(self, recordings: npt.NDArray[np.integer]) -> Matrix:
        """Mean embedding of readable recordings: float32 [recordings, D], as ordered."""
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
    settings: EmbeddingSettings,
    precision: str = "float32",
) -> Embeddings:
    """Embeds recordings, taking from the cache what it holds, with a progress bar.

    In the scope of a tf.distribute.Strategy, where the extractor must have been made too, all its
    devices compute.

    Args:
      paths: audio files.
      extractor: makes the embeddings.
      settings: how, and where they are kept.
      precision: what the extractor computes in (see precision.py).

    Raises:
      UserError: more recordings than that can't be read, or all; the cache or the data service
        can't be used.
    """
    # Makes the directory, or says why it can't be used.
    store = open_store(settings.cache_dir, extractor, precision)
    keys = content_keys(paths, settings.cache_dir)
    job = EmbeddingJob(extractor, precision, store, reader=settings.reader)
    allowed = int(settings.max_bad_clips * len(paths))
    kept, unreadable = embed_missing(paths, keys, job, allowed)
    check_readable(paths, unreadable, settings.max_bad_clips)
    good = np.flatnonzero(kept.is_kept)
    own = _rows(kept, good, good.astype(np.int32), len(extractor.config.beginnings))
    made = []
    chosen = settings.copies.of(good)
    readable = [paths[position] for position in good]
    for number in range(1, chosen.count + 1):
        plan, copy_keys = chosen.plan(number, readable, keys[good])
        changed = {
            "augmentation": dataclasses.asdict(chosen.config),
            "augmentation_version": AUGMENTATION_VERSION,
            "copy": number,
        }
        store = open_store(settings.cache_dir, extractor, precision, changed)
        name = f"embedding copy {number}"
        job = EmbeddingJob(extractor, precision, store, name, plan, settings.reader)
        kept, unread = embed_missing(readable, copy_keys, job, 0)
        check_readable(readable, unread, 0.0)
        owners = good.astype(np.int32)
        made.append(_rows(kept, np.arange(len(good)), owners, len(extractor.config.beginnings)))
    return dataclasses.replace(
        own,
        unreadable=dict(sorted(unreadable.items())),
        copies=tuple(made),
        pieces=extractor.pieces,
    )


def _rows(kept: RowLocations, contents: Ints, owners: Ints, beginnings: int) -> Embeddings:
    """Embeddings of recordings, from the rows kept of their contents."""
    begun = np.full(len(contents), beginnings, np.int32)
    windows = kept.windows[contents] - begun
    return Embeddings(
        values=kept.rows(contents, np.zeros_like(windows), windows),
        recording=np.repeat(owners, windows),
        beginnings=kept.rows(contents, windows, begun),
        beginning_of=np.repeat(owners, begun),
        unreadable={},
    )


def embed_by_each(
    paths: Sequence[str],
    extractors: Sequence[Extractor],
    settings: EmbeddingSettings,
    precisions: Sequence[str],
) -> Embeddings:
    """`embed_recordings` for several extractors, whose embeddings are kept each by itself.

    Args:
      paths: audio files.
      extractors: made for the same features.
      settings: how, and where embeddings are kept.
      precisions: what each extractor computes in.

    Raises:
      UserError: as of `embed_recordings`; a recording has changed while they were at it.
    """
    first = embed_recordings(paths, extractors[0], settings, precisions[0])
    readable = np.unique(first.recording)
    good_paths = [paths[position] for position in readable]
    of_good = dataclasses.replace(settings, max_bad_clips=0.0, copies=settings.copies.of(readable))
    parts = [first]
    for extractor, precision in zip(extractors[1:], precisions[1:], strict=True):
        again = embed_recordings(good_paths, extractor, of_good, precision)
        part = dataclasses.replace(
            _renumbered(again, readable),
            unreadable=first.unreadable,
            copies=tuple(_renumbered(copy, readable) for copy in again.copies),
        )
        if not np.array_equal(part.recording, first.recording):
            raise UserError("recordings have changed while they were read; run it again")
        parts.append(part)
    return side_by_side(parts)


def _renumbered(embeddings: Embeddings, positions: Ints) -> Embeddings:
    """With recordings' positions in another list, by their positions in this one."""
    return dataclasses.replace(
        embeddings,
        recording=positions[embeddings.recording],
        beginning_of=positions[embeddings.beginning_of],
    )


def side_by_side(parts: Sequence[Embeddings]) -> Embeddings:
    """Joins the embeddings that several extractors made of the same windows."""
    if len(parts) == 1:
        return parts[0]
    return dataclasses.replace(
        parts[0],
        values=SideBySide([part.values for part in parts]),
        beginnings=SideBySide([part.beginnings for part in parts]),
        copies=(),
        joined=tuple(parts),
        pieces=1,
    )
