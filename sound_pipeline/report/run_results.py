"""Results of a finished run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sound_pipeline.config import RunConfig
from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.evaluation.predictions import Predictions


@dataclasses.dataclass(frozen=True, eq=False)
class RunResults:
    """A finished run.

    Attributes:
      config: all that decided the result.
      command: what the user typed.
      versions: of the software, by name.
      figures: what metrics.json holds, see `sound_pipeline.evaluation.summary`.
      predictions: of all tested recordings.
      curves: by fold, 'loss' and, where there was validation, 'validation_loss': a value an epoch.
      embeddings: float32 [clips, D], the mean embedding of each row of the predictions.
    """

    config: RunConfig
    command: str
    versions: Mapping[str, str]
    figures: Mapping[str, Any]
    predictions: Predictions
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    embeddings: Matrix
