"""A model that is being loaded while sound is heard already."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sound_pipeline.models.info import ModelInfo, is_lite
from sound_pipeline.system.arrays import Floats

if TYPE_CHECKING:
    from sound_pipeline.models.model import Model
    from sound_pipeline.tflite.model import LiteModel


class LoadingModel:
    """Loads a model in a thread of its own and warms it up; whoever asks it something waits.

    As a context it waits for the thread at its end: TensorFlow doesn't survive an interpreter
    that ends while it is imported.

    Attributes:
      info: its labels, window and suggested minimum score.
    """

    def __init__(
        self,
        path: Path,
        info: ModelInfo,
        sample_rate_hz: int,
        precision: str = "float32",
        threads: int = 0,
    ) -> None:
        """Starts to load.

        Args:
          path: an exported model, the folder of a SavedModel or a .tflite file.
          info: what `read_info` said of it.
          sample_rate_hz: of the sound it will be asked about.
          precision: what its scores are computed in (see `Model`).
          threads: processor cores that a .tflite model uses; 0 for all.
        """
        self.info = info
        self._path = path
        self._rate = sample_rate_hz
        self._precision = precision
        self._threads = threads
        self._model: Model | LiteModel | None = None
        self._failure: BaseException | None = None
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._load, name="loading", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float | None:
        """Seconds that loading took; None while it goes on.

        Raises:
          UserError: the model can't be loaded.
        """
        if self._thread.is_alive():
            return None
        if self._failure is not None:
            raise self._failure
        return self._seconds

    def scores(self, waveform: Floats, sample_rate_hz: int) -> Floats:
        """As `Model.scores`; raises what went wrong with loading."""
        return self._loaded().scores(waveform, sample_rate_hz)

    def image(self, waveform: Floats, sample_rate_hz: int) -> npt.NDArray[np.uint8]:
        """As `Model.image`; raises what went wrong with loading."""
        return self._loaded().image(waveform, sample_rate_hz)

    def wait(self) -> None:
        """Returns once loading is over, well or not."""
        self._thread.join()

    def __enter__(self) -> LoadingModel:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits for the thread."""
        self.wait()

    def _load(self) -> None:
        started = time.monotonic()
        try:
            model = self._read()
            # The first call prepares the graph, which takes as long as many calls.
            silence = np.zeros(round(self.info.window_seconds * self._rate), np.float32)
            model.scores(silence, self._rate)
            self._model = model
        except BaseException as failure:
            self._failure = failure
        self._seconds = time.monotonic() - started

    def _read(self) -> Model | LiteModel:
        if is_lite(self._path):
            from sound_pipeline.tflite.model import LiteModel

            return LiteModel(self._path, self._threads)
        # Here, because it imports TensorFlow, which takes seconds.
        from sound_pipeline.models.model import Model

        return Model(self._path, self._precision)

    def _loaded(self) -> Model | LiteModel:
        self.wait()
        if self._failure is not None:
            raise self._failure
        assert self._model is not None
        return self._model
