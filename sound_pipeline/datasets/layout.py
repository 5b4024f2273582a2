"""Layout of a folder of recordings: what the folders on the way to one say about it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sound_pipeline.errors import UserError
from sound_pipeline.events.cut_names import safe_part, source_of

# What people call the parts of a data set that comes divided; the first trains, the last tests.
_PARTS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "validate", "dev"),
    "evaluation": ("eval", "evaluation", "evaluate"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}
_TRAIN = next(iter(_PARTS))
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
# train_data, Test Set, 01-train.
_AROUND = re.compile(r"^[\d\W_]+|[\W_]*(?:(?:data)?set|data|split|audio)?[\d\W_]*$")
_FOLD = re.compile(r"fold[\W_]*(\d+)")

MOST_NAMED = 3
"""Recordings that a message names, of however many it is about."""

Chains = Collection[tuple[str, ...]]
"""Names of the folders on the way to recordings."""


class Placed(NamedTuple):
    """What a recording's path says.

    Attributes:
      label: its class.
      fold: its fold or part; None where there are none.
      group: its source recording.
    """

    label: str
    fold: int | None
    group: str


@dataclass(frozen=True)
class Division:
    """How the folders divide a data set, beside the classes.

    Attributes:
      folds: number of each folder that is a fold or a part; empty for none.
      parts: names of the folds 1, 2, ... where they are parts: the first trains, the last tests,
        such as ('train', 'validation', 'test').
      at: whether they are above the folders of the classes (0: train/CLASS) or below (1:
        CLASS/train).
    """

    folds: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    at: int = 0

    def without(self, folders: tuple[str, ...]) -> tuple[str, ...]:
        """Folders from that of the class on; none where they reach no class."""
        if not self.folds:
            return folders
        return folders[: self.at] + folders[self.at + 1 :] if len(folders) > 1 else ()


@dataclass(frozen=True)
class FolderLayout:
    """Where a path below the folder of a data set names fold, class and source.

    Attributes:
      division: the data set's own.
      common: the one folder that all classes have and nothing beside it, such as wav in
        CLASS/wav/1.wav: it names no source; '' for none.
      cut: sources that names of cuts tell of: a whole recording of such a name is theirs.
      by_folder: whether folders below the classes name sources.
      loose: how many recordings lie beside the folders of the classes.
      loose_names: the first few of them.
    """

    division: Division
    common: str
    cut: frozenset[str]
    by_folder: bool
    loose: int
    loose_names: tuple[str, ...]

    @property
    def grouping(self) -> str:
        """How source recordings are told apart, to say after 'source recordings: 12, '."""
        found = ["names of cuts, such as SOURCE_SECONDS_LABEL.wav"] if self.cut else []
        found += ["folders below those of the classes"] if self.by_folder else []
        if not found:
            return "each file its own, as no name or folder says what it was cut from"
        return f"told apart by {' and '.join(found)}; other files are their own"

    def place(self, path: str) -> Placed | None:
        """What a path says, "/" between folders; None where it is in no class's folder."""
        *above, name = path.split("/")
        folders = self.division.without(tuple(above))
        if not folders:
            return None
        fold = self.division.folds[above[self.division.at]] if self.division.folds else None
        group = source_of(name) or safe_part(name.rpartition(".")[0])
        if group not in self.cut:
            below = "/".join(folders[1:])
            group = path.rpartition("/")[0] if below not in ("", self.common) else path
        return Placed(folders[0], fold, group)


def find_layout(paths: Iterable[str]) -> FolderLayout:
    """Layout that the paths of all recordings below a folder have, "/" between folders.

    Raises:
      UserError: the folders look like parts of a data set, and can't be taken for them.
    """
    cut: set[str] = set()
    # How many recordings each folder holds, and the first of them.
    counts: Counter[tuple[str, ...]] = Counter()
    first: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path in paths:
        *above, name = path.split("/")
        folders = tuple(above)
        counts[folders] += 1
        if counts[folders] <= MOST_NAMED:
            first[folders].append(path)
        if source := source_of(name):
            cut.add(source)
    division = _division([folders for folders in counts if folders])
    loose = [folders for folders in counts if not division.without(folders)]
    below = defaultdict(set)
    for folders in filter(None, map(division.without, counts)):
        below[folders[0]].add("/".join(folders[1:]))
    inside: set[str] = set().union(*below.values())
    common = next(iter(inside)) if len(inside) == 1 else ""
    return FolderLayout(
        division=division,
        common=common,
        cut=frozenset(cut),
        by_folder=bool(inside - {"", common}),
        loose=sum(counts[folders] for folders in loose),
        loose_names=tuple(path for folders in loose for path in first[folders])[:MOST_NAMED],
    )


def part_of(folder: str) -> str:
    """The part of a data set that a folder's name stands for: 'test' for Test_Set; '' if none."""
    return _PART_OF.get(_AROUND.sub("", folder.casefold()), "")


def _division(chains: Chains) -> Division:
    """How folders divide a data set.

    Raises:
      UserError: as of `find_layout`.
    """
    tops = {chain[0] for chain in chains}
    with_classes = {chain[0] for chain in chains if len(chain) > 1}
    if len(tops) == 1 and len({chain[1:2] for chain in chains}) > 1:
        raise UserError(
            f"{_named(tops)} alone holds recordings, in several folders: if those are the classes, "
            "name that folder"
        )
    folds = {top: int(match[1]) for top in tops if (match := _FOLD.fullmatch(top.casefold()))}
    if len(set(folds.values())) > 1 and folds.keys() == tops == with_classes:
        return Division(folds)
    parts = {top: part for top in tops if (part := part_of(top))}
    if len(set(parts.values())) > 1 and _are_parts(parts, tops, with_classes):
        return _parts(parts, 0)
    inner = {name: part_of(name) for name in ("".join(chain[1:2]) for chain in chains)}
    found = set(inner.values())
    are_parts = _TRAIN in found and "" not in found and len(found) > 1
    return _parts(inner, 1) if are_parts else Division()


def _parts(part_of_folder: Mapping[str, str], at: int) -> Division:
    parts = tuple(part for part in _PARTS if part in part_of_folder.values())
    numbers = {folder: 1 + parts.index(part) for folder, part in part_of_folder.items()}
    return Division(numbers, parts, at)


def _are_parts(parts: Mapping[str, str], tops: set[str], with_classes: set[str]) -> bool:
    """Whether folders that are called like parts of a data set are parts, and not classes.

    Args:
      parts: which part each of them is called like.
      tops: all folders with recordings in the data set's.
      with_classes: those of them that hold folders with recordings.

    Raises:
      UserError: they are, and a data set can't be made of them.
    """
    flat, others = parts.keys() - with_classes, tops - parts.keys()
    if flat and others:
        return False
    if others:
        raise UserError(
            f"{_named(parts)} hold folders of classes, as parts of a data set, but beside them "
            f"{_named(others)} holds recordings too: move it away, or into them"
        )
    if flat:
        raise UserError(
            f"{_named(flat)}: is called like a part of a data set, but its recordings are in no "
            "folders of classes: sort them into such, or give the folder of another part alone"
        )
    if _TRAIN not in parts.values():
        raise UserError(
            f"{_named(parts)} are called like parts of a data set, but none like the one to train "
            "on: rename that one to train"
        )
    return True


def _named(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
