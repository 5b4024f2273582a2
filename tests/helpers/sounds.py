"""Sounds with known properties, and a graph function run both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import tensorflow as tf

Floats = npt.NDArray[np.float32]


def centred(window: Floats) -> Floats:
    """A window without its constant offset, as models see it."""
    mean = window.mean(dtype=np.float64) if len(window) else 0.0
    return window - np.float32(mean)


def noise(samples: int, level: float = 0.1, seed: int = 0) -> Floats:
    """Seeded white noise of a root mean square of `level`."""
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tone(hz: float, samples: int, rate_hz: int, level: float = 0.1) -> Floats:
    return (level * np.sin(2 * np.pi * hz * np.arange(samples) / rate_hz)).astype(np.float32)


def chirp(samples: int, rate_hz: int, top_hz: float) -> Floats:
    """A sweep from 50 Hz to `top_hz`, evenly spread over the octaves."""
    seconds = np.arange(samples) / rate_hz
    octaves = np.log(top_hz / 50) / (samples / rate_hz)
    return (0.5 * np.sin(2 * np.pi * 50 / octaves * np.expm1(octaves * seconds))).astype(np.float32)


def clicks(samples: int, every: int) -> Floats:
    waveform = np.zeros(samples, np.float32)
    waveform[every // 2 :: every] = 0.9
    return waveform


def continuous_sound(rate_hz: int, seconds: float, top_hz: float) -> Floats:
    """One sound below `top_hz`, sampled where `rate_hz` asks: no resampler comes into it.

    A wavering harmonic tone whose partials pulse, over weak steady tones.
    """
    random = np.random.default_rng(0)
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    waveform = np.zeros_like(time)
    for partial in range(1, int(top_hz * 0.97 / 190)):
        pulse = 0.6 + 0.4 * np.sin(2 * np.pi * (1 + 0.3 * partial) * time + partial)
        waver = 3 * np.sin(2 * np.pi * 1.3 * time) + random.uniform(0, 6)
        waveform += 0.12 / partial * pulse * np.sin(2 * np.pi * 190 * partial * time + waver)
    for hz in np.geomspace(60, top_hz, 60):
        waveform += 0.0005 * np.sin(2 * np.pi * hz * time + random.uniform(0, 6))
    return waveform.astype(np.float32)


def write_wav(path: Path, waveform: npt.NDArray[Any], rate_hz: int) -> str:
    """Writes float samples [samples] or [samples, channels]; returns the path as text."""
    soundfile.write(path, waveform, rate_hz, subtype="FLOAT")
    return str(path)


def eager_and_mapped(
    function: Callable[..., Any], *arguments: npt.ArrayLike, tolerance: float = 1e-6
) -> Any:
    """Runs a function eagerly and in `Dataset.map` with all sizes unknown; both must agree.

    Returns:
      What it returns, as numpy arrays: one, or a list where it returns several.
    """
    tensors = [tf.convert_to_tensor(argument) for argument in arguments]
    specs = tuple(tf.TensorSpec([None] * tensor.shape.rank, tensor.dtype) for tensor in tensors)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([tuple(tensors)]), output_signature=specs
    ).map(function)
    eager, mapped = function(*tensors), next(iter(dataset))
    pairs = list(zip(tf.nest.flatten(eager), tf.nest.flatten(mapped), strict=True))
    for by_eager, by_map in pairs:
        if by_eager.dtype.is_floating:
            np.testing.assert_allclose(by_map, by_eager, rtol=0, atol=tolerance)
        else:
            np.testing.assert_array_equal(by_map, by_eager)
    values = [by_eager.numpy() for by_eager, _ in pairs]
    return values if isinstance(eager, tuple | list) else values[0]
