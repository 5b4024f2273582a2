"""Manifest of a data set, or a shard of its recordings; no audio is opened."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline.datasets.background import check_background
from sound_pipeline.datasets.class_names import look_alikes
from sound_pipeline.datasets.config import DatasetConfig
from sound_pipeline.datasets.folders import find_files
from sound_pipeline.datasets.listing import Listing
from sound_pipeline.datasets.manifest import BACKGROUND, Manifest, leave_out
from sound_pipeline.datasets.recordings import Recording, Recordings
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.datasets.sources import list_recordings
from sound_pipeline.datasets.tables import Row
from sound_pipeline.errors import UserError
from sound_pipeline.system.text import printable

logger = logging.getLogger(__name__)

Hashes = npt.NDArray[np.int64]

_MOST_NAMED = 3


def load_manifest(config: DatasetConfig, require_files: bool = True) -> Manifest:
    """Lists the recordings of a data set.

    Args:
      config: which data set, and where it is.
      require_files: whether every file must exist; if not, the manifest names those that are
        missing too, as they are listed.

    Returns:
      A manifest of at least two classes, each of at least two recordings.

    Raises:
      UserError: a folder, file or column is missing, or a value in a CSV is unusable.
    """
    listing = list_recordings(config)
    recordings, class_places = _found(listing, require_files)
    manifest = Manifest(
        name=listing.name,
        recordings=recordings,
        classes=tuple(sorted(class_places, key=class_places.__getitem__)),
        clip_seconds=listing.clip_seconds,
        grouping=listing.grouping,
        parts=listing.parts,
        listing_remarks=listing.remarks,
    )
    _check_classes(manifest, listing.where, added=BACKGROUND if config.background_dir else "")
    if config.background_dir:
        check_background(manifest, config.background_dir)
    _say_what_may_surprise(manifest)
    return leave_out(manifest, config.unknown_classes)


def _say_what_may_surprise(manifest: Manifest) -> None:
    """Logs how a data set comes divided, and which classes may be one."""
    if manifest.parts:
        counts = np.bincount(manifest.fold_of, minlength=1 + len(manifest.parts))[1:].tolist()
        held = [f"{part} ({n})" for part, n in zip(manifest.parts, counts, strict=True)]
        logger.info("%s comes divided into %s recordings", manifest.name, ", ".join(held))
    for alike in look_alikes(manifest.classes):
        logger.warning(
            "classes %s are learned as different, but their names differ by case, spaces, Unicode "
            "form or invisible characters alone: rename them if they are one",
            ", ".join(map(ascii, alike)),
        )


def load_shard(config: DatasetConfig, shard: Shard) -> Sequence[str]:
    """Lists a shard of the recordings that `load_manifest` lists, and holds no others.

    The whole list is read, and what is wrong in a line is said whosever it is. What takes all
    recordings to tell is left to `load_manifest`: whether the files of other shards exist, a
    recording has one label, and each class has recordings enough.

    Args:
      config: which data set, and where it is.
      shard: whose recordings.

    Returns:
      The paths of those at the shard's positions in the manifest.

    Raises:
      UserError: as of `load_manifest`; there are more shards than recordings.
    """
    listing = list_recordings(config)
    own = dataclasses.replace(listing, stream=lambda: shard.take(listing.stream()))
    recordings, _ = _found(own, require_files=True)
    if not recordings:
        count = sum(1 for _ in listing.stream())
        raise UserError(f"--shard={shard}: there are only {count} recordings; divide by less")
    return recordings.paths


def _found(
    listing: Listing, require_files: bool
) -> tuple[Recordings, dict[str, tuple[float, str]]]:
    """Listed recordings whose files exist, and the order of their classes."""
    class_places: dict[str, tuple[float, str]] = {}
    in_tables = 0

    def recordings() -> Iterator[Recording]:
        nonlocal in_tables
        for recording, class_place, row in listing.stream():
            class_places[recording.label] = class_place
            in_tables += row is not None
            yield recording

    listed = Recordings(recordings())
    paths = listed.paths if in_tables == len(listed) else listed.paths[:in_tables]
    renamed: dict[int, str] = {}
    # Of the names of files, which all ways to write one in a list lead to.
    hashes = np.zeros(in_tables, np.int64)
    missing = np.zeros(in_tables, bool)
    for position, path in find_files(paths):
        if path is None:
            missing[position] = True
            continue
        hashes[position] = hash(os.path.normpath(path))
        if path != paths[position]:
            renamed[position] = path
    found = listed.with_paths(renamed) if renamed else listed
    _check_once(listing, found.paths, np.flatnonzero(~missing), hashes)
    if require_files and missing.any():
        raise UserError(_which_are_missing(listing, paths, missing))
    return found, class_places


def _check_once(
    listing: Listing, paths: Sequence[str], positions: npt.NDArray[np.int64], hashes: Hashes
) -> None:
    """Raises UserError if several of the paths at some positions are the same file's."""
    order = np.argsort(hashes[positions], kind="stable")
    ordered = hashes[positions][order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    # Few if any: hashes of 64 bits are seldom the same by chance.
    suspects = np.unique(positions[order[np.concatenate([again, again + 1])]])
    first: dict[str, int] = {}
    for position in suspects.tolist():
        before = first.setdefault(os.path.normpath(paths[position]), position)
        if before == position:
            continue
        row, again_row = _rows(listing, [before, position])
        there = f"on line {row.line}" if row.path == again_row.path else f"in {row.where}"
        raise UserError(
            f"{again_row.where}: {paths[position]!r} is {there} already: "
            "a recording has one label; remove one of the lines"
        )


def _which_are_missing(
    listing: Listing, paths: Sequence[str], missing: npt.NDArray[np.bool_]
) -> str:
    count = np.count_nonzero(missing)
    positions = np.flatnonzero(missing)[:_MOST_NAMED].tolist()
    rows = _rows(listing, positions)
    named = [f"{paths[n]!r} (line {row.line})" for n, row in zip(positions, rows, strict=True)]
    return (
        f"{count} of {len(paths)} files named in {listing.source} are missing: "
        f"{', '.join(named)}{', ...' if count > _MOST_NAMED else ''}: {listing.advice}"
    )


def _rows(listing: Listing, positions: Sequence[int]) -> list[Row]:
    """Rows of tables that list the recordings at some positions; the list is read again."""
    stream = enumerate(itertools.islice(listing.stream(), max(positions) + 1))
    rows = {position: listed.row for position, listed in stream if position in positions}
    return [row for position in positions if (row := rows[position])]


def _check_classes(manifest: Manifest, where: str, added: str) -> None:
    """Raises UserError unless a classifier can be trained and tested on a data set.

    Args:
      manifest: the data set.
      where: it is listed.
      added: a class that is not counted, as it isn't listed there; '' for none.
    """
    counts = np.bincount(manifest.labels, minlength=len(manifest.classes)).tolist()
    count_of = dict(zip(manifest.classes, counts, strict=True))
    count_of.pop(added, None)
    if not count_of:
        raise UserError(f"{where} holds no recordings: add at least two for each class")
    if len(count_of) == 1:
        raise UserError(
            f"{where} holds only one class, {next(iter(count_of))!r}: "
            "a classifier needs at least two; add recordings of another"
        )
    single = [label for label, count in count_of.items() if count == 1]
    if single:
        raise UserError(
            f"{where}: only one clip of class {', '.join(map(repr, single))}, which cannot be "
            "split into training and test: add clips of it or remove it"
        )
    for label in count_of:
        # It goes to a line of its own in a model's labels.txt, and to terminals.
        if not label.strip() or printable(label) != label:
            raise UserError(
                f"{where}: the label {label!r} has a line break, another control character or no "
                "letter at all: name it otherwise"
            )
