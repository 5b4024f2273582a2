"""What lies in an exported model's folder; read without TensorFlow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sound_pipeline.config import FeatureConfig, from_mapping
from sound_pipeline.errors import UserError

LABELS_FILE = "labels.txt"
METADATA_FILE = Path("assets.extra", "model.json")


@dataclass(frozen=True)
class ModelInfo:
    """What a program must know of a model before it is loaded.

    Attributes:
      labels: the names of the classes, in the order of the scores.
      window_seconds: the sound that one picture shows.
      min_score: the score under which an answer is better not given.
      features: what it hears and how recordings are cut for it.
    """

    labels: tuple[str, ...]
    window_seconds: float
    min_score: float
    features: FeatureConfig = field(default_factory=FeatureConfig)


def read_info(directory: Path) -> ModelInfo:
    """Checks that a directory holds an exported model, and reads what it says of itself.

    Raises:
      UserError: it holds none, or another program's, or an older version's.
    """
    if not (directory / "saved_model.pb").is_file():
        inner = directory / "saved_model"
        hint = f"did you mean {inner}?" if inner.is_dir() else "train one with train.py"
        raise UserError(f"model {directory}: holds no SavedModel; {hint}")
    if not (directory / METADATA_FILE).is_file():
        raise UserError(
            f"model {directory}: is a SavedModel, but not one exported by sound_pipeline; give "
            "the saved_model folder of a run"
        )
    try:
        values = read_metadata(directory)
        return ModelInfo(
            tuple(values["labels"]),
            float(values["window_seconds"]),
            float(values["min_score"]),
            from_mapping(FeatureConfig, values["config"]["features"]),
        )
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"model {directory}: {METADATA_FILE} is damaged or of another version ({error!r}); "
            "export the model again with train.py"
        ) from error


def fingerprint(directory: Path) -> str:
    """What tells a model from all others: a hash of its files, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(directory).as_posix()}\0".encode())
        with path.open("rb") as file:
            while contents := file.read(1 << 20):
                digest.update(contents)
        digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()


def read_metadata(directory: Path) -> dict[str, Any]:
    """The metadata that `export_model` wrote."""
    values: dict[str, Any] = json.loads((directory / METADATA_FILE).read_text(encoding="utf-8"))
    return values
