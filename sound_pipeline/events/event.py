"""A stretch of sound under one label."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Event:
    """A stretch of a recording or a stream under one label; live, one may still go on.

    Attributes:
      start_seconds: from the start of the recording or stream.
      end_seconds: likewise.
      label: one of the model's, or "unknown".
      score: the highest that the label reached in it, 0..1 (live, of the smoothed scores); of an
        unknown sound the likeliest label's.
      scores: of every label of the model, where `score` was reached; empty live.
    """

    start_seconds: float
    end_seconds: float
    label: str
    score: float
    scores: tuple[float, ...] = dataclasses.field(default=(), repr=False)
