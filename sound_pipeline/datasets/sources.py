"""Lists of recordings: in a CSV of metadata, in CSV files, or in folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial

from sound_pipeline.datasets.background import with_background
from sound_pipeline.datasets.config import DatasetConfig
from sound_pipeline.datasets.folders import AUDIO_SUFFIXES, files_below, is_nobodys
from sound_pipeline.datasets.layout import MOST_NAMED, Division, FolderLayout, find_layout
from sound_pipeline.datasets.listing import Listed, Listing
from sound_pipeline.datasets.passed_over import PassedOver
from sound_pipeline.datasets.published import PUBLISHED, Published
from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.datasets.tables import Row, Table, read_table
from sound_pipeline.errors import UserError
from sound_pipeline.events.cut_names import source_of
from sound_pipeline.system import filesystem
from sound_pipeline.system.entries import is_special, kind_of

logger = logging.getLogger(__name__)

_CUSTOM_CLIP_SECONDS = 4.0
# File names may well have brackets in them.
_PATTERN_MARKS = "*?"
_BY_NAME = "each file its own, but for names of cuts, such as SOURCE_SECONDS_LABEL.wav"
_LONE_SOURCE = "name the recording it was cut from, or give it a name that no other has"


def list_recordings(config: DatasetConfig) -> Listing:
    """Finds the list of a data set's recordings; of CSV files it reads the headers.

    Args:
      config: which data set, and where it is.

    Raises:
      UserError: a folder, file or column is missing.
    """
    if config.dataset == "folder":
        listing = _folder(config)
    elif config.dataset == "csv":
        listing = _csv(config)
    else:
        listing = _published(config, PUBLISHED[config.dataset])
    return with_background(listing, config.background_dir) if config.background_dir else listing


def _published(config: DatasetConfig, source: Published) -> Listing:
    data_dir = os.path.expanduser(config.data_dir)
    _check_data_dir(data_dir, f"unpack {source.title} there or correct the flag ({source.obtain})")
    table = read_table(source.metadata_path(data_dir))
    for column in (*source.columns, config.subset) if config.subset else source.columns:
        table.require(column, f"restore the file as published ({source.obtain})")
    return Listing(
        name=config.dataset + (f" ({config.subset} subset)" if config.subset else ""),
        clip_seconds=source.clip_seconds,
        where=table.path + (f" (--subset={config.subset})" if config.subset else ""),
        source=table.path,
        advice=f"unpack {source.title} again or correct --data_dir",
        stream=partial(_of_published, source, table, data_dir, config.subset),
        grouping=f"told apart by the column {source.group_column!r}",
    )


def _of_published(source: Published, table: Table, data_dir: str, subset: str) -> Iterator[Listed]:
    by_label: dict[str, tuple[int, str]] = {}
    by_id: dict[int, tuple[int, str]] = {}
    for row in table:
        if subset and row.cell(subset).lower() != "true":
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
        yield Listed(Recording(path, label, fold, row.text(source.group_column)), here, row)


def _csv(config: DatasetConfig) -> Listing:
    pattern = os.path.expanduser(config.manifest)
    data_dir = os.path.expanduser(config.data_dir)
    if data_dir:
        _check_data_dir(data_dir, f"name the folder that the paths in {pattern} start from")
    tables = [_csv_table(config, path) for path in _csv_paths(config, pattern)]
    for table in tables[1:]:
        for column in (config.fold_column, config.group_column):
            if (column in table.columns) != (column in tables[0].columns):
                raise UserError(
                    f"{table.path} and {tables[0].path}: only one of them has a column {column!r}: "
                    "give both the same columns"
                )
    base = data_dir or os.path.dirname(pattern) or "."
    start = "--data_dir" if data_dir else "the CSV's folder, as --data_dir is not set"
    return Listing(
        name=f"csv ({os.path.basename(pattern)})",
        clip_seconds=_CUSTOM_CLIP_SECONDS,
        where=pattern,
        source=pattern,
        advice=f"paths start from {base} ({start}): correct them or the flag",
        stream=partial(_of_tables, config, tables, data_dir),
        grouping=f"told apart by the column {config.group_column!r}"
        if config.group_column in tables[0].columns
        else _BY_NAME,
    )


def _csv_paths(config: DatasetConfig, pattern: str) -> list[str]:
    """CSV file of --manifest, or those that are like it."""
    if filesystem.is_file(pattern):
        return [pattern]
    if filesystem.has_magic(pattern) and (alike := filesystem.glob(pattern)):
        return alike
    if pattern == "-" or is_special(pattern):
        raise UserError(
            f"--manifest={config.manifest}: is a pipe or a device, and is read more than once: "
            "save it to a file"
        )
    data_dir = os.path.expanduser(config.data_dir) or os.path.dirname(pattern)
    inside = os.path.join(data_dir, pattern)
    found = not filesystem.is_remote(pattern) and filesystem.is_file(inside)
    hint = f"did you mean --manifest={inside}?" if found else "name a CSV file"
    raise UserError(f"--manifest={config.manifest}: there is no such file: {hint}")


def _csv_table(config: DatasetConfig, path: str) -> Table:
    """A CSV file that has the columns that flags name."""
    table = read_table(path)
    for flag in ("path_column", "label_column", "fold_column", "group_column"):
        column = getattr(config, flag)
        is_default = column == getattr(DatasetConfig, flag)
        optional = is_default and flag in ("fold_column", "group_column")
        if column in table.columns or not optional:
            table.require(column, f"name one of them with --{flag}")
    return table


def _of_tables(config: DatasetConfig, tables: Sequence[Table], data_dir: str) -> Iterator[Listed]:
    for table in tables:
        has_folds = config.fold_column in table.columns
        has_groups = config.group_column in table.columns
        folder = data_dir or os.path.dirname(table.path)
        for row in table:
            for name in _names(row, config.path_column, folder):
                label = row.text(config.label_column)
                recording = Recording(
                    path=filesystem.join(folder, name),
                    label=label,
                    fold=row.whole_number(config.fold_column) if has_folds else None,
                    group=row.text(config.group_column, _LONE_SOURCE)
                    if has_groups
                    else _source(name),
                )
                yield Listed(recording, (0, label), row)


def _source(name: str) -> str:
    """Source recording of a file of which the table names none."""
    return source_of(name.replace("\\", "/").rpartition("/")[2]) or name


def _names(row: Row, column: str, folder: str) -> list[str]:
    """Path in a row, or the paths of the files that are like it, below a folder."""
    name = row.text(column)
    if not any(mark in name for mark in _PATTERN_MARKS):
        return [name]
    path = filesystem.join(folder, name)
    if filesystem.is_file(path):
        return [name]
    alike = filesystem.glob(path)
    if not alike:
        raise UserError(f"{row.where}: no file is like {path!r}: correct it or remove the line")
    if filesystem.is_remote(path):
        return [file.removeprefix(f"{folder.rstrip('/')}/") for file in alike]
    return [os.path.relpath(file, folder or os.curdir) for file in alike]


def _folder(config: DatasetConfig) -> Listing:
    data_dir = os.path.expanduser(config.data_dir)
    _check_data_dir(data_dir, "name the folder that holds one folder of recordings a class")
    passed_over = PassedOver()
    found = _recordings_below(data_dir, passed_over)
    try:
        layout = find_layout(_below(data_dir, path) for path in found)
    except UserError as error:
        raise UserError(f"--data_dir={data_dir}: {error}") from error
    remarks = passed_over.remarks
    if layout.loose:
        named = ", ".join(layout.loose_names) + (", ..." if layout.loose > MOST_NAMED else "")
        remarks += (
            f"{layout.loose} recordings lie beside the folders of the classes and are left out "
            f"({named}): move them into the folder of their class",
        )
    for remark in remarks:
        logger.warning("--data_dir=%s: %s", data_dir, remark)
    return Listing(
        name=f"folder ({os.path.basename(os.path.abspath(data_dir))})",
        clip_seconds=_CUSTOM_CLIP_SECONDS,
        where=f"--data_dir={data_dir} (one folder a class)",
        source=data_dir,
        advice="",
        stream=partial(_of_folder, data_dir, layout),
        grouping=layout.grouping,
        parts=layout.division.parts,
        remarks=remarks,
    )


def _of_folder(data_dir: str, layout: FolderLayout) -> Iterator[Listed]:
    held, empty = set(), set()
    for folder in _class_folders(data_dir, layout.division):
        empty.add(os.path.basename(folder))
        for path in files_below(folder, AUDIO_SUFFIXES):
            if placed := layout.place(_below(data_dir, path)):
                held.add(placed.label)
                recording = Recording(path, placed.label, placed.fold, placed.group)
                yield Listed(recording, (0, placed.label), None)
    for label in sorted(empty - held):
        raise UserError(
            f"--data_dir={data_dir}: class folder {label!r} holds no recordings "
            f"({', '.join(AUDIO_SUFFIXES)}): add some or move the folder away"
        )


def _recordings_below(data_dir: str, passed_over: PassedOver) -> Iterator[str]:
    """Recordings in a data set's folder, and those in each of its folders."""
    for entry in filesystem.list_folder(data_dir):
        if is_nobodys(entry.name):
            continue
        if kind_of(entry) == "folder":
            yield from files_below(entry.path, AUDIO_SUFFIXES, passed_over)
        elif entry.name.lower().endswith(AUDIO_SUFFIXES):
            yield entry.path
        else:
            passed_over.add(entry.path, ())


def _class_folders(data_dir: str, division: Division) -> Iterator[str]:
    """Folders of the classes: of one part after the other, where parts are above them."""
    above = [data_dir]
    if division.folds and division.at == 0:
        above = [path for path in _folders_in(data_dir) if _below(data_dir, path) in division.folds]
    for folder in above:
        yield from _folders_in(folder)


def _folders_in(folder: str) -> Iterator[str]:
    for entry in filesystem.list_folder(folder):
        if kind_of(entry) == "folder" and not is_nobodys(entry.name):
            yield entry.path


def _below(folder: str, path: str) -> str:
    """A path from a folder on, with "/" on every system, so that the splits are the same there."""
    return path[len(folder) :].replace(os.sep, "/").lstrip("/")


def _check_data_dir(data_dir: str, advice: str) -> None:
    if not filesystem.is_dir(data_dir):
        problem = "is not a folder" if filesystem.exists(data_dir) else "does not exist"
        raise UserError(f"--data_dir={data_dir} {problem}: {advice}")
