"""The recordings that a program is given, as files and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets import AUDIO_SUFFIXES
from sound_pipeline.datasets.folders import files_below
from sound_pipeline.errors import UserError


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


# The bytes of a recording to its waveform, sample rate and, where it has none, the reason.
Decode = Callable[[bytes], tuple[npt.NDArray[np.float32], int, str]]


def read_recording(path: str, decode: Decode) -> tuple[npt.NDArray[np.float32], int]:
    """Reads and decodes one recording to mono.

    Args:
      path: the file.
      decode: `audio.decode_bytes`, or `sndfile.decode`, which needs no TensorFlow.

    Returns:
      waveform: float32 [samples].
      sample_rate_hz: its rate.

    Raises:
      UserError: it can't be read; the message names it and the reason.
    """
    try:
        path.encode()
        contents = Path(path).read_bytes()
    except UnicodeEncodeError as error:
        raise UserError(f"{path!r}: the file name is not UTF-8: rename it") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    waveform, rate, reason = decode(contents)
    if reason:
        raise UserError(f"{path}: {reason}")
    return waveform, rate
