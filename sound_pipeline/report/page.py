"""Page of a run, report.html: one file that needs nothing else, opened from disk."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from sound_pipeline.config import RunConfig
from sound_pipeline.datasets.leaks import is_leaky, without_mark
from sound_pipeline.report.charts import Plot, ticks
from sound_pipeline.report.confusion import most_mistaken
from sound_pipeline.report.data_uris import image_uri, sound_uri
from sound_pipeline.system.text import printable

if TYPE_CHECKING:
    from sound_pipeline.report.excerpts import Excerpt
    from sound_pipeline.report.run_results import RunResults

SOUND_BUDGET_BYTES = 10_000_000
"""What the sounds of one page may take; those of further mistakes are left out."""

# The kinds of split: each one's name, and what it keeps apart.
_SPLITS = {
    "folds": ("the data set's own folds", "each tested by a head trained on the others"),
    "grouped": (
        "folds that keep every source recording whole",
        "each tested by a head trained on the others",
    ),
    "holdout": ("one part held out", "by whole folds or whole source recordings"),
    "own parts": ("the part that the data set has for it", "by a head trained on its others"),
    "random split": (
        "random folds",
        "which ignore that clips were cut from the same source recording",
    ),
}
_MOST_CONFUSIONS = 8
_NOTHING = "\N{EN DASH}"


def write_page(path: Path, run: RunResults, mistakes: Sequence[Excerpt]) -> None:
    """Writes the page: HTML with its style, charts, images and sounds inside, and no script.

    Args:
      path: the file to write.
      run: what was found.
      mistakes: the most confident first. Their sounds are in the page until they would take more
        than `SOUND_BUDGET_BYTES`; from there on the images alone.
    """
    figures = run.figures
    shown = most_mistaken(np.array(figures["confusion_matrix"])).tolist()
    text = _template().render(
        figures=figures,
        split=_SPLITS[without_mark(figures["split"])],
        leaky=is_leaky(figures["split"]),
        tested=sum(_clips(figures)),
        commonest=max(_clips(figures)) / sum(_clips(figures)),
        classes=_worst_first(figures["per_class"]),
        matrix=_matrix(figures["confusion_matrix"], figures["classes"], shown),
        matrix_classes=[figures["classes"][position] for position in shown],
        confusions=_confusions(figures["confusion_matrix"], figures["classes"]),
        reliability=Plot(width=340, height=338, highest_x=1, highest_y=1),
        curves=_curves(run.curves),
        cards=_cards(mistakes),
        settings=_settings(run.config),
        command=run.command,
        versions=run.versions,
    )
    path.write_text(text, encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sound_pipeline.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "decimal": _decimal,
        "breakable": _breakable,
        "ticks": ticks,
    }
    environment.globals["zip"] = zip
    return environment.get_template("page.html")


def _percent(share: float | None) -> str:
    return (
        _NOTHING if share is None or math.isnan(share) else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
    )


def _decimal(value: float | None, digits: int = 2) -> str:
    return _NOTHING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _breakable(name: str) -> Markup:
    """Name with leave to break the line where a word in it ends."""
    parts = re.split(r"(?<=[_\-./\\])(?=[^_\-./\\])", name)
    return Markup("<wbr>").join(escape(printable(part)) for part in parts)


def _finished(value: Any) -> Any:
    """A value as it goes into the page: what would show the rest in another order is escaped."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _clips(figures: Mapping[str, Any]) -> list[int]:
    """Tested recordings of each class."""
    return [of_class["clips"] for of_class in figures["per_class"].values()]


