"""Any TF Hub image feature-vector module as an extractor."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.extractors.base import Extractor, spectrogram_fields
from sound_pipeline.extractors.hub import HubFunction, HubModule
from sound_pipeline.features import image
from sound_pipeline.features.config import FeatureConfig

DEFAULT_IMAGE_SIZE = 299


class HubImageExtractor(Extractor):
    """A module that turns images float32 [batch, height, width, 3], 0..1, into vectors.

    The size of the image is read from the module.
    """

    # Deep networks of convolutions; the filter bank takes under two milliseconds a window in
    # float32, and no less in bfloat16.
    benefits_from_low_precision = True

    def __init__(self, loaded: HubModule, config: FeatureConfig, image_size: int = 0) -> None:
        """Wraps a module.

        Args:
          loaded: one that `takes_images`.
          config: the features of the image.
          image_size: height and width where the module takes any; 0 for 299.

        Raises:
          UserError: it isn't an image feature-vector module, or takes another size.
        """
        handle = loaded.handle
        self._function = next(filter(_takes_images, loaded.functions))
        _, height, width, _ = self._function.spec.shape
        asked = image_size or DEFAULT_IMAGE_SIZE
        self.height = height or asked
        self.width = width or asked
        if image_size and (self.height, self.width) != (image_size, image_size):
            raise UserError(
                f"--image_size={image_size}: {handle} takes {self.height}x{self.width} images; "
                "leave the flag out"
            )
        super().__init__(
            handle=handle,
            embedding_size=_embedding_size(self._function, self.height, self.width, handle),
            fingerprint=f"{loaded.content}-{self.height}x{self.width}",
            config=config,
        )
        # Tracked, so that its weights travel inside the exported model.
        self.module = loaded.module

    @property
    def depends_on(self) -> dict[str, Any]:
        """All of the spectrogram, and its colours."""
        return spectrogram_fields(self.config)

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Image: float32 [batch, height, width, 3], 0..1; see `image.coloured_image`."""
        return image.coloured_image(waveform, sample_rate_hz, self.height, self.width, self.config)

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Pictures to embeddings float32 [batch, embedding_size]."""
        vectors = _vector(self._function.call(prepared))
        return tf.ensure_shape(vectors, [None, self.embedding_size])


def takes_images(loaded: HubModule) -> bool:
    """Whether a module has a function of one batch of images [batch, height, width, 3]."""
    return any(map(_takes_images, loaded.functions))


def _takes_images(function: HubFunction) -> bool:
    return bool(function.spec.shape.rank == 4 and function.spec.shape[-1] == 3)


def _vector(output: Any) -> tf.Tensor:
    """Embedding among a module's outputs."""
    if isinstance(output, dict):
        return output["default"] if "default" in output else next(iter(output.values()))
    return output


def _embedding_size(function: HubFunction, height: int, width: int, handle: str) -> int:
    try:
        vector = _vector(function.tried(tf.zeros([1, height, width, 3])))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(
            f"--extractor={handle}: the module refuses a {height}x{width} image: "
            f"{first_line(error)}"
        ) from error
    if not tf.is_tensor(vector) or vector.shape.rank != 2:
        given = vector.shape if tf.is_tensor(vector) else f"a {type(vector).__name__}"
        raise UserError(
            f"--extractor={handle}: the module gives {given}, not [batch, numbers]; give a "
            "feature-vector module"
        )
    return int(vector.shape[1])
