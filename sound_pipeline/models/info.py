"""Metadata of an exported model, read without TensorFlow."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sound_pipeline.errors import UserError, check, first_line
from sound_pipeline.features.config import FeatureConfig, read_features

LABELS_FILE = "labels.txt"
METADATA_FILE = Path("assets.extra", "model.json")
WINDOW_SIGNATURE = "window"
"""The signature of a SavedModel that a .tflite file is made of."""
WINDOWS_SIGNATURE = "windows"
"""The signature that labelling asks about whole windows; models exported before have none."""
LITE_SUFFIX = ".tflite"
# Of the metadata: a confusion matrix of a thousand classes takes five million.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class ModelInfo:
    """Labels, window, threshold and features of a model.

    Attributes:
      labels: the names of the classes, in the order of the scores.
      window_seconds: the sound that one image shows.
      min_score: the score under which an answer is better not given.
      features: what it hears and how recordings are cut for it.
      benefits_from_low_precision: whether computing in less than float32 can make it faster.
    """

    labels: tuple[str, ...]
    window_seconds: float
    min_score: float
    features: FeatureConfig = field(default_factory=FeatureConfig)
    benefits_from_low_precision: bool = False

    @property
    def sample_rate_hz(self) -> int:
        """Rate that is assumed where a caller names none."""
        return self.features.spectrogram.sample_rate_hz


def is_lite(path: Path) -> bool:
    """Whether a path names a .tflite file, not the folder of a SavedModel."""
    return path.suffix.lower() == LITE_SUFFIX


def read_info(path: Path) -> ModelInfo:
    """Checks that a path holds an exported model, and reads what it says of itself.

    Args:
      path: the folder of a SavedModel, or a .tflite file.

    Raises:
      UserError: it holds none, or another program's, or an older version's.
    """
    _check_lite(path) if is_lite(path) else _check_saved_model(path)
    try:
        return _checked(read_metadata(path))
    except (OSError, LookupError, ArithmeticError, AttributeError, RecursionError, TypeError,
            ValueError, UserError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise UserError(
            f"model {path}: {METADATA_FILE.name} is damaged or of another version "
            f"({first_line(error)}); export the model again with train.py"
        ) from error


def check_labels(info: ModelInfo, path: Path, scores: int) -> None:
    """Raises UserError where a model gives another number of scores than it has labels."""
    check(
        scores == len(info.labels),
        f"model {path}: gives {scores} scores for {len(info.labels)} labels; export it again",
    )


def _checked(values: dict[str, Any]) -> ModelInfo:
    """What the metadata says; any of many errors where it can't be true."""
    labels = values["labels"]
    check(
        isinstance(labels, list)
        and len(labels) > 0
        and all(isinstance(label, str) and label for label in labels)
        and len(set(labels)) == len(labels),
        "its labels are no list of different names",
    )
    features = read_features(values["config"]["features"])
    info = ModelInfo(
        tuple(labels),
        float(values["window_seconds"]),
        float(values["min_score"]),
        features,
        _benefits_from_low_precision(values),
    )
    # A .tflite's rate and window are those that its samples were counted for.
    check(info.window_seconds == features.windows.seconds, "it has two lengths of a window")
    check(0 <= info.min_score <= 1, f"a least score of {info.min_score}")
    rate = values.get("sample_rate_hz", info.sample_rate_hz)
    check(rate == info.sample_rate_hz, f"it has two sample rates, {rate} Hz one of them")
    return info


def _benefits_from_low_precision(values: dict[str, Any]) -> bool:
    name = "benefits_from_low_precision"
    # As models of version 0.1 call it.
    return bool(values[name] if name in values else values["gains_from_less"])


def read_metadata(path: Path) -> dict[str, Any]:
    """Metadata that `export_model` wrote, of a SavedModel or of a .tflite file made of it."""
    if is_lite(path):
        with zipfile.ZipFile(path) as files:
            _check_size(files.getinfo(METADATA_FILE.name).file_size)
            text = files.read(METADATA_FILE.name).decode()
    else:
        _check_size((path / METADATA_FILE).stat().st_size)
        text = (path / METADATA_FILE).read_text(encoding="utf-8")
    values = json.loads(text)
    check(isinstance(values, dict), "it is no object")
    return dict(values)


def _check_size(size: int) -> None:
    check(size <= _MOST_BYTES, f"it has {size} bytes")


def _check_saved_model(directory: Path) -> None:
    if not (directory / "saved_model.pb").is_file():
        inner = directory / "saved_model"
        hint = f"did you mean {inner}?" if inner.is_dir() else "train one with train.py"
        raise UserError(f"model {directory}: holds no SavedModel; {hint}")
    if not (directory / METADATA_FILE).is_file():
        raise UserError(
            f"model {directory}: is a SavedModel, but not one exported by sound_pipeline; give "
            "the saved_model folder of a run"
        )


def _check_lite(path: Path) -> None:
    if not path.is_file():
        raise UserError(
            f"model {path}: no such file; python -m sound_pipeline.tflite RUN/saved_model makes one"
        )
    try:
        with zipfile.ZipFile(path) as files:
            files.getinfo(METADATA_FILE.name)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise UserError(
            f"model {path}: is cut off, or not made by sound_pipeline; make it again with "
            "python -m sound_pipeline.tflite RUN/saved_model"
        ) from error


def fingerprint(directory: Path) -> str:
    """Hash of a model's files: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(directory).as_posix()}\0".encode())
        with path.open("rb") as file:
            while contents := file.read(1 << 20):
                digest.update(contents)
        digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()
