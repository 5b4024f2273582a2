"""Inputs, settings and results of fine-tuning a network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system.arrays import Ints


class FineTunedNetwork(NamedTuple):
    """A fine-tuned network, kept in the cache.

    Attributes:
      handle: of the extractor that it was.
      directory: where its weights are.
      fingerprint: of the extractor that it makes.
      epochs: those that it has learned for: up to the least validation loss.
      curves: `loss` and, where watched, `validation_loss`, a value an epoch: mean cross-entropies
        without label smoothing.
    """

    handle: str
    directory: Path
    fingerprint: str
    epochs: int
    curves: dict[str, list[float]]


class Pretrained(NamedTuple):
    """A network as it is before it is fine-tuned.

    Attributes:
      extractor: that it makes.
      embeddings: what the extractor makes of all recordings: the head to begin with is learned
        from them.
      precision: what the network computes in (see precision.py).
    """

    extractor: Extractor
    embeddings: Embeddings
    precision: str


class TrainingPart(NamedTuple):
    """Recordings to fine-tune on; those of unknown classes and unreadable ones are left out.

    Attributes:
      name: for people.
      training: positions of the recordings to train on.
      validation: of those to watch: the epoch of the least loss is kept. Empty: the last.
    """

    name: str
    training: Ints
    validation: Ints


@dataclasses.dataclass(frozen=True)
class ExtractorInput:
    """Features and image size of extractors.

    Attributes:
      features: what images look like.
      image_size: as of `load_extractor`.
    """

    features: FeatureConfig
    image_size: int = 0

    def load(self, handle: str) -> Extractor:
        """An untuned extractor, see `load_extractor`."""
        return load_extractor(handle, self.features, self.image_size)


@dataclasses.dataclass(frozen=True)
class Learning:
    """Settings of training networks and heads.

    Attributes:
      config: how to fine-tune.
      head: how heads are trained; its class weights count for networks too.
      augmentation: how recordings are changed before they are trained on, another way every
        epoch; None: not at all.
    """

    config: FineTuneConfig
    head: HeadConfig
    augmentation: AugmentationConfig | None = None
