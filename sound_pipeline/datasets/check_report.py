"""Findings about a data set as tables to read and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from sound_pipeline.datasets.check import DatasetReport, Shared, SimilarFiles
from sound_pipeline.system.text import printable

# More folds than this would make lines too long to read.
_MAX_FOLD_COLUMNS = 20
_MAX_LINES = 20


def to_json(findings: DatasetReport) -> dict[str, Any]:
    """Everything in the findings, as JSON values."""
    return {
        "data_set": findings.name,
        "recordings": len(findings.files),
        "usable": len(findings.usable),
        "missing": [file.path for file in findings.missing],
        "unreadable": {file.path: file.reason for file in findings.unreadable},
        "remarks": {file.path: file.remark for file in findings.with_remarks},
        "listing_remarks": findings.listing_remarks,
        "source_recordings": findings.sources,
        "grouping": findings.grouping,
        "parts": findings.parts,
        "classes": findings.classes,
        "folds": findings.folds,
        "class_folds": findings.class_folds,
        "encodings": findings.encodings,
        "sample_rates_hz": findings.sample_rates_hz,
        "channels": findings.channels,
        "durations": findings.durations and dataclasses.asdict(findings.durations),
        "duplicates": [
            {
                "sha256": alike.key,
                "paths": alike.paths,
                "labels": alike.labels,
                "folds": alike.folds,
                "groups": alike.groups,
                "different_labels": len(alike.labels) > 1,
                "straddles_folds": len(alike.folds) > 1,
                "different_groups": len(alike.groups) > 1,
            }
            for alike in findings.duplicates
        ],
        "straddling_groups": [
            {
                "group": straddling.key,
                "paths": straddling.paths,
                "labels": straddling.labels,
                "folds": straddling.folds,
            }
            for straddling in findings.straddling_groups
        ],
        "similar": findings.similar
        and [
            {
                "paths": [pair.first.path, pair.second.path],
                "cosine": round(pair.cosine, 4),
                "straddles_folds": pair.first.fold != pair.second.fold,
                "different_groups": pair.first.group != pair.second.group,
            }
            for pair in findings.similar
        ],
        "files": [dataclasses.asdict(file) for file in findings.files],
    }


def to_text(findings: DatasetReport) -> str:
    """Findings for people: counts, then what is wrong, the first of each kind."""
    return "\n".join(map(printable, _lines(findings))) + "\n"


def _lines(findings: DatasetReport) -> Iterator[str]:
    usable, missing, unreadable = findings.usable, findings.missing, findings.unreadable
    yield (
        f"{findings.name}: {len(findings.files)} recordings, {len(usable)} usable, "
        f"{len(missing)} missing, {len(unreadable)} unreadable"
    )
    yield f"source recordings: {findings.sources}, {findings.grouping}"
    yield ""
    yield from _class_table(findings)
    for title, counts in (
        ("encoding", findings.encodings),
        ("sample rate", {f"{hz} Hz": count for hz, count in findings.sample_rates_hz.items()}),
        ("channels", {n or "unknown": count for n, count in findings.channels.items()}),
    ):
        yield ""
        yield from _table([[title, "usable"], *([key, n] for key, n in counts.items())])
    if lengths := findings.durations:
        yield ""
        rows = [
            ("shortest", lengths.min_seconds),
            ("lower quartile", lengths.lower_quartile_seconds),
            ("median", lengths.median_seconds),
            ("upper quartile", lengths.upper_quartile_seconds),
            ("longest", lengths.max_seconds),
        ]
        yield from _table([["duration", "s"], *([name, f"{s:.2f}"] for name, s in rows)])
        yield f"total {lengths.total_hours:.2f} h"
    yield from _section("missing", [file.path for file in missing])
    yield from _section("unreadable", [f"{file.path}: {file.reason}" for file in unreadable])
    # Few data sets have any.
    if remarks := [f"{file.path}: {file.remark}" for file in findings.with_remarks]:
        yield from _section("not decoded as they are", remarks)
    if findings.listing_remarks:
        yield from _section("left out", findings.listing_remarks)
    yield from _section(
        "files of equal content", [_duplicate(findings, alike) for alike in findings.duplicates]
    )
    if findings.similar is not None:
        pairs = [_similar(findings, pair) for pair in findings.similar]
        yield from _section("perhaps the same recording", pairs)
    yield from _section(
        "source recordings in several folds",
        [
            f"{group.key}: {_folds(findings, group.folds)}; {_joined(group.labels)}; "
            f"{len(group.paths)} clips"
            for group in findings.straddling_groups
        ],
    )


def _class_table(findings: DatasetReport) -> Iterator[str]:
    folds = list(findings.folds) if len(findings.folds) <= _MAX_FOLD_COLUMNS else []
    rows: list[list[object]] = [["class", *(_fold(findings, fold) for fold in folds), "all"]]
    for label, count in findings.classes.items():
        rows.append([label, *(findings.class_folds[label][fold] for fold in folds), count])
    rows.append(["all", *(findings.folds[fold] for fold in folds), len(findings.files)])
    yield from _table(rows)
    if findings.folds and not folds:
        yield ""
        yield from _table([["fold", "recordings"], *map(list, findings.folds.items())])


def _fold(findings: DatasetReport, fold: int) -> str:
    """A fold as people call it: by its number, or the name of the part that it is."""
    return findings.parts[fold - 1] if findings.parts else f"fold {fold}"


def _folds(findings: DatasetReport, folds: Sequence[int]) -> str:
    if findings.parts:
        return f"parts {_joined([_fold(findings, fold) for fold in folds])}"
    return f"folds {_joined(folds)}"


def _duplicate(findings: DatasetReport, alike: Shared) -> str:
    marks = [
        what
        for what, values in (
            (f"different labels {_joined(alike.labels)}", alike.labels),
            (_folds(findings, alike.folds), alike.folds),
            (f"source recordings {_joined(alike.groups)}", alike.groups),
        )
        if len(values) > 1
    ]
    return " = ".join(alike.paths) + (f" ({'; '.join(marks)})" if marks else "")


def _similar(findings: DatasetReport, pair: SimilarFiles) -> str:
    first, second = pair.first, pair.second
    marks = [f"cosine {pair.cosine:.3f}"]
    if first.label != second.label:
        marks.append(f"labels {first.label}, {second.label}")
    if first.fold is not None and second.fold is not None and first.fold != second.fold:
        marks.append(_folds(findings, sorted((first.fold, second.fold))))
    if first.group != second.group:
        marks.append(f"source recordings {first.group}, {second.group}")
    return f"{first.path} ~ {second.path} ({'; '.join(marks)})"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"{title}: {len(lines) or 'none'}"
    yield from (f"  {line}" for line in lines[:_MAX_LINES])
    if len(lines) > _MAX_LINES:
        yield f"  and {len(lines) - _MAX_LINES} more; --json=FILE lists all"


def _table(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Columns as wide as they need: the first flush left, numbers flush right."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells])


def _joined(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
