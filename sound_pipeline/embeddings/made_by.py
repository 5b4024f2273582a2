"""Key of kept embeddings: all that decides them, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sound_pipeline.extractors.base import Extractor
from sound_pipeline.features.windows import WINDOWS_VERSION


def made_by(
    extractor: Extractor, precision: str, changed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All that decides the embeddings of a recording beside its content, and nothing else.

    How recordings are cut decides those of every extractor; of the spectrogram counts what the
    extractor depends on.

    Args:
      extractor: makes the embeddings.
      precision: what it computes in.
      changed: how recordings are changed before; JSON values.

    Returns:
      JSON values by name.
    """
    return {
        "windows": dataclasses.asdict(extractor.config.windows),
        "beginning_seconds": list(extractor.config.beginnings),
        "windows_version": WINDOWS_VERSION,
        "depends_on": extractor.depends_on,
        "extractor": extractor.fingerprint,
        "precision": precision,
        **(changed or {}),
    }
