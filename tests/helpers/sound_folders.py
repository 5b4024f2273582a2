"""Data sets on disk of short sounds that are easily told apart."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.helpers.sounds import Floats, noise, tone, write_wav

RATE_HZ = 16000
SHORT = FeatureConfig(windows=WindowConfig(seconds=0.5), beginning_seconds=())
"""Features of half-second windows and no beginnings: a fraction of the default's work."""

CLASSES = ("hum", "noise", "whistle")
"""The classes of `clip`, sorted."""


def clip(label: str, seed: int, seconds: float = 0.5, rate_hz: int = RATE_HZ) -> Floats:
    """One recording of a class of `CLASSES`, another for every seed, with some noise in it."""
    random = np.random.default_rng([seed, CLASSES.index(label)])
    samples = round(seconds * rate_hz)
    level = random.uniform(0.1, 0.4)
    if label == "noise":
        return noise(samples, level, seed)
    hz = random.uniform(150, 400) if label == "hum" else random.uniform(1500, 3500)
    return tone(hz, samples, rate_hz, level) + noise(samples, 0.003, seed)


def write_folder(
    directory: Path, clips_a_class: int = 8, seconds: float = 0.5, rate_hz: int = RATE_HZ
) -> Path:
    """Writes clips of all classes for `--dataset=folder`; returns the directory."""
    for label in CLASSES:
        (directory / label).mkdir(parents=True)
        for number in range(clips_a_class):
            path = directory / label / f"{number:03d}.wav"
            write_wav(path, clip(label, number, seconds, rate_hz), rate_hz)
    return directory


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Writes a manifest for `--dataset=csv`, its columns the keys of the first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
