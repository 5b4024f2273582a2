"""Recordings to look at and to listen to: an image and some seconds of sound each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio.decoding import decode_whole
from sound_pipeline.errors import UnreadableError
from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.image import display_image
from sound_pipeline.features.windows import split_windows

LONGEST_SECONDS = 10.0
"""What an excerpt holds of a longer recording."""


@dataclass(frozen=True, eq=False)
class Excerpt:
    """One tested recording, to look at and to listen to.

    Attributes:
      path: the file.
      label: the true name.
      predicted: the name it was given.
      score: that name's, 0..1.
      sample_rate_hz: of the recording.
      waveform: float32 [samples], -1..1, mono: the start of the recording, `LONGEST_SECONDS` at
        the most.
      image: uint8 [299, 299, 3], RGB: the recording's first audible window in the colours of
        `SpectrogramConfig.colormap`.
    """

    path: str
    label: str
    predicted: str
    score: float
    sample_rate_hz: int
    waveform: npt.NDArray[np.float32]
    image: npt.NDArray[np.uint8]


def excerpts(predictions: Predictions, rows: Sequence[int], config: FeatureConfig) -> list[Excerpt]:
    """Recordings in some rows, read again from disk, in the order given.

    Raises:
      UserError: a recording can't be read any more.
    """

    @partial(
        tf.function,
        input_signature=[tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    def draw(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        windows = split_windows(waveform[None], rate, config)
        first = tf.argmax(tf.cast(windows.audible[0], tf.int32))
        return display_image(windows.waveform[:, first], rate, config)[0]

    found = []
    for row in rows:
        path = str(predictions.paths[row])
        waveform, rate, reason, _ = decode_whole(path)
        if reason:
            raise UnreadableError(path, reason)
        shown = waveform[: round(LONGEST_SECONDS * rate)]
        found.append(
            Excerpt(
                path=path,
                label=str(predictions.labels[row]),
                predicted=predictions.classes[predictions.predicted[row]],
                score=float(predictions.score[row]),
                sample_rate_hz=rate,
                waveform=shown.clip(-1.0, 1.0),
                image=draw(waveform, rate).numpy(),
            )
        )
    return found


def most_confident_mistakes(predictions: Predictions, count: int) -> list[int]:
    """Rows of known classes with a wrong answer, the highest score first; equals by row."""
    wrong = np.flatnonzero(~predictions.right & (predictions.truth >= 0))
    order = np.argsort(-predictions.score[wrong], kind="stable")
    return [int(row) for row in wrong[order[:count]]]


def one_of_each_class(predictions: Predictions) -> list[int]:
    """First row of each class that was tested, in the order of `classes`."""
    classes, first = np.unique(predictions.truth, return_index=True)
    return [int(row) for row in first[classes >= 0]]
