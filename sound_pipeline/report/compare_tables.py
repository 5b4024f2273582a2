"""A comparison of runs as text: Markdown for people, CSV for spreadsheets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from sound_pipeline.datasets.leaks import is_leaky
from sound_pipeline.report.compare import Pair, Run, differing, over_seeds
from sound_pipeline.system.text import one_line, spreadsheet_row

_LEGEND = (
    "p: how likely a difference at least as large is if both were equally good, by exchanging "
    "their answers source by source (McNemar's test, where every clip has a source of its own). "
    "The interval of the difference is by source too: where it holds 0, these clips don't tell the "
    "two runs apart."
)


_SEEDS_LEGEND = (
    "Runs that differ in their seeds alone. The standard deviation of their accuracies is what "
    "chance in training makes; the interval of a run, of the recordings tested, is without it."
)


def to_markdown(runs: Sequence[Run], pairs: Sequence[Pair]) -> str:
    """Three tables, of the runs, of what differs in their configurations and of the pairs."""
    parts = ["# Comparison of runs", _runs_table(runs), "## What differs in their configurations"]
    fields = differing(runs)
    if fields:
        rows = [[field, *map(_shown, values)] for field, values in fields.items()]
        parts.append(_table(["field", *(run.name for run in runs)], rows))
    else:
        parts.append("Nothing: the configurations are the same.")
    if groups := over_seeds(runs):
        parts += ["## Over seeds", _seeds_table(groups), _SEEDS_LEGEND]
    parts += ["## On the clips that both tested", _pairs_table(pairs), _LEGEND]
    warnings = [f"- Warning: {_escaped(text)}" for text in _warnings(runs, pairs)]
    if warnings:
        parts += ["## Before drawing conclusions", "\n".join(warnings)]
    return "\n\n".join(parts) + "\n"


def to_csv(runs: Sequence[Run]) -> str:
    """A row a run: its name, its figures and the fields of the configuration that differ."""
    fields = differing(runs)
    columns = [
        "macro_f1", "top_3_accuracy", "calibration_error", "split", "leaked_fraction", "clips",
        "seconds",
    ]  # fmt: skip
    rows = [
        spreadsheet_row(["run", "accuracy", "accuracy_low", "accuracy_high", *columns, *fields])
    ]
    for number, run in enumerate(runs):
        values = [values[number] for values in fields.values()]
        words = [",".join(map(str, v)) if isinstance(v, list) else v for v in values]
        measured = [run.figures["accuracy"], *run.figures["accuracy_interval"]]
        figures = [run.figures[name] for name in columns]
        rows.append(spreadsheet_row([run.name, *measured, *figures, *words]))
    return "".join(rows)


def _runs_table(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        figures = run.figures
        low, high = figures["accuracy_interval"]
        rows.append(
            [
                run.name,
                f"{figures['accuracy']:.3f} [{low:.3f}, {high:.3f}]",
                f"{figures['macro_f1']:.3f}",
                f"{figures['top_3_accuracy']:.3f}",
                f"{figures['calibration_error']:.3f}",
                figures["split"],
                str(figures["clips"]),
                f"{figures['seconds']:.1f}",
            ]
        )
    header = ["run", "accuracy [95% interval]", "macro F1", "top-3 accuracy", "calibration error"]
    return _table([*header, "split", "clips tested", "seconds"], rows)


def _seeds_table(groups: Sequence[Sequence[Run]]) -> str:
    rows = []
    for group in groups:
        accuracies = [run.figures["accuracy"] for run in group]
        names = ", ".join(run.name for run in group)
        mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
        rows.append([names, str(len(group)), f"{mean:.4f}", f"{deviation:.4f}"])
    return _table(["runs", "seeds", "mean accuracy", "standard deviation"], rows)


def _pairs_table(pairs: Sequence[Pair]) -> str:
    rows = []
    for pair in pairs:
        row = [pair.a, pair.b, str(pair.clips), *["-"] * 4]
        if pair.test and pair.difference is not None and pair.interval:
            low, high = pair.interval
            row[3:] = [
                str(pair.test.only_a),
                str(pair.test.only_b),
                f"{pair.test.p_value:.3f}" if pair.test.p_value >= 0.001 else "< 0.001",
                f"{pair.difference:+.3f} [{low:+.3f}, {high:+.3f}]",
            ]
        rows.append(row)
    header = ["A", "B", "clips", "only A right", "only B right", "p"]
    return _table([*header, "accuracy of B less A [95% interval]"], rows)


def _warnings(runs: Sequence[Run], pairs: Sequence[Pair]) -> Iterator[str]:
    for run in runs:
        if is_leaky(run.figures["split"]):
            yield (
                f"{run.name}: {run.figures['split']}: {run.figures['leaked_fraction']:.1%} of its "
                "tested clips have a source recording that it trained on, so its figures flatter"
            )
    classes = dict.fromkeys(name for run in runs for name in run.predictions.classes)
    lacking = [
        f"{run.name} lacks {_some(lacked)}"
        for run in runs
        if (lacked := [name for name in classes if name not in run.predictions.classes])
    ]
    if lacking:
        yield (
            f"the sets of classes differ: {'; '.join(lacking)}; two runs are compared on the "
            "classes that both know"
        )
    concerned = {
        "no clip was tested by both": [_name(pair) for pair in pairs if not pair.clips],
        "they held out other clips together, so a clip's two answers come from heads that learned "
        "from different clips": [_name(pair) for pair in pairs if not pair.same_split],
        "clips are matched by their names below the folders of the data sets, as their paths "
        "differ": [f"{_name(pair)} ({pair.by_name} clips)" for pair in pairs if pair.by_name],
        "clips that are labelled differently are left out": [
            f"{_name(pair)} ({pair.relabelled} clips)" for pair in pairs if pair.relabelled
        ],
    }
    for warning, names in concerned.items():
        if names:
            yield f"{', '.join(names)}: {warning}"


def _name(pair: Pair) -> str:
    return f"{pair.a} with {pair.b}"


def _some(names: Sequence[str], shown: int = 4) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"


def _escaped(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up on a terminal."""
    cells = [[_escaped(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
