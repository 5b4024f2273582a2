"""Recordings that are perhaps the same: at another level, rate, in another codec, or cut.

Two windows of one sound have nearly the same embedding, whatever was done to its level, rate or
encoding, and so have windows of two cuts of it that happen to lie at about the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.embed import Embeddings, embed_recordings
from sound_pipeline.embeddings.jobs import open_store
from sound_pipeline.embeddings.made_by import made_by
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.embeddings.store import EmbeddingStore
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig, WindowConfig
from sound_pipeline.system.arrays import Floats

LEAST_COSINE = 0.95
"""From here on two recordings are perhaps the same.

Of 40 of ESC-10's recordings, 12 dB quieter, at 8 or 16 kHz, or as MP3 or Opus, all come to 0.97 and
more; of their cuts from 0.33 s on 39 in 40 to this, of those from 0.7 s on 35 in 40. In all of
ESC-10, eight pairs of recordings of different sources do.
"""

# Bands that a rate of 8 kHz has too, and windows so close that those of a cut lie near the whole's.
_FEATURES = FeatureConfig(
    windows=WindowConfig(overlap=0.8),
    spectrogram=SpectrogramConfig(max_hz=3500.0),
    beginning_seconds=(),
)

# Compared at once with as many others: 64 MB of cosines.
_WINDOWS_AT_ONCE = 4096


class Similar(NamedTuple):
    """Two recordings.

    Attributes:
      first: position of one.
      second: position of the other, which comes later.
      cosine: of their most alike windows, -1..1.
    """

    first: int
    second: int
    cosine: float


def similar_recordings(paths: Sequence[str], cache_dir: Path) -> list[Similar]:
    """Pairs of recordings that are perhaps the same, the most alike first, with a progress bar.

    Args:
      paths: audio files; what can't be read is like nothing.
      cache_dir: where embeddings are kept.

    Raises:
      UserError: none can be read, or the cache can't be used.
    """
    settings = EmbeddingSettings(cache_dir, max_bad_clips=1.0)
    return find_similar(embed_recordings(paths, GaborExtractor(_FEATURES), settings), LEAST_COSINE)


def known_similar(paths: Sequence[str], cache_dir: Path) -> list[Similar] | None:
    """`similar_recordings` without embedding any; None where that has not been done for all."""
    extractor = GaborExtractor(_FEATURES)
    if not EmbeddingStore.is_there(cache_dir, made_by(extractor, "float32")):
        return None
    kept = open_store(cache_dir, extractor, "float32").find(content_keys(paths, cache_dir))
    return similar_recordings(paths, cache_dir) if kept.is_kept.all() else None


def find_similar(embeddings: Embeddings, least_cosine: float) -> list[Similar]:
    """Pairs of recordings with two windows that are so much alike; the most alike first.

    Cosines are of the embeddings' deviations from their mean, each number in units of its own
    standard deviation: networks give all sounds embeddings that point much the same way.

    Args:
      embeddings: of all recordings.
      least_cosine: of the most alike windows of a pair, -1..1.
    """
    blocks = list(_blocks(embeddings))
    pairs = [
        pair
        for number, (owners, windows) in enumerate(blocks)
        for others, other_windows in blocks[number:]
        for pair in _alike(owners, others, windows @ other_windows.T, least_cosine)
    ]
    best: dict[tuple[int, int], float] = {}
    for pair in pairs:
        key = pair.first, pair.second
        best[key] = max(pair.cosine, best.get(key, -1.0))
    found = [Similar(*key, cosine) for key, cosine in best.items()]
    return sorted(found, key=lambda pair: (-pair.cosine, pair.first, pair.second))


def _blocks(embeddings: Embeddings) -> Iterator[tuple[np.ndarray, Floats]]:
    """Recordings of some windows, ascending, and these windows as vectors of length 1."""
    values, owners = embeddings.values, embeddings.recording
    starts = range(0, len(owners), _WINDOWS_AT_ONCE)
    blocks = [slice(start, start + _WINDOWS_AT_ONCE) for start in starts]
    mean, variance = np.zeros([2, values.shape[1]])
    for rows in blocks:
        mean += np.asarray(values[rows], np.float64).sum(axis=0) / len(owners)
    for rows in blocks:
        variance += np.square(values[rows] - mean).sum(axis=0) / len(owners)
    # A number that is the same for all sounds tells none apart.
    tells = variance > np.square(1e-6 * mean)
    scale = np.divide(1.0, np.sqrt(variance), out=np.zeros_like(mean), where=tells)
    for rows in blocks:
        apart = (values[rows] - mean) * scale
        lengths = np.linalg.norm(apart, axis=1, keepdims=True)
        yield owners[rows], (apart / np.maximum(lengths, 1e-12)).astype(np.float32)


def _alike(
    owners: np.ndarray, others: np.ndarray, cosines: Floats, least_cosine: float
) -> Iterator[Similar]:
    """Pairs of which some two windows are alike, from the cosines [windows, other windows]."""
    rows, columns = np.nonzero(cosines >= least_cosine)
    first, second = owners[rows], others[columns]
    for one, other, cosine in zip(first, second, cosines[rows, columns], strict=True):
        if one < other:
            yield Similar(int(one), int(other), float(cosine))
