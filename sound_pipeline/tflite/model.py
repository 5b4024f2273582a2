"""An exported .tflite model, loaded and ready to answer, without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sound_pipeline.audio.resampling import resample
from sound_pipeline.audio.samples import mono_samples, whole_rate_hz
from sound_pipeline.errors import UserError, check, first_line
from sound_pipeline.models.info import ModelInfo, check_labels, read_info
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.stderr import filtered_stderr

# A window of so many samples more than the model takes is still one: lengths are rounded twice.
_ROUNDING_SAMPLES = 2


class LiteModel:
    """A loaded model; the same to its caller as `inference.Model`, but for its limits.

    It looks at one window at its own sample rate; sound of another rate is resampled first.

    Attributes:
      info: its labels, window and suggested minimum score.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        """Loads the model.

        Args:
          path: a .tflite file of `sound_pipeline.tflite`.
          threads: processor cores that a call uses; 0 for all.

        Raises:
          UserError: the file holds no model of this package, or a library is missing.
        """
        self.info: ModelInfo = read_info(path)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(
                f"model {path}: needs ai-edge-litert ({error}); pip install ai-edge-litert"
            ) from error
        self._path = path
        self._rate = self.info.sample_rate_hz
        try:
            with filtered_stderr():
                self._interpreter = Interpreter(
                    model_path=str(path), num_threads=threads or os.cpu_count()
                )
                self._interpreter.allocate_tensors()
            self._answer = self._interpreter.get_signature_runner()
            (waveform,) = self._interpreter.get_input_details()
            (scores,) = self._interpreter.get_output_details()
            self._samples = int(waveform["shape"][1])
            classes = int(scores["shape"][1])
        # A damaged file raises whatever the code meets first.
        except Exception as error:
            raise UserError(
                f"model {path}: does not load: {first_line(error)}; copy or convert it again"
            ) from error
        check_labels(self.info, path, classes)
        check(
            self._samples == round(self.info.window_seconds * self._rate),
            f"model {path}: takes {self._samples} samples, not {self.info.window_seconds:g} s at "
            f"{self._rate} Hz; convert it again",
        )

    def scores(self, waveform: npt.ArrayLike, sample_rate_hz: int) -> Floats:
        """Score of every class: float32 [classes], which sum to 1.

        Args:
          waveform: [samples] of any type that `mono_samples` takes, of one window at the most;
            padded with silence where shorter.
          sample_rate_hz: its rate.

        Raises:
          ValueError: the waveform is longer than a window.
        """
        waveform = resample(mono_samples(waveform), whole_rate_hz(sample_rate_hz), self._rate)
        if len(waveform) > self._samples + _ROUNDING_SAMPLES:
            raise ValueError(f"{len(waveform)} samples; a window has {self._samples}")
        window = np.zeros((1, self._samples), np.float32)
        window[0, : len(waveform)] = waveform[: self._samples]
        return np.asarray(self._answer(waveform=window)["scores"][0])

    def image(self, waveform: Floats, sample_rate_hz: int) -> npt.NDArray[np.uint8]:
        """Always raises UserError: the file has no room for a second graph."""
        raise UserError(f"model {self._path}: makes no images; the saved_model does")
