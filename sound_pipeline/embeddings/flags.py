"""The flags that decide embeddings, for the programs that make them: train.py and extract."""

from __future__ import annotations

import os
from pathlib import Path

from absl import flags

from sound_pipeline.datasets import DATASETS, DatasetConfig
from sound_pipeline.features.config import (
    IMAGE_CHANNELS,
    FeatureConfig,
    SpectrogramConfig,
    WindowConfig,
)
from sound_pipeline.system import program

DEFAULT_EXTRACTOR = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
"""Downloaded once, by TensorFlow Hub."""


def define() -> None:
    """Defines the flags: of the data set, the extractor, the features, and the cache."""
    _define_dataset()
    _define_extractor()
    _define_features()
    _define_cache()


def dataset(values: flags.FlagValues) -> DatasetConfig:
    """The data set that the flags name.

    Raises:
      UserError: flags don't go together.
    """
    return DatasetConfig(
        dataset=values.dataset,
        data_dir=values.data_dir,
        subset=values.subset,
        manifest=values.manifest,
        path_column=values.path_column,
        label_column=values.label_column,
        fold_column=values.fold_column,
        group_column=values.group_column,
        background_dir=values.background_dir,
        unknown_classes=tuple(values.unknown_classes),
    )


def features(values: flags.FlagValues) -> FeatureConfig:
    """The features that the flags describe.

    Raises:
      UserError: a value is out of range.
    """
    return FeatureConfig(
        windows=WindowConfig(seconds=values.window_seconds, overlap=values.window_overlap),
        spectrogram=SpectrogramConfig(
            mel_bands=values.mel_bands,
            floor_db=values.floor_db,
            colormap=values.colormap,
            image_channels=values.image_channels,
        ),
        beginning_seconds=program.numbers("beginning_seconds", values.beginning_seconds),
        pieces=program.integers("pieces", values.pieces),
    )


def extractor(values: flags.FlagValues) -> str:
    """The extractors, separated by commas."""
    return ",".join(values.extractor)


def cache_dir(values: flags.FlagValues) -> Path:
    """Where embeddings are kept."""
    return Path(values.cache_dir).expanduser()


def _define_dataset() -> None:
    flags.DEFINE_enum("dataset", None, DATASETS, "Layout of the recordings.", required=True)
    flags.DEFINE_string("data_dir", "", "Folder of the data set; on s3:// or gs:// too.")
    flags.DEFINE_enum("subset", "", ["", "esc10"], "Part of ESC-50 to use; all if empty.")
    flags.DEFINE_string(
        "manifest",
        "",
        "CSV file that lists the recordings of --dataset=csv, or a pattern of several; its paths, "
        "which may be patterns too, are relative to --data_dir, or to its own folder.",
    )
    for column in ("path", "label", "fold", "group"):
        flags.DEFINE_string(f"{column}_column", column, f"Column of --manifest with the {column}.")

    flags.DEFINE_string(
        "background_dir",
        "",
        "Folder of recordings in which nothing happens: they become the class 'background'.",
    )
    flags.DEFINE_list(
        "unknown_classes",
        [],
        "Classes to leave out of training, to test how well the score tells them from the others.",
    )


def _define_extractor() -> None:
    flags.DEFINE_multi_string(
        "extractor",
        [DEFAULT_EXTRACTOR],
        "URL or path of a TF Hub module (URLs are downloaded once, to TFHUB_CACHE_DIR), one that "
        "turns images into vectors or, like YAMNet, a waveform into a vector a frame; or gabor: "
        "the embedded filter bank, quick and without a download. Several, separated by commas or "
        "given one by one, answer together.",
    )
    flags.DEFINE_integer(
        "image_size", 0, "Height and width of the image, for modules that take any; 0: 299."
    )

    program.define_precision()


def _define_features() -> None:
    defaults, windows, spectrogram = FeatureConfig(), WindowConfig(), SpectrogramConfig()
    flags.DEFINE_float(
        "window_seconds",
        windows.seconds,
        "Sound in one image. Longer recordings are cut into windows, shorter ones padded.",
    )
    flags.DEFINE_float("window_overlap", windows.overlap, "Share of a window seen again.")
    flags.DEFINE_list(
        "beginning_seconds",
        [f"{seconds:g}" for seconds in defaults.beginning_seconds],
        "How much of a sound is in the beginnings learned from beside whole windows, so that the "
        "first live labels of a sound are right; empty: whole windows alone, which takes less "
        "time.",
    )
    flags.DEFINE_integer("mel_bands", spectrogram.mel_bands, "Mel bands of the spectrogram.")
    flags.DEFINE_float("floor_db", spectrogram.floor_db, "Bottom of the image below its peak, dB.")
    flags.DEFINE_string("colormap", spectrogram.colormap, "matplotlib colormap of the image.")
    flags.DEFINE_enum(
        "image_channels",
        spectrogram.image_channels,
        IMAGE_CHANNELS,
        "The channels of an image network's image: the colours of one spectrogram, or three "
        "spectrograms of short, middle and long frames.",
    )
    flags.DEFINE_list(
        "pieces",
        [str(pieces) for pieces in defaults.pieces],
        "In how many equal pieces a window is heard; several, such as 1,2,4, answer together, each "
        "with a head of its own, and take as many times as long as they have pieces.",
    )


def _define_cache() -> None:
    flags.DEFINE_float("max_bad_clips", 0.01, "Share of unreadable recordings that stops the run.")
    flags.DEFINE_string(
        "cache_dir",
        os.environ.get("SOUND_PIPELINE_CACHE", "~/.cache/sound_pipeline"),
        "Where embeddings are kept between runs.",
    )
    flags.DEFINE_string(
        "data_service",
        "",
        "Dispatcher whose workers read recordings and compute features, as grpc://host:5050 "
        "(python -m sound_pipeline.data_worker); they must see the files under the same paths.",
    )
