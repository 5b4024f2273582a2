"""Waveforms and sample rates as callers have them, made what models take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.errors import UserError, check, first_line
from sound_pipeline.system.arrays import Floats

# Half the range of each integer type: what files and devices mean by full scale. There is no such
# custom for 64 bits, which NumPy makes of Python's integers.
_FULL_SCALE = {"int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31, "uint8": 2.0**7}
_ONE_CHANNEL = "give the samples of one channel, as [samples]"


def mono_samples(waveform: npt.ArrayLike) -> Floats:
    """One channel's samples, whatever real type they have: float32 [samples].

    Args:
      waveform: [samples]: floats in -1..1, or int8, int16, int32 or uint8 (128 is zero), which are
        scaled by their range.

    Raises:
      UserError: it has another shape, or a type whose full scale nobody knows.
    """
    try:
        samples: npt.NDArray[Any] = np.asarray(waveform)
    except ValueError as error:
        raise UserError(f"the waveform is no array ({first_line(error)}): {_ONE_CHANNEL}") from None
    check(samples.ndim == 1, f"the waveform has shape {list(samples.shape)}: {_ONE_CHANNEL}")
    return scaled_samples(samples)


def scaled_samples(samples: npt.NDArray[Any]) -> Floats:
    """Samples of any shape, as `mono_samples` takes them: float32 of the same shape."""
    # NumPy has no word of its own for TensorFlow's bfloat16.
    if samples.dtype.kind == "f" or samples.dtype.name == "bfloat16":
        return np.asarray(samples, np.float32)
    scale = _FULL_SCALE.get(samples.dtype.name, 0.0)
    check(
        scale > 0,
        f"the waveform is {samples.dtype.name}: give floats in -1..1, or 8, 16 or 32-bit integers",
    )
    zero = 128 if samples.dtype.kind == "u" else 0
    return np.asarray((samples.astype(np.float64) - zero) / scale, np.float32)


def whole_rate_hz(sample_rate_hz: Any) -> int:
    """A sample rate as an integer, whatever number it is.

    Raises:
      UserError: it is no number, or none that recordings have.
    """
    rate = np.asarray(sample_rate_hz)
    check(
        rate.ndim == 0 and rate.dtype.kind in "iuf" and math.isfinite(float(rate)),
        f"a sample rate of {sample_rate_hz!r} is no number of Hz",
    )
    check(
        MIN_SAMPLE_RATE_HZ <= float(rate) <= MAX_SAMPLE_RATE_HZ,
        f"a sample rate of {rate} Hz is not {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}",
    )
    return round(float(rate))
