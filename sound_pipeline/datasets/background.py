"""A class of non-events, from recordings in which nothing worth naming happens."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Iterator
from functools import partial

from sound_pipeline.datasets.folders import AUDIO_SUFFIXES, files_below
from sound_pipeline.datasets.listing import Listed, Listing
from sound_pipeline.datasets.manifest import BACKGROUND, Manifest
from sound_pipeline.datasets.passed_over import PassedOver
from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.datasets.stratify import shuffled
from sound_pipeline.errors import UserError
from sound_pipeline.events.cut_names import source_of
from sound_pipeline.system.filesystem import canonical, is_dir

logger = logging.getLogger(__name__)

_LAST = (math.inf, BACKGROUND)


def with_background(listing: Listing, folder: str) -> Listing:
    """Adds the recordings below a folder as a last class, `BACKGROUND`.

    Each file is a source recording of its own, unless it is called as a cut of one. Where the data
    set has folds, the sources are dealt to them evenly, in an order that depends on names alone.

    Args:
      listing: the data set.
      folder: holds the recordings, in folders or not.

    Raises:
      UserError: the folder is missing or holds too few recordings; when all of its recordings are
        listed, the data set has such a class already.
    """
    flag = f"--background_dir={folder}"
    folder = os.path.expanduser(folder)
    if not is_dir(folder):
        raise UserError(f"{flag} is not a folder: name one that holds recordings of background")
    passed_over = PassedOver()
    found = {
        os.path.relpath(path, folder).replace(os.sep, "/"): path
        for path in files_below(folder, AUDIO_SUFFIXES, passed_over)
    }
    for remark in passed_over.remarks:
        logger.warning("%s: %s", flag, remark)
    if len(found) < 2:
        held = "one recording" if found else "no recordings"
        raise UserError(f"{flag} holds {held}: give at least two, one to test on")
    return dataclasses.replace(
        listing,
        stream=partial(_stream, listing, found, flag),
        remarks=listing.remarks + passed_over.remarks,
    )


def _stream(listing: Listing, found: dict[str, str], flag: str) -> Iterator[Listed]:
    folds = set()
    for listed in listing.stream():
        if listed.recording.label == BACKGROUND:
            raise UserError(
                f"{flag}: {listing.name} has a class {BACKGROUND!r} of its own: put the "
                "recordings there and leave the flag out"
            )
        folds.add(listed.recording.fold)
        yield listed
    # Enough of one class can't be in every fold, but none may get two before all have one.
    dealt = sorted(fold for fold in folds if fold is not None) or (None,)
    fold_of: dict[str, int | None] = {}
    for name in shuffled(found, BACKGROUND):
        group = source_of(os.path.basename(name)) or f"{BACKGROUND}/{name}"
        fold = fold_of.setdefault(group, dealt[len(fold_of) % len(dealt)])
        yield Listed(Recording(found[name], BACKGROUND, fold, group), _LAST, None)


def check_background(manifest: Manifest, folder: str) -> None:
    """Checks that none of the background is a recording of another class too.

    Args:
      manifest: a data set with such a class.
      folder: what --background_dir names.

    Raises:
      UserError: one is; the message names it.
    """
    of_class = manifest.labels == manifest.classes.index(BACKGROUND)
    added = {
        canonical(path): path
        for path, is_added in zip(manifest.paths, of_class, strict=True)
        if is_added
    }
    for path, is_added in zip(manifest.paths, of_class, strict=True):
        if not is_added and (same := added.get(canonical(path))):
            raise UserError(
                f"--background_dir={folder}: {same} is a recording of {manifest.name} too: "
                "move it away"
            )
