"""Data sets of half-second recordings whose classes are easily told apart."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
CLASSES = ("hum", "rattle", "whistle")
FLAGS = ("--extractor=gabor", "--window_seconds=0.5")
"""What makes a run on them quick."""

BROKEN = b"RIFF\x04\0\0\0WAVE"
WHY_BROKEN = "WAV: there is no fmt chunk"
"""A file that is no recording, and what is said about it."""


def write_clip(path: Path, label: str, seed: int, seconds: float = 0.5) -> Path:
    """A recording of one of `CLASSES`, another for every seed."""
    random = np.random.default_rng([seed, CLASSES.index(label)])
    time = np.arange(round(seconds * RATE)) / RATE
    sound = {
        "hum": np.sin(2 * np.pi * random.uniform(150, 300) * time),
        "rattle": random.uniform(-1, 1, len(time)) * (np.sin(2 * np.pi * 30 * time) > 0),
        "whistle": np.sin(2 * np.pi * random.uniform(2500, 4500) * time),
    }[label]
    noise = random.normal(0, 0.003, len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, random.uniform(0.2, 0.8) * sound + noise, RATE, subtype="PCM_16")
    return path


def write_folders(directory: Path, clips_a_class: int = 20) -> Path:
    """For --dataset=folder."""
    for label in CLASSES:
        for number in range(clips_a_class):
            write_clip(directory / label / f"{number:02}.wav", label, number)
    return directory


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_urbansound8k(directory: Path, folds: int = 2, clips: int = 4) -> Path:
    """For --dataset=urbansound8k: `clips` of each class in each fold, two a source recording."""
    rows = []
    # Class ids against the alphabet: they, not the names, give the order of the classes.
    for class_id, label in enumerate(reversed(CLASSES)):
        for fold in range(1, folds + 1):
            for number in range(clips):
                source = 1000 * class_id + 100 * fold + number // 2
                name = f"{source}-{class_id}-0-{number}.wav"
                write_clip(directory / "audio" / f"fold{fold}" / name, label, 10 * fold + number)
                rows.append((name, source, 0.0, 0.5, 1, fold, class_id, label))
    columns = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    write_table(directory / "metadata" / "UrbanSound8K.csv", columns, rows)
    return directory


def write_esc50(directory: Path, folds: int = 2, clips: int = 5) -> Path:
    """For --dataset=esc50: `clips` of each class in each fold; all but whistle are of ESC-10."""
    rows = []
    for target, label in enumerate(CLASSES):
        for fold in range(1, folds + 1):
            for number in range(clips):
                source = 1000 * target + 100 * fold + number
                name = f"{fold}-{source}-A-{target}.wav"
                write_clip(directory / "audio" / name, label, 10 * fold + number)
                rows.append((name, fold, target, label, label != "whistle", source, "A"))
    columns = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    write_table(directory / "meta" / "esc50.csv", columns, rows)
    return directory
