"""An exported model, loaded and ready to answer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.audio.samples import mono_samples, scaled_samples, whole_rate_hz
from sound_pipeline.errors import UserError, check
from sound_pipeline.events.event import Event
from sound_pipeline.events.find_events import NOT_NUMBERS, LabelConfig, WindowScores, find_events
from sound_pipeline.events.min_scores import MinScores
from sound_pipeline.features.config import FeatureConfig, with_window_hop
from sound_pipeline.features.levels import mean_power, usable_windows
from sound_pipeline.features.window_stream import WindowStream
from sound_pipeline.models.info import WINDOWS_SIGNATURE, ModelInfo, check_labels, read_info
from sound_pipeline.models.window_scores import Answer, BatchAnswer, Batches, WindowAnswers
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.precision import choose_precision, computing_in, this_machine
from sound_pipeline.system.saved_models import load_saved_model

Sound = str | os.PathLike[str] | tuple[npt.ArrayLike, int]
"""A recording's path, or its waveform [samples] (see `mono_samples`) and sample rate in Hz."""


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
        self.choice = choose_precision(
            precision, this_machine(), self.info.benefits_from_low_precision
        )
        self._loaded = load_saved_model(
            str(directory), f"model {directory}", "copy or export it again"
        )
        try:
            scores = self._loaded.signatures["with_rate"].structured_outputs["scores"]
        except (AttributeError, KeyError) as error:
            raise UserError(
                f"model {directory}: its graph has no scores; copy or export it again"
            ) from error
        check_labels(self.info, directory, scores.shape[-1])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores."""
        return self.info.labels

    def label(
        self,
        sound: Sound,
        *,
        min_score: float | Mapping[str, float] | None = None,
        unknown: bool = False,
        hop_seconds: float | None = None,
    ) -> list[Event]:
        """Events of a recording of any length, in constant memory for a file.

        Args:
          sound: a path, or a waveform and its rate.
          min_score: the score that labels need, 0..1, or that of some labels, the others needing
            what the model suggests; None: what the model suggests.
          unknown: whether to report sound that no label has enough score for, as "unknown".
          hop_seconds: from window to window; None: as in training.

        Returns:
          Events in the order of time; see `sound_pipeline.events.find_events.find_events`.

        Raises:
          UserError: the recording can't be read, or an argument is out of range.
        """
        if isinstance(min_score, Mapping):
            min_scores = MinScores(self.info.min_score, min_score)
        else:
            min_scores = MinScores(self.info.min_score if min_score is None else min_score)
        config = LabelConfig(min_scores, report_unknown=unknown)
        windows = self.windows(sound, hop_seconds=hop_seconds)
        check(windows.are_numbers, NOT_NUMBERS)
        return find_events(windows, self.labels, config)[0]

    def windows(self, sound: Sound, *, hop_seconds: float | None = None) -> WindowScores:
        """Scores of every window of a recording; arguments and errors as in `label`."""
        features = with_window_hop(self.info.features, hop_seconds)
        return self._ask(sound, features, self.window_scores).as_scores(features)

    def embed(self, sound: Sound) -> Floats:
        """Mean embedding of a recording's windows: float32 [D].

        Windows that are quiet beside the loudest are left out, as in training.

        Args:
          sound: a path, or a waveform and its rate.

        Raises:
          UserError: the recording can't be read.
        """
        features = self.info.features
        rows = self._ask(sound, features, self.window_embeddings)
        audible = np.stack(rows.answers)[rows.is_audible(features)]
        return np.asarray(audible.mean(axis=0))

    def scores(self, waveform: npt.ArrayLike, sample_rate_hz: int) -> Floats:
        """Score of every class: float32 [classes], which sum to 1.

        Args:
          waveform: [samples] of any type that `mono_samples` takes; padded with silence where
            shorter than a window.
          sample_rate_hz: its rate.

        Raises:
          UserError: as of `mono_samples`; the rate is none.
        """
        batch, rate = mono_samples(waveform)[np.newaxis], whole_rate_hz(sample_rate_hz)
        (scores,) = self._call("with_rate", ["scores"], batch, rate)
        return np.asarray(scores[0])

    def window_scores(self, windows: Floats | tf.Tensor, sample_rate_hz: int) -> BatchAnswer:
        """Scores [batch, classes] of windows [batch, samples], each exactly one window long.

        Args:
          windows: of a type that `mono_samples` takes.
          sample_rate_hz: their rate.
        """
        return self._each_window("scores", windows, sample_rate_hz)

    def window_embeddings(self, windows: Floats | tf.Tensor, sample_rate_hz: int) -> BatchAnswer:
        """Embeddings [batch, D] of windows [batch, samples], each exactly one window long."""
        return self._each_window("embedding", windows, sample_rate_hz)

    def image(self, waveform: npt.ArrayLike, sample_rate_hz: int) -> npt.NDArray[np.uint8]:
        """First window in the colours of the model's colormap: uint8 [299, 299, 3], RGB."""
        batch, rate = mono_samples(waveform)[np.newaxis], whole_rate_hz(sample_rate_hz)
        (images,) = self._call("spectrogram", ["image"], batch, rate)
        return np.asarray(images[0], np.uint8)

    def signature(self, name: str) -> Any:
        """One of the exported functions; docs/saved_model.md has them."""
        return self._loaded.signatures[name]

    def _each_window(
        self, name: str, windows: Floats | tf.Tensor, sample_rate_hz: int
    ) -> BatchAnswer:
        if windows.dtype not in (tf.float32, np.float32):
            windows = scaled_samples(np.asarray(windows))
        if WINDOWS_SIGNATURE in self._loaded.signatures:
            names = [name, "power"]
            return BatchAnswer(*self._call(WINDOWS_SIGNATURE, names, windows, sample_rate_hz))
        # Models that were exported before there was this signature: the others take a window for a
        # recording, and give the same numbers, but not its power.
        older = {"scores": "with_rate", "embedding": "embedding"}[name]
        (values,) = self._call(older, [name], windows, sample_rate_hz)
        power = mean_power(usable_windows(tf.convert_to_tensor(windows)))
        return BatchAnswer(values, power.numpy())

    def _call(
        self,
        signature: str,
        names: Sequence[str],
        waveforms: Floats | tf.Tensor,
        sample_rate_hz: int,
    ) -> list[Floats]:
        """Some of what a signature says."""
        # Around every call: the switch acts on the thread that calls, which need not be this one.
        with computing_in(self.choice.precision):
            answer = self.signature(signature)(
                waveform=tf.convert_to_tensor(waveforms, tf.float32),
                sample_rate=tf.constant(sample_rate_hz),
            )
        return [np.asarray(answer[name].numpy()) for name in names]

    @staticmethod
    def _ask(sound: Sound, features: FeatureConfig, answer: Answer) -> WindowAnswers:
        rows = WindowAnswers()
        with contextlib.ExitStack() as open_things:
            if not isinstance(sound, str | os.PathLike):
                blocks, rate = _checked(sound)
            else:
                recording = open_things.enter_context(AudioReader(os.fspath(sound)))
                recording.log_remark()
                blocks, rate = recording.blocks, recording.sample_rate_hz
            batches = open_things.enter_context(Batches(answer))
            stream = WindowStream(blocks, rate, features)
            for window in stream:
                batches.add(window, rate, rows)
            rows.samples = stream.samples
            batches.finish()
        return rows


def _checked(sound: tuple[npt.ArrayLike, int]) -> tuple[Iterator[Floats], int]:
    """A waveform as one block, and its rate; raises UserError where they are none."""
    check(
        isinstance(sound, tuple) and len(sound) == 2,
        f"a {type(sound).__name__} is no sound: give a path, or a tuple of a waveform and its rate",
    )
    waveform, sample_rate_hz = sound
    samples = mono_samples(waveform)
    check(samples.size > 0, "the waveform has shape [0]: give at least one sample")
    return iter([samples]), whole_rate_hz(sample_rate_hz)
