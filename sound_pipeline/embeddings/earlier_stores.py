"""Embeddings kept by version 0.1, found again where their numbers are the same."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sound_pipeline.embeddings.made_by import from_version_0_1
from sound_pipeline.embeddings.store import MADE_BY_FILE, EmbeddingStore

logger = logging.getLogger(__name__)


def adopt_version_0_1(store: EmbeddingStore, cache_dir: Path) -> None:
    """Brings what version 0.1 kept of the same numbers into a new store, or says why it can't.

    Files are linked, so this takes no room and leaves the earlier stores as they are. A store that
    holds anything has been asked before.

    Args:
      store: of this version.
      cache_dir: holds all stores.
    """
    if any(store.directory.glob("*.npz")):
        return
    wanted = json.loads(store.made_by)
    differing: list[str] = []
    for file in sorted(cache_dir.glob(f"*/{MADE_BY_FILE}")):
        earlier = _read(file, wanted["depends_on"])
        if earlier is None or earlier.get("extractor") != wanted["extractor"]:
            continue
        differences = _differences(earlier, wanted)
        if not differences:
            _link_parts(file.parent, store.directory)
        elif all(earlier.get(name) == wanted.get(name) for name in ("augmentation", "copy")):
            differing.append(f"{file.parent} ({', '.join(differences)})")
    if differing and not any(store.directory.glob("*.npz")):
        logger.info(
            "embeddings of version 0.1 of this extractor are other numbers: %s",
            "; ".join(differing),
        )


def _read(file: Path, depends_on: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reads what an earlier store was made by; None where it isn't of that version."""
    try:
        return from_version_0_1(json.loads(file.read_text(encoding="utf-8")), depends_on)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _differences(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Lists where the two differ, as "floor_db -60.0, now -80.0"."""
    there, here = _flat(earlier), _flat(wanted)
    return [
        f"{name} {there.get(name)}, now {here.get(name)}"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _link_parts(source: Path, target: Path) -> None:
    """Links a store's parts into another, each one's index last: it makes the part count."""
    found = 0
    for index in sorted(source.glob("*.npz")):
        try:
            for file in (index.with_suffix(".npy"), index):
                if not (target / file.name).exists():
                    os.link(file, target / file.name)
        except OSError as error:
            logger.info(
                "embeddings of version 0.1 can't be taken over from %s: %s", source, error.strerror
            )
            return
        found += 1
    if found:
        logger.info("embeddings of version 0.1 are taken over from %s", source)