def _worst_first(per_class: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    rows = [{"name": name, **of_class} for name, of_class in per_class.items()]
    return sorted(rows, key=lambda row: (row["f1"], row["name"]))


@dataclasses.dataclass(frozen=True)
class _Cell:
    """A confusion matrix's: `shade` is 0..1, `title` says it in words."""

    count: int
    right: bool
    shade: float
    title: str


def _matrix(
    matrix: Sequence[Sequence[int]], classes: Sequence[str], shown: Sequence[int]
) -> list[list[_Cell]]:
    """Rows and columns of the classes at the positions shown."""
    table = []
    for position in shown:
        label, row = classes[position], matrix[position]
        clips = max(sum(row), 1)
        cells = []
        for column in shown:
            predicted, count = classes[column], row[column]
            share = count / clips
            right = predicted == label
            # The root, so that the few mistakes of a good head are seen too.
            shade = share if right else math.sqrt(share)
            title = f"{label}, called {predicted}: {count} of {sum(row)}"
            cells.append(_Cell(count, right, round(shade, 3), title))
        table.append(cells)
    return table


@dataclasses.dataclass(frozen=True)
class _Confusion:
    """Clips of one class that were given the name of another."""

    label: str
    predicted: str
    count: int
    clips: int


def _confusions(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[_Confusion]:
    """Commonest, most clips first."""
    found = [
        _Confusion(label, predicted, count, sum(row))
        for label, row in zip(classes, matrix, strict=True)
        for predicted, count in zip(classes, row, strict=True)
        if count and predicted != label
    ]
    found.sort(key=lambda confusion: (-confusion.count, confusion.clips))
    return found[:_MOST_CONFUSIONS]


@dataclasses.dataclass(frozen=True)
class _Line:
    """A loss by epoch, as SVG points, with its lowest value marked."""

    name: str
    points: str
    lowest: float
    at_epoch: int
    epochs: int


@dataclasses.dataclass(frozen=True)
class _Chart:
    """Learning curves of one fold."""

    fold: str
    plot: Plot
    epoch_ticks: list[int]
    lines: list[_Line]


def _curves(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> list[_Chart]:
    """A chart a fold, all with the same axes."""
    shown = {
        fold: {name: list(of_fold[name]) for name in ("loss", "validation_loss") if name in of_fold}
        for fold, of_fold in curves.items()
    }
    every = [values for of_fold in shown.values() for values in of_fold.values()]
    plot = Plot(
        width=160,
        height=130,
        highest_x=max((len(values) for values in every), default=1),
        highest_y=max((max(values) for values in every), default=1.0) or 1.0,
        bottom=22,
    )
    epoch_ticks = [int(epoch) for epoch in ticks(plot.highest_x, 4) if epoch == int(epoch)]
    return [
        _Chart(fold, plot, epoch_ticks, [_line(name, of_fold[name], plot) for name in of_fold])
        for fold, of_fold in shown.items()
    ]


def _line(name: str, values: list[float], plot: Plot) -> _Line:
    lowest = min(values)
    epochs = range(1, len(values) + 1)
    return _Line(name, plot.points(epochs, values), lowest, values.index(lowest) + 1, len(values))


@dataclasses.dataclass(frozen=True)
class _Card:
    """A mistake; `sound` is '' where the page has no room for it."""

    name: str
    mistake: Excerpt
    seconds: float
    image: str
    sound: str


def _cards(mistakes: Sequence[Excerpt]) -> list[_Card]:
    cards = []
    room = SOUND_BUDGET_BYTES
    for mistake in mistakes:
        sound = sound_uri(mistake.waveform, mistake.sample_rate_hz)
        if len(sound) > room:
            sound, room = "", 0
        room -= len(sound)
        cards.append(
            _Card(
                name=PurePath(mistake.path).name,
                mistake=mistake,
                seconds=len(mistake.waveform) / mistake.sample_rate_hz,
                image=image_uri(mistake.image),
                sound=sound,
            )
        )
    return cards


def _settings(config: RunConfig) -> dict[str, dict[str, str]]:
    """Configuration as words, by section and name."""
    titles = {"": "Run", "dataset": "Data set"}
    return {
        titles.get(name, name.replace("_", " ").capitalize()): values
        for name, values in _sections("", dataclasses.asdict(config))
    }


def _sections(name: str, values: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Values of a configuration, and then of those nested in it."""
    nested = {field: value for field, value in values.items() if isinstance(value, dict)}
    yield name, {field: _in_words(value) for field, value in values.items() if field not in nested}
    for field, inner in nested.items():
        yield from _sections(field, inner)


def _in_words(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) or "none"
