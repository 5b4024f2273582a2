"""TF Hub modules of every kind: fetched, loaded, and asked what they take."""

from __future__ import annotations

import hashlib
import http.client
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.system.saved_models import load_saved_model

logger = logging.getLogger(__name__)

_SIGNATURES = ("image_feature_vector", "default", "serving_default")
_DOWNLOAD_TIMEOUT_SECONDS = 60.0
_READ_BYTES = 1 << 20


class HubFunction(NamedTuple):
    """A function of a module that takes one tensor.

    Attributes:
      call: the tensor to whatever the module gives of it; never as in training.
      spec: what the tensor must be.
    """

    call: Callable[[tf.Tensor], Any]
    spec: tf.TensorSpec

    def tried(self, tensor: tf.Tensor) -> Any:
        """Calls the function on one device.

        Under a tf.distribute.Strategy the weights are on every device, and a loaded function can
        only be called by one that has been told which it is.
        """
        strategy = tf.distribute.get_strategy()
        answer = strategy.run(tf.function(self.call, autograph=False), args=(tensor,))
        return tf.nest.map_structure(
            lambda values: strategy.experimental_local_results(values)[0], answer
        )


class HubModule(NamedTuple):
    """A loaded module.

    Attributes:
      handle: what the user gave as --extractor.
      content: changes with the module's files.
      module: the loaded object, which holds the weights.
      functions: what it offers for one tensor.
    """

    handle: str
    content: str
    module: Any
    functions: Sequence[HubFunction]

    def takes(self) -> str:
        """Describes the inputs of its functions, for messages."""
        takes = [f"{function.spec.dtype.name}{function.spec.shape}" for function in self.functions]
        return " or ".join(dict.fromkeys(takes)) or "no input"


def load_hub_module(handle: str) -> HubModule:
    """Loads a module by URL or path.

    TF2 SavedModels with a callable object are taken, and modules that offer only a signature
    (the older TF1 hub format among them).

    Raises:
      UserError: it can't be reached or loaded.
    """
    path = _resolve(handle)
    name = f"--extractor={handle}: the SavedModel {path}"
    remedy = "delete that folder, if it is a cache's, and get the module anew"
    try:
        content = content_hash(path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"{name}: can't be read: {first_line(error)}; {remedy}") from error
    module = load_saved_model(path, name, remedy)
    functions = tuple(_single_input_functions(module))
    return HubModule(handle, content, module, functions)


def _resolve(handle: str) -> str:
    """URL or path to the folder of a SavedModel, downloaded where needed."""
    if "://" not in handle:
        path = Path(handle).expanduser()
        if not (path / "saved_model.pb").is_file():
            raise UserError(
                f"--extractor={handle}: no such module (a folder with a saved_model.pb); give "
                "gabor, the URL of a TF Hub module for images or waveforms, or the path of one"
            )
        return str(path)
    import tensorflow_hub

    _say_what_is_waited_for(handle)
    try:
        with _download_timeout():
            return str(tensorflow_hub.resolve(handle))
    except (
        OSError, ValueError, RuntimeError, http.client.HTTPException, tf.errors.OpError
    ) as error:  # fmt: skip
        raise UserError(
            f"--extractor={handle}: the module can't be fetched ({first_line(error)}); check the "
            "network, or set TFHUB_CACHE_DIR to a folder that holds it, or download it elsewhere "
            "and give its path, or use --extractor=gabor, which needs no download"
        ) from error


def _say_what_is_waited_for(handle: str) -> None:
    """Warns of the lock of another download, for which tensorflow_hub waits without a word."""
    from tensorflow_hub import resolver

    cache = Path(resolver.tfhub_cache_dir(use_temp=True))
    module = cache / hashlib.sha1(handle.encode()).hexdigest()
    lock = cache / f"{module.name}.lock"
    if lock.is_file() and not module.is_dir():
        logger.warning(
            "--extractor=%s: waiting for another program that downloads it, up to 20 minutes after "
            "its last sign of life; if there is none, delete %s",
            handle,
            lock,
        )


@contextmanager
def _download_timeout() -> Iterator[None]:
    """tensorflow_hub sets none of its own: a silent network would hang the program for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _single_input_functions(module: Any) -> Iterator[HubFunction]:
    """Functions a module offers for one tensor, and what each wants."""
    if callable(module):
        for function in module.__call__.concrete_functions:
            arguments, keywords = function.structured_input_signature
            if arguments and isinstance(arguments[0], tf.TensorSpec):
                trains = len(arguments) > 1 or "training" in keywords
                yield HubFunction(partial(_call_object, module, trains), arguments[0])
    for name in _SIGNATURES:
        if name in getattr(module, "signatures", {}):
            signature = module.signatures[name]
            inputs = signature.structured_input_signature[1]
            if len(inputs) == 1:
                ((key, spec),) = inputs.items()
                yield HubFunction(partial(_call_signature, signature, key), spec)


def _call_object(module: Any, trains: bool, tensor: tf.Tensor) -> Any:
    return module(tensor, training=False) if trains else module(tensor)


def _call_signature(signature: Any, key: str, tensor: tf.Tensor) -> Any:
    return signature(**{key: tensor})


def content_hash(path: str) -> str:
    """Digest of all files of a module, wherever TensorFlow reads it from: 32 hexadecimal digits.

    Raises:
      OSError, tf.errors.OpError: a file can't be read.
      ValueError: there is none, so nothing would tell this module from another.
    """
    digest = hashlib.sha256()
    files = 0
    # Unlike os.walk it goes into linked folders, as caches have them, and reads gs:// and so on.
    for folder, _, names in sorted(tf.io.gfile.walk(path)):
        for name in sorted(names):
            file = f"{folder.rstrip('/')}/{name}"
            digest.update(file.removeprefix(path.rstrip("/")).strip("/").encode())
            with tf.io.gfile.GFile(file, "rb") as contents:
                while block := contents.read(_READ_BYTES):
                    digest.update(block)
            files += 1
    if not files:
        raise ValueError("its files can't be listed, so that it can't be told from other modules")
    return digest.hexdigest()[:32]
