"""Facts of a run that its figures are to be read by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sound_pipeline.datasets.leaks import leaked_fraction, on_both_sides, protocol_name
from sound_pipeline.embeddings.similar import known_similar
from sound_pipeline.system.text import printable
from sound_pipeline.training.extraction import Embedded, Extraction


def about(extraction: Extraction, final: Embedded) -> dict[str, Any]:
    """What metrics.json says beside the answers: the data, the protocol, and what it leaks.

    Args:
      extraction: of the run.
      final: what its final head stands on.
    """
    config, manifest = extraction.config, extraction.manifest
    unreadable = final.embeddings.unreadable
    facts = {
        "clips": len(manifest.recordings) - len(unreadable),
        "classes": list(manifest.classes),
        "data_set": manifest.name,
        "sources": {"count": len(np.unique(manifest.groups)), "found": manifest.grouping},
        "extractor": config.extractor,
        "precision": ", ".join(final.precisions),
        "unreadable": {
            printable(manifest.paths[position]): why for position, why in unreadable.items()
        },
    }
    leaked = leaked_fraction(manifest, extraction.splits)
    protocol = protocol_name(manifest, config.split, leaked)
    return facts | {
        "split": protocol,
        "leaked_fraction": leaked,
        "perhaps_the_same": _perhaps_the_same(extraction, list(unreadable)),
    }


def _perhaps_the_same(
    extraction: Extraction, unreadable: Sequence[int]
) -> list[dict[str, Any]] | None:
    """Tested recordings that are perhaps others that were learned from; None if nobody looked.

    Sources that are known to be one are counted in the leaked fraction.
    """
    manifest = extraction.manifest
    readable = np.setdiff1d(np.arange(len(manifest.paths)), unreadable)
    paths = [manifest.paths[position] for position in readable]
    similar = known_similar(paths, extraction.cache_dir)
    if similar is None:
        return None
    groups = manifest.groups
    found = {
        (int(readable[pair.first]), int(readable[pair.second])): pair.cosine for pair in similar
    }
    cosines = {
        (first, second): cosine
        for (first, second), cosine in found.items()
        if groups[first] != groups[second]
    }
    pairs = on_both_sides(extraction.splits, list(cosines), len(groups))
    return [
        {
            "tested": printable(manifest.paths[tested]),
            "learned_from": printable(manifest.paths[learned]),
            "cosine": round(cosines[min(tested, learned), max(tested, learned)], 4),
        }
        for tested, learned in pairs
    ]
