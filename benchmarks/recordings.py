"""Recordings for the benchmarks: every one another noise, so that none is embedded twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write_recordings(
    directory: Path, count: int, seconds: float, sample_rate_hz: int = 44100
) -> list[str]:
    """Writes WAV files of 16 bits, in ten folders named after classes; returns their paths."""
    paths = []
    random = np.random.default_rng(0)
    base = random.uniform(-0.3, 0.3, round(seconds * sample_rate_hz) + count).astype(np.float32)
    for number in range(count):
        path = directory / f"class {number % 10}" / f"{number:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = base[number : number + round(seconds * sample_rate_hz)]
        # A tremolo a class, so that there is something to learn.
        time = np.arange(len(sound)) / sample_rate_hz
        loudness = 0.5 + 0.5 * np.sin(2 * np.pi * (1 + number % 10) * time)
        soundfile.write(path, sound * loudness, sample_rate_hz, subtype="PCM_16")
        paths.append(str(path))
    return paths
