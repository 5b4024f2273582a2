"""What a model says of itself, damaged in many ways: it is read, or refused in a line."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.models.info import METADATA_FILE, ModelInfo, read_info
from tests.helpers.tiny_models import CONFIG

GOOD: dict[str, Any] = {
    "labels": ["dog", "rain", "siren"],
    "sample_rate_hz": CONFIG.spectrogram.sample_rate_hz,
    "window_seconds": CONFIG.windows.seconds,
    "min_score": 0.25,
    "config": {"features": dataclasses.asdict(CONFIG)},
    "benefits_from_low_precision": False,
}
VALUES = [None, True, -1, 0, 40, 1e9, float("nan"), float("inf"), "", "x", [], [[]], {}, ["a", 1]]


def write_model(folder: Path, text: str) -> Path:
    (folder / METADATA_FILE.parent).mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").touch()
    (folder / METADATA_FILE).write_text(text)
    return folder


def write_lite(folder: Path, text: str) -> Path:
    path = folder / "model.tflite"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr(METADATA_FILE.name, text)
    return path


def places(values: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in nested containers."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))


def mutated(seed: int) -> str:
    """The metadata with a value replaced or taken out, or its text cut or overwritten."""
    chosen = random.Random(seed)
    values = copy.deepcopy(GOOD)
    if chosen.random() < 0.2:
        text = json.dumps(values)
        at = chosen.randrange(len(text))
        return text[:at] + chosen.choice(["", "[" * 5000, "\0", '"', "}"]) + text[at + 3 :]
    *way, last = chosen.choice(list(places(values)))
    holder: Any = values
    for key in way:
        holder = holder[key]
    if chosen.random() < 0.2:
        del holder[last]
    else:
        holder[last] = chosen.choice(VALUES)
    return json.dumps(values)


def check_read(path: Path) -> None:
    try:
        info = read_info(path)
    except UserError as error:
        assert str(path) in str(error) and len(str(error).splitlines()) == 1
        return
    assert info.labels and all(isinstance(label, str) and label for label in info.labels)
    assert info.window_seconds == info.features.windows.seconds > 0
    assert 0 <= info.min_score <= 1


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    text = json.dumps(GOOD)
    expected = ModelInfo(("dog", "rain", "siren"), CONFIG.windows.seconds, 0.25, CONFIG)
    assert read_info(write_model(tmp_path, text)) == expected
    assert read_info(write_lite(tmp_path, text)) == expected


@pytest.mark.parametrize("seed", range(150))
def test_what_is_damaged_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    text = mutated(seed)
    check_read(write_model(tmp_path, text))
    check_read(write_lite(tmp_path, text))


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": "abc"},
        {"labels": ["a", "a"]},
        {"labels": []},
        {"window_seconds": 40},
        {"sample_rate_hz": 0},
        {"sample_rate_hz": 10**9},
        {"min_score": float("nan")},
    ],
)
def test_what_cannot_be_true_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    text = json.dumps(GOOD | changed)
    for path in (write_model(tmp_path, text), write_lite(tmp_path, text)):
        with pytest.raises(UserError, match="damaged or of another version"):
            read_info(path)


def test_hundreds_of_megabytes_are_not_read(tmp_path: Path) -> None:
    path = write_model(tmp_path, "{}")
    with (path / METADATA_FILE).open("r+b") as file:
        file.truncate(200_000_000)
    with pytest.raises(UserError, match="200000000 bytes"):
        read_info(path)
    lite = tmp_path / "model.tflite"
    with zipfile.ZipFile(lite, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as files:
        files.writestr(METADATA_FILE.name, " " * 100_000_000)
    with pytest.raises(UserError, match="100000000 bytes"):
        read_info(lite)
