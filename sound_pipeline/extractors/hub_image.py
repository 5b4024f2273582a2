"""Any TF Hub image feature-vector module as an extractor."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from sound_pipeline import features
from sound_pipeline.config import FeatureConfig
from sound_pipeline.errors import UserError, first_line
from sound_pipeline.extractors.base import Extractor

DEFAULT_IMAGE_SIZE = 299
_SIGNATURES = ("image_feature_vector", "default", "serving_default")
_DOWNLOAD_TIMEOUT_SECONDS = 60.0


class HubImageExtractor(Extractor):
    """A module that turns pictures float32 [batch, height, width, 3], 0..1, into vectors.

    TF2 SavedModels with a callable object are taken, and modules that offer only a signature
    (the older TF1 hub format among them). The size of the picture is read from the module.
    """

    # Deep networks of convolutions; the filter bank takes under two milliseconds a window in
    # float32, and no less in bfloat16.
    gains_from_less = True

    def __init__(self, handle: str, config: FeatureConfig, image_size: int = 0) -> None:
        """Loads the module.

        Args:
          handle: URL or path.
          config: the features of the picture.
          image_size: height and width where the module takes any; 0 for 299.

        Raises:
          UserError: the module can't be reached, or isn't an image feature-vector module.
        """
        path = _resolve(handle)
        try:
            module = tf.saved_model.load(path)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"--extractor={handle}: {path} does not load as a SavedModel: {first_line(error)}"
            ) from error
        entry = _image_entry(module, handle)
        asked = image_size or DEFAULT_IMAGE_SIZE
        self.height = entry.height or asked
        self.width = entry.width or asked
        if image_size and (self.height, self.width) != (image_size, image_size):
            raise UserError(
                f"--image_size={image_size}: {handle} takes {self.height}x{self.width} pictures; "
                "leave the flag out"
            )
        self._embed = entry.call
        super().__init__(
            handle=handle,
            embedding_size=_embedding_size(entry.call, self.height, self.width, handle),
            fingerprint=f"{_content_hash(Path(path))}-{self.height}x{self.width}",
            config=config,
        )
        # Tracked, so that its weights travel inside the exported model.
        self.module = module

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """The coloured picture: float32 [batch, height, width, 3], RGB, 0..1."""
        return features.coloured_picture(
            waveform, sample_rate_hz, self.height, self.width, self.config
        )

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Coloured pictures to embeddings float32 [batch, embedding_size]."""
        return tf.ensure_shape(self._embed(prepared), [None, self.embedding_size])


class _Entry(NamedTuple):
    """How to call a module, and the picture it wants (None: any size)."""

    call: Callable[[tf.Tensor], tf.Tensor]
    height: int | None
    width: int | None


def _resolve(handle: str) -> str:
    """URL or path to the folder of a SavedModel, downloaded where needed."""
    if "://" not in handle:
        path = Path(handle).expanduser()
        if not (path / "saved_model.pb").is_file():
            raise UserError(
                f"--extractor={handle}: no such module (a folder with a saved_model.pb); give "
                "gabor, the URL of a TF Hub image feature-vector module, or the path of one"
            )
        return str(path)
    import tensorflow_hub

    try:
        with _download_timeout():
            return str(tensorflow_hub.resolve(handle))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(
            f"--extractor={handle}: the module can't be fetched ({first_line(error)}); check the "
            "network, or set TFHUB_CACHE_DIR to a folder that holds it, or download it elsewhere "
            "and give its path, or use --extractor=gabor, which needs no download"
        ) from error


@contextmanager
def _download_timeout() -> Iterator[None]:
    """tensorflow_hub sets none of its own: a silent network would hang the program for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _image_entry(module: Any, handle: str) -> _Entry:
    """Finds the function of a loaded module that takes one batch of pictures."""
    takes = []
    for call, spec in _single_input_functions(module):
        if spec.shape.rank == 4 and spec.shape[-1] == 3:
            return _Entry(call, spec.shape[1], spec.shape[2])
        is_waveform = spec.shape.rank == 1 and spec.dtype.is_floating
        takes.append("waveforms" if is_waveform else f"{spec.dtype.name}{spec.shape}")
    raise UserError(
        f"--extractor={handle}: the module takes {' or '.join(dict.fromkeys(takes)) or 'no input'},"
        " not pictures [batch, height, width, 3]; give an image feature-vector module"
    )


def _single_input_functions(
    module: Any,
) -> Iterator[tuple[Callable[[tf.Tensor], tf.Tensor], tf.TensorSpec]]:
    """The functions a module offers for one tensor, and what each wants."""
    if callable(module):
        for function in module.__call__.concrete_functions:
            arguments, keywords = function.structured_input_signature
            if arguments and isinstance(arguments[0], tf.TensorSpec):
                trains = len(arguments) > 1 or "training" in keywords
                frozen = {"training": False} if trains else {}
                yield partial(_call_object, module, frozen), arguments[0]
    for name in _SIGNATURES:
        if name in getattr(module, "signatures", {}):
            signature = module.signatures[name]
            inputs = signature.structured_input_signature[1]
            if len(inputs) == 1:
                ((key, spec),) = inputs.items()
                yield partial(_call_signature, signature, key), spec


def _call_object(module: Any, frozen: dict[str, bool], pictures: tf.Tensor) -> tf.Tensor:
    return _vector(module(pictures, **frozen))


def _call_signature(signature: Any, key: str, pictures: tf.Tensor) -> tf.Tensor:
    return _vector(signature(**{key: pictures}))


def _vector(output: Any) -> tf.Tensor:
    """The embedding among a module's outputs."""
    if isinstance(output, dict):
        return output["default"] if "default" in output else next(iter(output.values()))
    return output


def _embedding_size(
    call: Callable[[tf.Tensor], tf.Tensor], height: int, width: int, handle: str
) -> int:
    try:
        vector = call(tf.zeros([1, height, width, 3]))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(
            f"--extractor={handle}: the module refuses a {height}x{width} picture: "
            f"{first_line(error)}"
        ) from error
    if not tf.is_tensor(vector) or vector.shape.rank != 2:
        given = vector.shape if tf.is_tensor(vector) else f"a {type(vector).__name__}"
        raise UserError(
            f"--extractor={handle}: the module gives {given}, not [batch, numbers]; give a "
            "feature-vector module"
        )
    return int(vector.shape[1])


def _content_hash(path: Path) -> str:
    digest = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            file = Path(folder) / name
            digest.update(str(file.relative_to(path)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:32]
