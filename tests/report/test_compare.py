"""Comparison of runs: what differs, the clips that both tested, and the program."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.predictions import Predictions, write_predictions
from sound_pipeline.evaluation.significance import accuracy_difference_interval, mcnemar
from sound_pipeline.report.compare import Run, compare, compare_all, differing, read_runs
from sound_pipeline.report.compare_tables import to_csv, to_markdown
from tests.helpers import in_process

ROOT = Path(__file__).parents[2]
CLASSES = ("dog", "rain")
CONFIG: dict[str, Any] = {
    "dataset": {"dataset": "folder", "data_dir": "sounds", "manifest": "", "background_dir": ""},
    "split": {"evaluate": "grouped", "test_folds": []},
    "head": {"l2": 10.0, "seed": 0},
    "extractor": "gabor",
}
FIGURES: dict[str, Any] = {
    "accuracy": 0.875,
    "accuracy_interval": [0.8125, 0.90625],
    "macro_f1": 0.8125,
    "top_3_accuracy": 1.0,
    "calibration": {"error": 0.03125},
    "split": "grouped",
    "clips": 123,
    "seconds": 12.25,
}


def table(
    right: Sequence[bool],
    folder: str = "sounds",
    folds: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    classes: tuple[str, ...] = CLASSES,
    first: int = 0,
) -> Predictions:
    """Clips named by number, from `first` on, two of each source recording."""
    numbers = [first + row for row in range(len(right))]
    labels = [CLASSES[number % 2] for number in numbers] if labels is None else labels
    scores = np.zeros((len(right), len(classes)), np.float32)
    for row, (label, is_right) in enumerate(zip(labels, right, strict=True)):
        true = classes.index(label) if label in classes else 0
        scores[row, true if is_right else true - 1] = 1
    return Predictions(
        classes,
        np.array([f"{folder}/{number}.wav" for number in numbers]),
        np.array([f"fold {number % 4 // 2}" for number in numbers] if folds is None else folds),
        np.array([str(number // 2) for number in numbers]),
        np.array(labels),
        scores,
        np.full(len(right), 0.5, np.float32),
    )


def run(
    predictions: Predictions,
    name: str = "a",
    config: Mapping[str, Any] | None = None,
    **figures: Any,
) -> Run:
    changed = {"dataset.data_dir": "sounds", **(config or {})}
    flat = {
        **FIGURES,
        "calibration_error": 0.03125,
        "leaked_fraction": None,
        "clips": 40,
        **figures,
    }
    return Run(name, changed, flat, predictions)


def changed(**sections: Any) -> dict[str, Any]:
    """The configuration with some fields of some sections replaced."""
    return {
        name: {**values, **sections[name]}
        if isinstance(sections.get(name), dict)
        else sections.get(name, values)
        for name, values in CONFIG.items()
    }


def write_run(
    directory: Path,
    predictions: Predictions,
    config: Mapping[str, Any] = CONFIG,
    **figures: Any,
) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "metrics.json").write_text(json.dumps({**FIGURES, **figures}))
    write_predictions(directory / "predictions.csv", predictions)
    return directory


RIGHT_A = np.random.default_rng(0).random(40) < 0.9
RIGHT_B = np.random.default_rng(1).random(40) < 0.5


def test_figures_of_a_pair_are_of_the_same_clips_whatever_their_order() -> None:
    a, b = table(RIGHT_A), table(RIGHT_B)
    shuffled = np.random.default_rng(2).permutation(40)
    pair = compare(run(a), run(b.where(shuffled), "b"))
    only_a, only_b = int((RIGHT_A & ~RIGHT_B).sum()), int((~RIGHT_A & RIGHT_B).sum())
    assert only_a > only_b > 0
    assert pair.test
    assert (pair.clips, pair.test.only_a, pair.test.only_b) == (40, only_a, only_b)
    assert pair.test == mcnemar(RIGHT_A, RIGHT_B, a.groups)
    assert pair.difference == pytest.approx(RIGHT_B.mean() - RIGHT_A.mean())
    assert pair.interval == accuracy_difference_interval(RIGHT_B, RIGHT_A, a.groups)
    assert pair.interval[0] < pair.difference < pair.interval[1]
    assert (pair.by_name, pair.relabelled, pair.same_split) == (0, 0, True)


def test_clips_that_only_one_tested_are_left_out() -> None:
    pair = compare(run(table(RIGHT_A)), run(table(RIGHT_B[30:], first=30), "b"))
    assert pair.test
    assert pair.clips == 10
    assert pair.test.only_a == (RIGHT_A[30:] & ~RIGHT_B[30:]).sum()
    assert pair.difference == pytest.approx(RIGHT_B[30:].mean() - RIGHT_A[30:].mean())


@pytest.mark.parametrize(
    ("folder_a", "folder_b", "config_a", "config_b", "by_name"),
    [
        ("sounds", "sounds", {}, {}, 0),
        ("sounds", "/elsewhere/sounds", {}, {"dataset.data_dir": "/elsewhere/sounds"}, 40),
        ("sounds/", "sounds", {"dataset.data_dir": "./sounds/"}, {}, 0),
        # The folder of a CSV is where its paths start, where no other is given.
        (
            "/x/y", "z",
            {"dataset.data_dir": "", "dataset.manifest": "/x/list.csv"},
            {"dataset.data_dir": "", "dataset.manifest": "list.csv"},
            None,
        ),
        (
            "/x/z", "z",
            {"dataset.data_dir": "", "dataset.manifest": "/x/list.csv"},
            {"dataset.data_dir": "", "dataset.manifest": "list.csv"},
            40,
        ),
        ("/b", "/c", {"dataset.background_dir": "/b"}, {"dataset.background_dir": "/c"}, 40),
        # A clip of the data set is none of the background, whatever its name.
        ("sounds", "/c", {}, {"dataset.background_dir": "/c"}, None),
        ("sounds", "/other", {}, {"dataset.data_dir": "/elsewhere"}, None),
        (
            "z", "y/z",
            {"dataset.data_dir": "/x"},
            {"dataset.data_dir": "/x", "dataset.background_dir": "y"},
            None,
        ),
    ],
)  # fmt: skip
def test_clips_are_matched_by_path_or_by_name_below_the_data_sets_folder(
    folder_a: str,
    folder_b: str,
    config_a: dict[str, str],
    config_b: dict[str, str],
    by_name: int | None,
) -> None:
    a = run(table(RIGHT_A, folder_a.rstrip("/")), config=config_a)
    pair = compare(a, run(table(RIGHT_B, folder_b), "b", config_b))
    assert pair.clips == (0 if by_name is None else 40)
    assert pair.by_name == (by_name or 0)
    if by_name is None:
        assert (pair.test, pair.difference, pair.interval) == (None, None, None)
        assert "Warning: a with b: no clip was tested by both" in to_markdown([a, a], [pair])


def test_a_clip_matched_by_path_is_not_matched_by_name_too() -> None:
    """Folders may hold one another: then a name can stand for two clips."""
    paths_a = ["all/part/0.wav", "all/1.wav", "all/0.wav"]
    paths_b = ["all/part/0.wav", "all/part/1.wav", "all/part/part/0.wav"]
    a = dataclasses.replace(table([True] * 3), paths=np.array(paths_a))
    b = dataclasses.replace(table([True] * 3), paths=np.array(paths_b))
    pair = compare(
        run(a, config={"dataset.data_dir": "all"}),
        run(b, "b", {"dataset.data_dir": "all/part"}),
    )
    assert (pair.clips, pair.by_name) == (2, 1)


def test_clips_that_are_labelled_differently_are_left_out() -> None:
    labels = ["rain", "rain", "dog", "dog"]
    pair = compare(run(table([True] * 4)), run(table([True] * 4, labels=labels), "b"))
    assert (pair.clips, pair.relabelled) == (2, 2)


@pytest.mark.parametrize(
    ("folds", "same"),
    [
        (["fold 0", "fold 0", "fold 1", "fold 1"], True),
        (["x", "x", "y", "y"], True),
        (["fold 0", "fold 1", "fold 0", "fold 1"], False),
        (["fold 0"] * 4, False),
        (["1", "2", "3", "4"], False),
    ],
)
def test_splits_are_the_same_where_clips_were_held_out_together(
    folds: list[str], same: bool
) -> None:
    a, b = run(table([True] * 4)), run(table([True] * 4, folds=folds), "b", split="other")
    for one, other in (a, b), (b, a):
        pair = compare(one, other)
        assert pair.same_split == same
        assert ("they held out other clips together" in to_markdown([a, b], [pair])) != same


def test_a_holdout_is_the_same_split_where_it_is_one_of_the_folds() -> None:
    folds = run(table([True] * 8))
    whole = folds.predictions.where(folds.predictions.folds == "fold 1")
    assert compare(folds, run(whole, "b")).same_split
    part = whole.where(np.array([True, True, False, False]))
    assert not compare(folds, run(part, "b")).same_split


def test_classes_of_one_run_only_are_named_and_do_not_make_another_split() -> None:
    more = ("cat", "dog", "owl", "rain", "sea", "wind", "x|y")
    labels = ["dog", "rain", "dog", "rain", "cat", "sea"]
    folds = ["fold 0", "fold 0", "fold 1", "fold 1", "fold 0", "fold 1"]
    a = run(table([True] * 4))
    b = run(table([True] * 6, labels=labels, folds=folds, classes=more), "b")
    pair = compare(a, b)
    assert (pair.clips, pair.same_split) == (4, True)
    words = "the sets of classes differ: a lacks cat, owl, sea, wind and 1 more; two runs"
    for pairs in [pair], [compare(b, a)]:
        assert words in to_markdown([a, b], pairs)


def test_recordings_of_unknown_classes_do_not_count(tmp_path: Path) -> None:
    labels = ["dog", "siren", "dog", "rain"]
    write_run(tmp_path / "a", table([True] * 4))
    write_run(tmp_path / "b", table([True] * 4, labels=labels))
    pair = compare(*read_runs([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert (pair.clips, pair.relabelled) == (3, 0)


def test_every_two_of_a_few_runs_and_the_first_with_each_of_many() -> None:
    names = "abcdef"
    runs = [run(table([True] * 4), name) for name in names]
    assert [(pair.a, pair.b) for pair in compare_all(runs[:3])] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
    ]  # fmt: skip
    assert len(compare_all(runs[:5])) == 10
    assert [pair.a + pair.b for pair in compare_all(runs)] == ["ab", "ac", "ad", "ae", "af"]


def test_only_fields_that_differ_are_shown() -> None:
    common = {"extractor": "gabor", "head.seed": 0}
    runs = [
        run(table([True]), "a", {**common, "head.l2": 10.0, "split.test_folds": []}),
        run(table([True]), "b", {**common, "head.l2": 10.0, "split.test_folds": [1, 2]}),
        run(table([True]), "c", {**common, "head.l2": 0.5, "split.test_folds": [], "new": ""}),
    ]
    assert differing(runs) == {
        "head.l2": [10.0, 10.0, 0.5],
        "split.test_folds": [[], [1, 2], []],
        "new": [None, None, ""],
    }
    lines = to_markdown(runs, compare_all(runs)).splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("| ")]
    assert ["field", "a", "b", "c"] in rows
    assert ["head.l2", "10", "10", "0.5"] in rows
    assert ["split.test_folds", "none", "1, 2", "none"] in rows
    assert ["new", "-", "-", "''"] in rows
    assert not any("seed" in line or "extractor" in line for line in lines)


def test_the_same_configurations_are_said_to_be() -> None:
    runs = [run(table([True]), "a"), run(table([True]), "b")]
    assert "Nothing: the configurations are the same.\n" in to_markdown(runs, [])
    assert "Warning" not in to_markdown(runs, compare_all(runs))


def test_markdown_tables_are_well_formed_whatever_the_names() -> None:
    runs = [run(table(RIGHT_A), "a|b"), run(table(RIGHT_B), "c\nd", {"dataset.data_dir": "e|f"})]
    text = to_markdown(runs, compare_all(runs))
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            assert len({len(line) for line in lines}) == 1
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
            assert set(lines[1]) == {"|", "-"}
    assert "| a\\|b | 0.875 [0.812, 0.906] " in text
    assert "| c d  | " in text


def test_a_warning_names_all_that_it_concerns() -> None:
    other = ["x", "y"] * 20
    runs = [
        run(table(RIGHT_A), "a"),
        run(table(RIGHT_B, folds=other), "b"),
        run(table(RIGHT_B, "/c", other), "c", {"dataset.data_dir": "/c"}),
    ]
    _, found = to_markdown(runs, compare_all(runs)).split("## Before drawing conclusions\n\n")
    split, names = found.splitlines()
    assert split.startswith("- Warning: a with b, a with c: they held out other clips together")
    assert names.startswith("- Warning: a with c (40 clips), b with c (40 clips): clips are match")


def test_a_leaky_run_is_warned_of() -> None:
    leaky = run(table([True]), "b", split="random split (leaky)", leaked_fraction=0.3525)
    text = to_markdown([run(table([True])), leaky], [])
    assert "Warning: b: random split (leaky): 35.2% of its tested clips" in text
    assert "Warning: a" not in text


def test_small_p_values_and_signs() -> None:
    runs = [run(table([False] * 30)), run(table([True] * 30), "b")]
    text = to_markdown(runs, compare_all(runs))
    assert re.search(r"\| 30 +\| 0 +\| 30 +\| < 0.001 +\| \+1.000 \[\+0.\d+, \+1.000\] +\|", text)


def test_runs_that_differ_in_seeds_alone_are_summed_up() -> None:
    runs = [
        run(table([True] * 4), "a", {"head.seed": 0, "split.seed": 0}, accuracy=0.875),
        run(table([True] * 4), "b", {"head.seed": 1, "split.seed": 0}, accuracy=0.9),
        run(table([True] * 4), "c", {"head.seed": 1, "split.seed": 1}, accuracy=0.85),
        run(table([True] * 4), "d", {"head.seed": 1, "head.l2": 1.0}, accuracy=0.1),
    ]
    text = to_markdown(runs, [])
    assert re.search(r"\| a, b, c +\| 3 +\| 0.8750 +\| 0.0250 +\|", text)
    assert "Over seeds" not in to_markdown([runs[0], runs[3]], [])


def test_csv_is_a_row_a_run() -> None:
    runs = [
        run(table([True]), "a, b", {"split.test_folds": []}),
        run(table([True]), "c", {"split.test_folds": [1, 2]}, leaked_fraction=0.25),
    ]
    rows = list(csv.DictReader(to_csv(runs).splitlines()))
    assert [row["run"] for row in rows] == ["a, b", "c"]
    assert [row["split.test_folds"] for row in rows] == ["", "1,2"]
    assert [row["leaked_fraction"] for row in rows] == ["", "0.25"]
    first = {name: float(rows[0][name]) for name in ("accuracy", "accuracy_low", "accuracy_high")}
    assert first == {"accuracy": 0.875, "accuracy_low": 0.8125, "accuracy_high": 0.90625}
    assert (rows[0]["calibration_error"], rows[0]["seconds"]) == ("0.03125", "12.25")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("folder", ("no such folder",)),
        ("config.json", ("is not a run", "no config.json")),
        ("metrics.json", ("is not a run", "no metrics.json")),
        ("predictions.csv", ("is not a run", "no predictions.csv")),
        ("no figure", ("metrics.json", "another version", "top_3_accuracy", "train.py")),
        ("no pair", ("metrics.json", "another version", "train.py")),
        ("not JSON", ("config.json", "not JSON")),
        ("no object", ("config.json", "train.py")),
        ("old predictions", ("predictions.csv", "train.py")),
    ],
)
def test_what_is_no_run_is_named_in_one_line(
    tmp_path: Path, broken: str, words: tuple[str, ...]
) -> None:
    whole = write_run(tmp_path / "whole", table([True] * 4))
    directory = tmp_path / "other"
    if broken != "folder":
        write_run(directory, table([True] * 4))
    metrics = directory / "metrics.json"
    if (directory / broken).is_file():
        (directory / broken).unlink()
    elif broken == "no figure":
        figures = {name: value for name, value in FIGURES.items() if name != "top_3_accuracy"}
        metrics.write_text(json.dumps(figures))
    elif broken == "no pair":
        metrics.write_text(json.dumps({**FIGURES, "accuracy_interval": None}))
    elif broken == "not JSON":
        (directory / "config.json").write_text("{")
    elif broken == "no object":
        (directory / "config.json").write_text("[]")
    elif broken == "old predictions":
        (directory / "predictions.csv").write_text("path,fold,label,predicted,score\n")
    with pytest.raises(UserError) as caught:
        read_runs([str(whole), str(directory)])
    message = str(caught.value)
    assert str(directory) in message and "\n" not in message
    for word in words:
        assert word in message


def test_runs_are_named_after_their_folders(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("x/gabor", "y/gabor", "x/inception"):
        write_run(tmp_path / name, table([True] * 4))
    monkeypatch.chdir(tmp_path / "x" / "inception")
    runs = read_runs(["../gabor/", "../../y/gabor", "."])
    assert [run.name for run in runs] == ["../gabor/", "../../y/gabor", "inception"]
    with pytest.raises(UserError, match="twice"):
        read_runs(["../gabor", "../inception/../gabor"])


def program(*arguments: str, cwd: Path) -> in_process.Ended:
    words = ("-m", "sound_pipeline.report", *arguments)
    return in_process.run(words, cwd, os.environ)


def program_alone(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, where it must not import TensorFlow."""
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('tensorflow' in sys.modules, file=sys.stderr))\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "runpy.run_module('sound_pipeline.report', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr.endswith("False\n"), done.stderr  # TensorFlow takes seconds to import
    done.stderr = done.stderr.removesuffix("False\n")
    return done


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the runs a and b."""
    write_run(tmp_path / "a", table(RIGHT_A))
    config = changed(head={"l2": 1.0}, extractor="inception")
    write_run(tmp_path / "b", table(RIGHT_B), config, accuracy=0.5)
    return tmp_path


def test_program_prints_and_writes_the_comparison(two: Path) -> None:
    done = program_alone("compare", "a", "b/", cwd=two)
    assert (done.returncode, done.stderr) == (0, "written: comparison.md\n")
    assert done.stdout == (two / "comparison.md").read_text(encoding="utf-8")
    rows = [
        re.split(r" *\| *", line.strip("| "))
        for line in done.stdout.splitlines()
        if line.startswith("| ")
    ]
    assert rows[1:3] == [
        ["a", "0.875 [0.812, 0.906]", "0.812", "1.000", "0.031", "grouped", "40", "12.2"],
        ["b", "0.500 [0.812, 0.906]", "0.812", "1.000", "0.031", "grouped", "40", "12.2"],
    ]
    assert rows[3:6] == [
        ["field", "a", "b"],
        ["head.l2", "10", "1"],
        ["extractor", "gabor", "inception"],
    ]
    only_a, only_b = int((RIGHT_A & ~RIGHT_B).sum()), int((~RIGHT_A & RIGHT_B).sum())
    assert rows[7][:5] == ["a", "b", "40", str(only_a), str(only_b)]
    assert {path.name for path in two.iterdir()} == {"a", "b", "comparison.md"}


def test_program_writes_csv_or_nothing_as_asked(two: Path) -> None:
    printed = program("compare", "a", "b", "--output=", cwd=two).out
    assert {path.name for path in two.iterdir()} == {"a", "b"}
    done = program("compare", "--output=runs.CSV", "a", "b", cwd=two)
    assert (done.out, done.err) == (printed, "written: runs.CSV\n")
    (a, b) = csv.DictReader((two / "runs.CSV").read_text().splitlines())
    assert (a["head.l2"], b["head.l2"], b["accuracy"]) == ("10.0", "1.0", "0.5")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("name the command compare: python -m sound_pipeline.report compare RUN RUN...",)),
        (("compair", "a", "b"), ("name the command compare",)),
        (("compare",), ("two runs or more",)),
        (("compare", "a"), ("two runs or more",)),
        (("compare", "a", "absent"), ("absent: no such folder",)),
        (("compare", "a", "b/config.json"), ("b/config.json: no such folder",)),
        (("compare", "a", "b", "--output=x.html"), ("--output=x.html", ".md or .csv")),
        (("compare", "a", "b", "--output=x"), ("--output=x", ".md or .csv")),
        (("compare", "a", "b", "--output=no/x.md"), ("--output=no/x.md", "no folder no")),
    ],
)
def test_errors_are_one_line(two: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = program(*arguments, cwd=two)
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("python -m sound_pipeline.report: error: ")
    for word in words:
        assert word in line
    assert {path.name for path in two.iterdir()} == {"a", "b"}


def test_an_earlier_comparison_stays_where_the_new_one_cannot_be_written(two: Path) -> None:
    (two / "old.md").mkdir()
    done = program("compare", "a", "b", "--output=old.md", cwd=two)
    assert done.status == 1
    assert done.err.startswith("python -m sound_pipeline.report: error: --output=old.md: ")
    assert len(done.err.splitlines()) == 1
    assert {path.name for path in two.iterdir()} == {"a", "b", "old.md"}


def test_help_is_there_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sound_pipeline.report", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "python -m sound_pipeline.report compare RUN RUN..." in done.stdout
    assert "--output=" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sound_pipeline.system.program" in imported
    # They take seconds.
    assert imported.isdisjoint({"tensorflow", "matplotlib", "scipy", "sklearn"})
