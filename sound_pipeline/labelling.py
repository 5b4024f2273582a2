"""An exported model applied to recordings on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio import decode_bytes
from sound_pipeline.datasets import AUDIO_SUFFIXES
from sound_pipeline.datasets.folders import files_below
from sound_pipeline.errors import UserError, first_line


@dataclasses.dataclass(frozen=True)
class WindowLabel:
    """What a model says about one window of a recording.

    Attributes:
      start_seconds: from the start of the recording.
      end_seconds: likewise; the recording's end where the window reaches beyond it.
      label: the class with the highest score.
      score: its score, 0..1.
      scores: float32 [classes], all of them.
    """

    start_seconds: float
    end_seconds: float
    label: str
    score: float
    scores: npt.NDArray[np.float32]


def load_model(directory: Path) -> Any:
    """Loads an exported model.

    Raises:
      UserError: the directory holds no model of this package.
    """
    if not (directory / "saved_model.pb").is_file():
        inner = directory / "saved_model"
        hint = f"did you mean {inner}?" if inner.is_dir() else "train one with train.py"
        raise UserError(f"--model={directory}: holds no SavedModel; {hint}")
    try:
        model = tf.saved_model.load(str(directory))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"--model={directory}: does not load: {first_line(error)}") from error
    missing = [name for name in ("labels", "sample_rate", "signatures") if not hasattr(model, name)]
    if missing or "recording" not in model.signatures:
        raise UserError(
            f"--model={directory}: is a SavedModel, but not one exported by sound_pipeline; give "
            "the saved_model folder of a run"
        )
    return model


def find_recordings(paths: Sequence[str]) -> list[str]:
    """The files among `paths` and those below the folders among them, in order.

    Raises:
      UserError: a path doesn't exist, or a folder holds no audio file.
    """
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            below = sorted(files_below(path, AUDIO_SUFFIXES))
            if not below:
                raise UserError(f"--input={path}: no audio file below this folder")
            found += below
        elif Path(path).exists():
            found.append(path)
        else:
            raise UserError(f"--input={path}: no such file or folder")
    return found


def label_recording(model: Any, path: str) -> Iterator[WindowLabel]:
    """Labels the windows of one recording.

    Raises:
      UserError: it can't be read.
    """
    try:
        path.encode()
        contents = Path(path).read_bytes()
    except UnicodeEncodeError as error:
        raise UserError(f"{path!r}: the file name is not UTF-8: rename it") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    waveform, rate, reason = decode_bytes(contents)
    if reason:
        raise UserError(f"{path}: {reason}")
    answer = model.signatures["recording"](
        waveform=tf.constant(waveform), sample_rate=tf.constant(rate)
    )
    names = [name.decode() for name in model.labels.numpy()]
    seconds = len(waveform) / rate
    window_seconds = float(model.window_seconds)
    for start, scores in zip(
        answer["start_seconds"].numpy(), answer["scores"].numpy(), strict=True
    ):
        best = int(scores.argmax())
        yield WindowLabel(
            float(start),
            min(float(start) + window_seconds, seconds),
            names[best],
            float(scores[best]),
            scores,
        )
