"""An exported model, loaded and ready to answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.model_files import ModelInfo, read_info

Floats = npt.NDArray[np.float32]


class Model:
    """A loaded model.

    Attributes:
      info: its labels, window and suggested minimum score.
    """

    def __init__(self, directory: Path) -> None:
        """Loads the model.

        Args:
          directory: what `export_model` wrote, such as runs/demo/saved_model.

        Raises:
          UserError: the directory holds no model of this package.
        """
        self.info: ModelInfo = read_info(directory)
        try:
            self._loaded = tf.saved_model.load(str(directory))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"--model={directory}: does not load: {first_line(error)}") from error

    def scores(self, waveform: Floats, sample_rate_hz: int) -> Floats:
        """The score of every class: float32 [classes], which sum to 1.

        Args:
          waveform: float32 [samples], -1..1; padded with silence where shorter than a window.
          sample_rate_hz: its rate.
        """
        answer = self._loaded.signatures["with_rate"](
            waveform=tf.constant(waveform[np.newaxis]), sample_rate=tf.constant(sample_rate_hz)
        )
        return np.asarray(answer["scores"][0].numpy())

    def picture(self, waveform: Floats, sample_rate_hz: int) -> npt.NDArray[np.uint8]:
        """What the model sees of the first window: uint8 [299, 299, 3], RGB."""
        answer = self._loaded.signatures["spectrogram"](
            waveform=tf.constant(waveform[np.newaxis]), sample_rate=tf.constant(sample_rate_hz)
        )
        return np.asarray(answer["image"][0].numpy())
