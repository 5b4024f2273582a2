"""Manifests: which recordings a data set holds, their labels, folds and source recordings.

Nothing here opens audio but the program `python -m sound_pipeline.datasets check`.
"""

from sound_pipeline.datasets.config import DATASETS, DatasetConfig
from sound_pipeline.datasets.folders import AUDIO_SUFFIXES
from sound_pipeline.datasets.loading import load_manifest, load_shard
from sound_pipeline.datasets.manifest import BACKGROUND, Manifest
from sound_pipeline.datasets.recordings import Recording, Recordings

__all__ = [
    "AUDIO_SUFFIXES",
    "BACKGROUND",
    "DATASETS",
    "DatasetConfig",
    "Manifest",
    "Recording",
    "Recordings",
    "load_manifest",
    "load_shard",
]
