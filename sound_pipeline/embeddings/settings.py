"""Settings of embedding recordings that are the same for all extractors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sound_pipeline.augmentation.copies import NO_COPIES, Copies
from sound_pipeline.input_pipeline.read import READ_HERE, WindowReader


@dataclasses.dataclass(frozen=True)
class EmbeddingSettings:
    """Cache, copies and reader of all extractors that embed a data set.

    Attributes:
      cache_dir: where embeddings are kept.
      max_bad_clips: fraction of the recordings that may be unreadable.
      copies: augmented copies to embed too, each kept by itself.
      reader: reads the windows of recordings.
    """

    cache_dir: Path
    max_bad_clips: float = 0.0
    copies: Copies = NO_COPIES
    reader: WindowReader = READ_HERE
