"""Recordings of tones for `tiny_models.export_loudness_model`, which tells quiet from loud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.helpers.tiny_models import LOUD, QUIET


def write_levels(path: Path, *levels: float, seconds: float, rate_hz: int) -> Path:
    """A tone that has each of the levels (root mean square) for so many seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = np.repeat(levels, round(seconds * rate_hz))
    sound = level * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(len(level)) / rate_hz)
    soundfile.write(path, sound, rate_hz, subtype="PCM_16")
    return path


def write_folder(folder: Path, rate_hz: int) -> Path:
    """Two recordings with something in them, one silent, one bad, and no recording."""
    write_levels(folder / "b" / "loud.wav", LOUD, seconds=2.0, rate_hz=rate_hz)
    write_levels(folder / "both.wav", QUIET, LOUD, seconds=3.0, rate_hz=rate_hz)
    write_levels(folder / "silent.wav", 0.0, seconds=1.0, rate_hz=rate_hz)
    (folder / "bad.wav").write_bytes((folder / "both.wav").read_bytes()[:30])
    (folder / "notes.txt").touch()
    return folder
