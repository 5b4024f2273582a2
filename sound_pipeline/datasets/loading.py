"""The manifest of a data set, from its CSV of metadata or its folders; no audio is opened."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from sound_pipeline import filesystem
from sound_pipeline.datasets.background import add_background
from sound_pipeline.datasets.config import DatasetConfig
from sound_pipeline.datasets.folders import AUDIO_SUFFIXES, files_below, find_files
from sound_pipeline.datasets.manifest import Manifest, Recording
from sound_pipeline.datasets.published import PUBLISHED, Published
from sound_pipeline.datasets.tables import Row, Table, read_table
from sound_pipeline.datasets.unknown import leave_out
from sound_pipeline.errors import UserError

_CUSTOM_CLIP_SECONDS = 4.0
# File names may well have brackets in them.
_PATTERN_MARKS = "*?"
_LONE_SOURCE = "name the recording it was cut from, or give it a name that no other has"


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
    if config.dataset == "folder":
        manifest = _load_folder(config, require_files)
    elif config.dataset == "csv":
        manifest = _load_csv(config, require_files)
    else:
        manifest = _load_published(config, PUBLISHED[config.dataset], require_files)
    if config.background_dir:
        manifest = add_background(manifest, config.background_dir)
    return leave_out(manifest, config.unknown_classes)


def _load_published(config: DatasetConfig, source: Published, require_files: bool) -> Manifest:
    data_dir = os.path.expanduser(config.data_dir)
    _check_data_dir(data_dir, f"unpack {source.title} there or correct the flag ({source.obtain})")
    table = read_table(source.metadata_path(data_dir))
    for column in (*source.columns, config.subset) if config.subset else source.columns:
        table.require(column, f"restore the file as published ({source.obtain})")

    listed = []
    by_label: dict[str, tuple[int, str]] = {}
    by_id: dict[int, tuple[int, str]] = {}
    for row in table.rows:
        if config.subset and row.cells[config.subset].lower() != "true":
            continue
        file, label = row.text(source.file_column), row.text(source.label_column)
        fold = row.whole_number(source.fold_column)
        class_id = row.whole_number(source.class_id_column)
        here = (class_id, label)
        for before in by_label.setdefault(label, here), by_id.setdefault(class_id, here):
            if before != here:
                raise UserError(
                    f"{row.where}: {source.class_id_column} {class_id} is class {label!r}, but "
                    f"{before[0]} is {before[1]!r} before: make them agree"
                )
        path = os.path.join(data_dir, source.audio.format(fold=fold, file=file))
        listed.append((row, Recording(path, label, fold, row.text(source.group_column))))
    advice = f"unpack {source.title} again or correct --data_dir"
    return _checked(
        Manifest(
            name=config.dataset + (f" ({config.subset} subset)" if config.subset else ""),
            recordings=_located(listed, table.path, advice, require_files),
            classes=tuple(label for _, label in sorted(by_id.values())),
            clip_seconds=source.clip_seconds,
        ),
        where=table.path + (f" (--subset={config.subset})" if config.subset else ""),
    )


def _load_csv(config: DatasetConfig, require_files: bool) -> Manifest:
    pattern = os.path.expanduser(config.manifest)
    data_dir = os.path.expanduser(config.data_dir)
    if data_dir:
        _check_data_dir(data_dir, f"name the folder that the paths in {pattern} start from")
    tables = [read_table(path) for path in _csv_paths(config, pattern)]
    listed = [one for table in tables for one in _listed(config, table, data_dir)]
    for table in tables[1:]:
        for column in (config.fold_column, config.group_column):
            if (column in table.columns) != (column in tables[0].columns):
                raise UserError(
                    f"{table.path} and {tables[0].path}: only one of them has a column {column!r}: "
                    "give both the same columns"
                )
    base = data_dir or os.path.dirname(pattern) or "."
    start = "--data_dir" if data_dir else "the CSV's folder, as --data_dir is not set"
    advice = f"paths start from {base} ({start}): correct them or the flag"
    return _checked(
        Manifest(
            name=f"csv ({os.path.basename(pattern)})",
            recordings=_located(listed, pattern, advice, require_files),
            classes=tuple(sorted({recording.label for _, recording in listed})),
            clip_seconds=_CUSTOM_CLIP_SECONDS,
        ),
        where=pattern,
    )


def _csv_paths(config: DatasetConfig, pattern: str) -> list[str]:
    """The CSV file of --manifest, or those that are like it."""
    if filesystem.is_file(pattern):
        return [pattern]
    if filesystem.has_magic(pattern) and (alike := filesystem.glob(pattern)):
        return alike
    data_dir = os.path.expanduser(config.data_dir) or os.path.dirname(pattern)
    inside = os.path.join(data_dir, pattern)
    found = not filesystem.is_remote(pattern) and filesystem.is_file(inside)
    hint = f"did you mean --manifest={inside}?" if found else "name a CSV file"
    raise UserError(f"--manifest={config.manifest}: there is no such file: {hint}")


def _listed(config: DatasetConfig, table: Table, data_dir: str) -> Iterator[tuple[Row, Recording]]:
    """The recordings of each row of a CSV, as listed: whether they exist is not looked at."""
    for flag in ("path_column", "label_column", "fold_column", "group_column"):
        column = getattr(config, flag)
        is_default = column == getattr(DatasetConfig, flag)
        optional = is_default and flag in ("fold_column", "group_column")
        if column in table.columns or not optional:
            table.require(column, f"name one of them with --{flag}")
    has_folds, has_groups = (
        column in table.columns for column in (config.fold_column, config.group_column)
    )
    folder = data_dir or os.path.dirname(table.path)
    for row in table.rows:
        for name in _names(row, config.path_column, folder):
            recording = Recording(
                path=filesystem.join(folder, name),
                # One object a class, however many million rows have it.
                label=sys.intern(row.text(config.label_column)),
                fold=row.whole_number(config.fold_column) if has_folds else None,
                group=row.text(config.group_column, _LONE_SOURCE) if has_groups else name,
            )
            yield row, recording


def _names(row: Row, column: str, folder: str) -> list[str]:
    """The path in a row, or the paths of the files that are like it, below a folder."""
    name = row.text(column)
    path = filesystem.join(folder, name)
    if not any(mark in name for mark in _PATTERN_MARKS) or filesystem.is_file(path):
        return [name]
    alike = filesystem.glob(path)
    if not alike:
        raise UserError(f"{row.where}: no file is like {path!r}: correct it or remove the line")
    if filesystem.is_remote(path):
        return [file.removeprefix(f"{folder.rstrip('/')}/") for file in alike]
    return [os.path.relpath(file, folder or os.curdir) for file in alike]


def _load_folder(config: DatasetConfig, require_files: bool) -> Manifest:
    data_dir = os.path.expanduser(config.data_dir)
    _check_data_dir(data_dir, "name the folder that holds one folder of recordings a class")
    recordings: list[Recording] = []
    classes = [
        e for e in filesystem.list_folder(data_dir) if e.is_dir() and not e.name.startswith(".")
    ]
    for entry in classes:
        # With "/" on every system, so that the order and the splits are the same there.
        paths = {
            os.path.relpath(path, data_dir).replace(os.sep, "/"): path
            for path in files_below(entry.path, AUDIO_SUFFIXES, broken_links=not require_files)
        }
        if not paths:
            raise UserError(
                f"--data_dir={data_dir}: class folder {entry.name!r} holds no recordings "
                f"({', '.join(AUDIO_SUFFIXES)}): add some or move the folder away"
            )
        recordings.extend(
            Recording(path, entry.name, None, group) for group, path in sorted(paths.items())
        )
    return _checked(
        Manifest(
            name=f"folder ({os.path.basename(os.path.abspath(data_dir))})",
            recordings=tuple(recordings),
            classes=tuple(entry.name for entry in classes),
            clip_seconds=_CUSTOM_CLIP_SECONDS,
        ),
        where=f"--data_dir={data_dir} (one folder a class)",
    )


def _located(
    listed: Sequence[tuple[Row, Recording]], csv_path: str, advice: str, require_files: bool
) -> tuple[Recording, ...]:
    """Finds the file of each row; no two rows may have the same."""
    recordings = []
    missing = []
    rows: dict[str, Row] = {}
    found = find_files(recording.path for _, recording in listed)
    for (row, recording), path in zip(listed, found, strict=True):
        if path is None:
            missing.append(f"{recording.path!r} (line {row.line})")
            recordings.append(recording)
            continue
        first = rows.setdefault(os.path.normpath(path), row)
        if first is not row:
            there = f"on line {first.line}" if first.path == row.path else f"in {first.where}"
            raise UserError(
                f"{row.where}: {path!r} is {there} already: "
                "a recording has one label; remove one of the lines"
            )
        recordings.append(Recording(path, recording.label, recording.fold, recording.group))
    if missing and require_files:
        raise UserError(
            f"{len(missing)} of {len(listed)} files named in {csv_path} are missing: "
            f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}: {advice}"
        )
    return tuple(recordings)


def _check_data_dir(data_dir: str, advice: str) -> None:
    if not filesystem.is_dir(data_dir):
        problem = "is not a folder" if filesystem.exists(data_dir) else "does not exist"
        raise UserError(f"--data_dir={data_dir} {problem}: {advice}")


def _checked(manifest: Manifest, where: str) -> Manifest:
    """Returns the manifest if a classifier can be trained and tested on it."""
    if not manifest.recordings:
        raise UserError(f"{where} holds no recordings: add at least two for each class")
    if len(manifest.classes) == 1:
        raise UserError(
            f"{where} holds only one class, {manifest.classes[0]!r}: "
            "a classifier needs at least two; add recordings of another"
        )
    counts = Counter(recording.label for recording in manifest.recordings)
    single = [label for label in manifest.classes if counts[label] == 1]
    if single:
        raise UserError(
            f"{where}: only one clip of class {', '.join(map(repr, single))}, which cannot be "
            "split into training and test: add clips of it or remove it"
        )
    for label in manifest.classes:
        if len(label.splitlines()) > 1:
            raise UserError(f"{where}: the label {label!r} has a line break: remove it")
    for recording in manifest.recordings:
        try:
            recording.path.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{recording.path!r}: the file name is not UTF-8: rename it") from error
    return manifest
