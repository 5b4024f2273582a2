"""Checks the files of a data set: formats, durations, duplicates, faults."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sound_pipeline.datasets.checked_file import CheckedFile, check_file
from sound_pipeline.datasets.manifest import Manifest

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True)
class Durations:
    """Lengths of the usable recordings."""

    min_seconds: float
    lower_quartile_seconds: float
    median_seconds: float
    upper_quartile_seconds: float
    max_seconds: float
    total_hours: float


@dataclass(frozen=True)
class Shared:
    """Recordings that share something, and what they don't share.

    Attributes:
      key: what they share: the SHA-256 of their content, or their source recording.
      paths: where they are.
      labels: their classes, sorted.
      folds: their folds, sorted.
      groups: their source recordings, sorted.
    """

    key: str
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    folds: tuple[int, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class SimilarFiles:
    """Two files that are perhaps the same recording.

    Attributes:
      first: one.
      second: the other.
      cosine: of their most alike windows, -1..1; see `embeddings.similar`.
    """

    first: CheckedFile
    second: CheckedFile
    cosine: float


@dataclass(frozen=True)
class DatasetReport:
    """Everything there is to say about a data set.

    Attributes:
      name: the manifest's.
      grouping: the manifest's: how source recordings are told apart.
      parts: the manifest's: what the folds are called.
      listing_remarks: the manifest's: what was noticed while the recordings were listed.
      sources: how many source recordings there are.
      classes: how many recordings each class has, by label in the order of the class ids.
      folds: how many each fold has, by number; empty where there are no folds.
      class_folds: how many each class has in each fold, by label and number.
      encodings: how many usable recordings there are of each, most frequent first.
      sample_rates_hz: likewise.
      channels: likewise; 0 stands for unknown.
      durations: of the usable recordings; None if there are none.
      duplicates: usable recordings of equal content.
      straddling_groups: source recordings with clips in several folds.
      similar: usable recordings that are perhaps the same; None where nobody looked for any.
      files: all recordings.
    """

    name: str
    grouping: str
    parts: tuple[str, ...]
    listing_remarks: tuple[str, ...]
    sources: int
    classes: dict[str, int]
    folds: dict[int, int]
    class_folds: dict[str, dict[int, int]]
    encodings: dict[str, int]
    sample_rates_hz: dict[int, int]
    channels: dict[int, int]
    durations: Durations | None
    duplicates: tuple[Shared, ...]
    straddling_groups: tuple[Shared, ...]
    similar: tuple[SimilarFiles, ...] | None
    files: tuple[CheckedFile, ...]

    @property
    def usable(self) -> tuple[CheckedFile, ...]:
        """Recordings that training can use."""
        return tuple(file for file in self.files if file.usable)

    @property
    def missing(self) -> tuple[CheckedFile, ...]:
        """Recordings without a file."""
        return tuple(file for file in self.files if file.missing)

    @property
    def unreadable(self) -> tuple[CheckedFile, ...]:
        """Recordings whose file can't be used."""
        return tuple(file for file in self.files if not (file.missing or file.usable))

    @property
    def with_remarks(self) -> tuple[CheckedFile, ...]:
        """Recordings that are decoded otherwise than as they are."""
        return tuple(file for file in self.files if file.remark)


def check_files(manifest: Manifest, progress: Callable[[], object]) -> list[CheckedFile]:
    """Reads every file of a data set, several at a time.

    Args:
      manifest: names them; they need not exist.
      progress: is called after each file, from one thread.

    Returns:
      What they are, in the manifest's order.
    """
    checked = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for file in threads.map(check_file, manifest.recordings):
            checked.append(file)
            progress()
    return checked


def find(
    manifest: Manifest,
    files: Sequence[CheckedFile],
    similar: Sequence[SimilarFiles] | None = None,
) -> DatasetReport:
    """Draws up the findings.

    Args:
      manifest: the data set.
      files: what its recordings are on disk, in the manifest's order.
      similar: see `DatasetReport`.
    """
    usable = [file for file in files if file.usable]
    classes = Counter(file.label for file in files)
    folds = Counter(file.fold for file in files)
    class_folds = Counter((file.label, file.fold) for file in files)
    return DatasetReport(
        name=manifest.name,
        grouping=manifest.grouping,
        parts=manifest.parts,
        listing_remarks=manifest.listing_remarks,
        sources=len({file.group for file in files}),
        classes={label: classes[label] for label in manifest.classes},
        folds={fold: folds[fold] for fold in manifest.folds},
        class_folds={
            label: {fold: class_folds[label, fold] for fold in manifest.folds}
            for label in manifest.classes
        },
        encodings=_by_frequency([file.encoding for file in usable]),
        sample_rates_hz=_by_frequency([file.sample_rate_hz for file in usable]),
        channels=_by_frequency([file.channels for file in usable]),
        durations=durations([file.seconds for file in usable]),
        duplicates=duplicates(usable),
        straddling_groups=straddling_groups(files),
        similar=None if similar is None else tuple(similar),
        files=tuple(files),
    )


def durations(seconds: Sequence[float]) -> Durations | None:
    """Sums up lengths: extremes, quartiles (interpolated) and the total; None if there are none."""
    if not seconds:
        return None
    shortest, lower, median, upper, longest = map(float, np.quantile(seconds, np.linspace(0, 1, 5)))
    return Durations(shortest, lower, median, upper, longest, sum(seconds) / 3600)


def duplicates(files: Sequence[CheckedFile]) -> tuple[Shared, ...]:
    """Files of equal content, those of different folds, labels or groups included."""
    return _shared(files, lambda file: file.sha256, lambda alike: len(alike.paths) > 1)


def straddling_groups(files: Sequence[CheckedFile]) -> tuple[Shared, ...]:
    """Source recordings with clips in several folds, as five of UrbanSound8K have."""
    return _shared(files, lambda file: file.group, lambda alike: len(alike.folds) > 1)


def _shared(
    files: Sequence[CheckedFile],
    key: Callable[[CheckedFile], str],
    wanted: Callable[[Shared], bool],
) -> tuple[Shared, ...]:
    by_key: dict[str, list[CheckedFile]] = defaultdict(list)
    for file in files:
        by_key[key(file)].append(file)
    everything = (
        Shared(
            key=shared,
            paths=tuple(file.path for file in alike),
            labels=tuple(sorted({file.label for file in alike})),
            folds=tuple(sorted({file.fold for file in alike if file.fold is not None})),
            groups=tuple(sorted({file.group for file in alike})),
        )
        for shared, alike in by_key.items()
    )
    return tuple(filter(wanted, everything))


def _by_frequency(values: Sequence[_Value]) -> dict[_Value, int]:
    counts = Counter(values)
    return {value: counts[value] for value in sorted(counts, key=lambda v: (-counts[v], v))}
