"""Recordings that are copies of others: files of equal content under several names.

What is trained on in one and tested in the other tells nothing, so the source recordings that they
belong to count as one. Which files those are is known only after reading them.
"""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.datasets.manifest import Manifest
from sound_pipeline.datasets.recordings import Recordings
from sound_pipeline.system.arrays import Ints

logger = logging.getLogger(__name__)


def join_copies(manifest: Manifest, keys: Keys) -> Manifest:
    """Makes one source recording of those that share a content, with a warning.

    Args:
      manifest: the data set.
      keys: of its recordings' contents, see `content_keys`.

    Returns:
      The data set, whose joined source recordings are called as the first of them was.
    """
    _, first, content = np.unique(keys, return_index=True, return_inverse=True)
    original = first[content]
    copies = np.flatnonzero(original != np.arange(len(keys)))
    if not len(copies):
        return manifest
    _tell(manifest, copies, original[copies])
    names, source = np.unique(manifest.groups, return_inverse=True)
    links = (np.ones(len(copies), bool), (source[copies], source[original[copies]]))
    graph = sparse.coo_array(links, shape=(len(names), len(names)))
    _, joined = csgraph.connected_components(graph, directed=False)
    of_recording = joined[source]
    _, representative = np.unique(of_recording, return_index=True)
    first_of = representative[of_recording]
    columns = Recordings.of(manifest.recordings)
    renamed = np.flatnonzero(source[first_of] != source).tolist()
    groups = {position: columns.group(int(first_of[position])) for position in renamed}
    if not groups:
        return manifest
    return dataclasses.replace(
        manifest,
        recordings=columns.with_groups(groups),
        grouping=f"{manifest.grouping}; those that share a content are one".removeprefix("; "),
    )


def _tell(manifest: Manifest, copies: Ints, originals: Ints) -> None:
    logger.warning(
        "%d recordings are copies of others (first %s of %s): a recording and its copies stay "
        "together wherever sources do, and count as several; remove the copies",
        len(copies),
        manifest.paths[int(copies[0])],
        manifest.paths[int(originals[0])],
    )
    labels = manifest.labels
    relabelled = np.flatnonzero(labels[copies] != labels[originals])
    if len(relabelled):
        at = relabelled[0]
        copy, original = int(copies[at]), int(originals[at])
        logger.warning(
            "%d of them have another label than what they are copies of (first %s: %s, %s: %s): "
            "one sound can't be right under both; remove one",
            len(relabelled),
            manifest.paths[copy],
            manifest.names[labels[copy]],
            manifest.paths[original],
            manifest.names[labels[original]],
        )
