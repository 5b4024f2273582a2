"""What lies in an exported model's folder beside the graph; read without TensorFlow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
      gains_from_less: whether computing in less than float32 can make it faster.
    """

    labels: tuple[str, ...]
    window_seconds: float
    min_score: float
    gains_from_less: bool = False


def read_info(directory: Path) -> ModelInfo:
    """Checks that a directory holds an exported model, and reads what it says of itself.

    Raises:
      UserError: it holds none, or another program's, or an older version's.
    """
    if not (directory / "saved_model.pb").is_file():
        inner = directory / "saved_model"
        hint = f"did you mean {inner}?" if inner.is_dir() else "train one with train.py"
        raise UserError(f"--model={directory}: holds no SavedModel; {hint}")
    if not (directory / METADATA_FILE).is_file():
        raise UserError(
            f"--model={directory}: is a SavedModel, but not one exported by sound_pipeline; give "
            "the saved_model folder of a run"
        )
    try:
        values = read_metadata(directory)
        return ModelInfo(
            tuple(values["labels"]),
            float(values["window_seconds"]),
            float(values["min_score"]),
            # Models of before this was known are computed as they always were.
            bool(values.get("gains_from_less", False)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"--model={directory}: {METADATA_FILE} is damaged or of another version ({error!r}); "
            "export the model again with train.py"
        ) from error


def read_metadata(directory: Path) -> dict[str, Any]:
    """The metadata that `export_model` wrote."""
    values: dict[str, Any] = json.loads((directory / METADATA_FILE).read_text(encoding="utf-8"))
    return values
