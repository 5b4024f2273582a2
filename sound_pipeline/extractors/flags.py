"""Flags of extractors."""

from __future__ import annotations

from absl import flags

from sound_pipeline.system.flag_groups import group

DEFAULT_EXTRACTOR = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
"""Downloaded once, by TensorFlow Hub."""


def define() -> None:
    """Defines the flags that say what embeds windows."""
    with group("Extractor", ("extractor",)):
        flags.DEFINE_string(
            "extractor",
            DEFAULT_EXTRACTOR,
            "What turns windows into embeddings: gabor, the embedded filter bank, fast and without "
            "a download; or the URL or path of a TF Hub module (URLs are downloaded once, to "
            "TFHUB_CACHE_DIR) for images, as Inception v3, or waveforms, as YAMNet. Several, "
            "separated by commas, get a head each and answer together.",
        )
        flags.DEFINE_integer(
            "image_size",
            0,
            "Height and width in pixels of the image, for modules that take any; 0 is 299. Smaller "
            "images take less time.",
        )
