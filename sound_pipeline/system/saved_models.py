"""SavedModels, loaded or refused."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf

from sound_pipeline.errors import UserError, first_line


def load_saved_model(path: str, name: str, remedy: str) -> Any:
    """The object of a SavedModel.

    Args:
      path: its folder, wherever TensorFlow reads it from.
      name: what to call it in a message.
      remedy: what to do where it is damaged.

    Raises:
      UserError: it does not load.
    """
    try:
        # Loading goes on without it, but prints a traceback where it is damaged.
        with contextlib.suppress(FileNotFoundError):
            tf.saved_model.experimental.read_fingerprint(path)
        return tf.saved_model.load(path)
    # A damaged file raises whatever the code meets first: IndexError, KeyError, DecodeError.
    except Exception as error:
        raise UserError(f"{name}: does not load: {first_line(error)}; {remedy}") from error
