"""A class of non-events, from recordings in which nothing worth naming happens."""

from __future__ import annotations

import dataclasses
import os

from sound_pipeline.datasets.folders import AUDIO_SUFFIXES, files_below
from sound_pipeline.datasets.manifest import BACKGROUND, Manifest, Recording
from sound_pipeline.errors import UserError
from sound_pipeline.filesystem import canonical, is_dir
from sound_pipeline.stratify import shuffled


def add_background(manifest: Manifest, folder: str) -> Manifest:
    """Adds the recordings below a folder as a last class, `BACKGROUND`.

    Each file is a source recording of its own. Where the data set has folds, the files are dealt
    to them evenly, in an order that depends on their names alone.

    Args:
      manifest: the data set.
      folder: holds the recordings, in folders or not.

    Raises:
      UserError: the folder is missing or holds too few recordings, or the data set has such a
        class or such a file already.
    """
    flag = f"--background_dir={folder}"
    if BACKGROUND in manifest.classes:
        raise UserError(
            f"{flag}: {manifest.name} has a class {BACKGROUND!r} of its own: put the recordings "
            "there and leave the flag out"
        )
    folder = os.path.expanduser(folder)
    if not is_dir(folder):
        raise UserError(f"{flag} is not a folder: name one that holds recordings of background")
    found = {
        os.path.relpath(path, folder).replace(os.sep, "/"): path
        for path in files_below(folder, AUDIO_SUFFIXES)
    }
    if len(found) < 2:
        held = "one recording" if found else "no recordings"
        raise UserError(f"{flag} holds {held}: give at least two, one to test on")
    listed = {canonical(recording.path) for recording in manifest.recordings}
    for path in found.values():
        if canonical(path) in listed:
            raise UserError(f"{flag}: {path} is a recording of {manifest.name} too: move it away")
    # Enough of one class can't be in every fold, but none may get two before all have one.
    folds = manifest.folds or (None,)
    added = tuple(
        Recording(found[name], BACKGROUND, folds[number % len(folds)], f"{BACKGROUND}/{name}")
        for number, name in enumerate(shuffled(found, BACKGROUND))
    )
    return dataclasses.replace(
        manifest,
        recordings=manifest.recordings + added,
        classes=(*manifest.classes, BACKGROUND),
    )
