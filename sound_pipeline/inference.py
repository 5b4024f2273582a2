"""An exported model, loaded and ready to answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.model_files import ModelInfo, read_info
from sound_pipeline.precision import choose_precision, computing_in, this_machine

Floats = npt.NDArray[np.float32]


class Model:
    """A loaded model.

    Attributes:
      info: its labels, window and suggested minimum score.
      choice: what scores are computed in, and why.
    """

    def __init__(self, directory: Path, precision: str = "float32") -> None:
        """Loads the model.

        Args:
          directory: what `export_model` wrote, such as runs/demo/saved_model.
          precision: what scores are computed in; one of `PRECISIONS`.

        Raises:
          UserError: the directory holds no model of this package, or the machine can't compute
            in that precision.
        """
        self.info: ModelInfo = read_info(directory)
        self.choice = choose_precision(precision, this_machine(), self.info.gains_from_less)
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
        # Around every call: the switch acts on the thread that calls, which need not be this one.
        with computing_in(self.choice.precision):
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
