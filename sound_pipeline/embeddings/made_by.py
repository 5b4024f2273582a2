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


def from_version_0_1(values: Mapping[str, Any], depends_on: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the key that version 0.1 wrote to the form of `made_by`.

    That version had every feature in every key, whether the extractor used it or not.

    Args:
      values: a store's made_by.json of that version.
      depends_on: of the extractor in question; its names are taken from the features.

    Raises:
      KeyError: the file is not of that version.
    """
    rest = dict(values)
    features, version = rest.pop("features"), rest.pop("features_version")
    fields = {**features, "log_mel_version": version}
    seconds = features["window_seconds"]
    return {
        "windows": {
            "seconds": seconds,
            "overlap": features["window_overlap"],
            "quiet_db": features["quiet_window_db"],
        },
        "beginning_seconds": [each for each in features["beginning_seconds"] if each < seconds],
        "windows_version": version,
        # The channels of images were in an extractor's fingerprint.
        "depends_on": {name: fields.get(name, value) for name, value in depends_on.items()},
        **rest,
    }
