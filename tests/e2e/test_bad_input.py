"""What users get wrong: one line that says what it was, and nothing left behind.

That a process of its own says the same, tests/system/test_program.py shows.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e import programs, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets, most of them unusable."""
    data = tmp_path_factory.mktemp("data")
    tiny_data.write_folders(data / "good", clips_a_class=4)
    tiny_data.write_esc50(data / "esc50", clips=2)
    for label in ("cat", "dog"):
        for number in range(3):
            junk = data / "junk" / label / f"{number}.wav"
            junk.parent.mkdir(parents=True, exist_ok=True)
            junk.write_bytes(tiny_data.BROKEN + f"{label} {number}".encode())
    tiny_data.write_folders(data / "lonely", clips_a_class=2)
    tiny_data.write_clip(data / "lonely" / "bell" / "1.wav", "hum", 1)
    rows = [(f"good/{label}/{n:02}.wav", label) for label in tiny_data.CLASSES for n in range(4)]
    tiny_data.write_table(data / "good.csv", ["path", "label"], rows)
    tiny_data.write_table(data / "gap.csv", ["path", "label"], [*rows, ("good/no.wav", "hum")])
    groups = [(*row, f"source {number}") for number, row in enumerate(rows)]
    columns = ["path", "label", "group"]
    tiny_data.write_table(data / "group_gap.csv", columns, [*groups[:5], (*rows[5], "")])
    folds = [(*row, 1 + number % 2) for number, row in enumerate(rows)]
    folds[:4] = [(*row, 1) for row in rows[:4]]
    tiny_data.write_table(data / "one_fold.csv", ["path", "label", "fold"], folds)
    tiny_data.write_table(data / "one_class.csv", ["path", "label"], rows[:4])
    (data / "module").mkdir()
    (data / "a_file").write_text("notes")
    (data / "mine").mkdir()
    (data / "mine" / "thesis.txt").write_text("years of work")
    return data


def refused(data: Path, output_dir: Path, *flags: str, **variables: str) -> programs.Outcome:
    """Runs train.py where flags may name DATA; returns what it said."""
    given = [flag.replace("DATA", str(data)) for flag in flags]
    before = sorted(path for path in data.rglob("*"))
    cache = data.parent / "cache"
    outcome = programs.run_here(
        "train.py", *given, f"--output_dir={output_dir}", cache=cache, **variables
    )
    assert outcome.out == ""
    assert sorted(path for path in data.rglob("*")) == before, "something was left behind"
    return outcome


SPLIT = ("--evaluate=grouped", "--folds=2")
GOOD = ("--dataset=folder", "--data_dir=DATA/good", *SPLIT, *tiny_data.FLAGS)
CSV = ("--dataset=csv", *SPLIT, *tiny_data.FLAGS)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*GOOD, "--evaluate=fold"), ["--evaluate=fold", "<folds|grouped|random|holdout>"]),
        ((*GOOD, "--dataset=esc51"), ["--dataset=esc51", "urbansound8k|esc50"]),
        ((*GOOD, "--data_dri=x"), ["'data_dri'", "Did you mean: data_dir"]),
        ((*GOOD, "--l2=ten"), ["--l2=ten", "float"]),
        ((*GOOD, "--folds=1.5"), ["--folds=1.5", "int"]),
        ((*GOOD, "--window_seconds=0"), ["--window_seconds=0", "0.1 to 60 s"]),
        ((*GOOD, "--window_seconds=nan"), ["--window_seconds=nan", "0.1 to 60 s"]),
        ((*GOOD, "--floor_db=80"), ["--floor_db=80", "-200"]),
        ((*GOOD, "--max_bad_clips=5"), ["--max_bad_clips=5", "0 to 1"]),
        ((*GOOD, "--evaluate=holdout", "--test_folds=1,two"), ["--test_folds", "'two'"]),
        ((*GOOD, "--test_folds=1"), ["--test_folds", "--evaluate=holdout"]),
        ((*GOOD, "more"), ["'more'"]),
        (("--data_dir=DATA/good",), ["--dataset is needed"]),
        (CSV, ["--manifest"]),
        ((*GOOD, "--label_column=what"), ["--label_column", "--dataset=csv"]),
    ],
    ids=lambda value: value[-1].replace("/", " ") if isinstance(value, tuple) else "",
)
def test_flags(data: Path, tmp_path: Path, flags: tuple[str, ...], words: list[str]) -> None:
    outcome = refused(data, tmp_path / "run", *flags)
    programs.assert_refused(outcome, "train.py", *words)
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*GOOD, "--data_dir=DATA/gone"), ["--data_dir=", "gone does not exist"]),
        ((*GOOD, "--data_dir=DATA/lonely"), ["only one clip of class 'bell'"]),
        (
            (*CSV, "--manifest=DATA/good.csv", "--label_column=class"),
            ["good.csv", "no column 'class' among 'path', 'label'", "--label_column"],
        ),
        (
            (*CSV, "--manifest=DATA/gap.csv"),
            ["1 of 13 files named in", "gap.csv", "good/no.wav", "(line 14)"],
        ),
        (
            ("--dataset=esc50", "--data_dir=DATA/esc50", "--evaluate=holdout", "--test_folds=7"),
            ["--test_folds", "no fold 7", "1, 2"],
        ),
        ((*CSV, "--manifest=DATA/one_class.csv"), ["one_class.csv", "only one class, 'hum'"]),
        (
            (*CSV, "--manifest=DATA/group_gap.csv"),
            ["group_gap.csv, line 7: the group is empty", "cut from"],
        ),
        (
            (*CSV, "--manifest=DATA/one_fold.csv", "--evaluate=folds"),
            ["fold 1 holds all recordings of class 'hum'", "--evaluate=grouped"],
        ),
        ((*GOOD, "--folds=13"), ["--folds=13", "only 12 source recordings", "fewer folds"]),
        ((*GOOD, "--unknown_classes=hun"), ["no class 'hun'", "did you mean 'hum'?"]),
        ((*GOOD, "--unknown_classes=hum,rattle"), ["--unknown_classes", "1 of 3 classes"]),
        ((*GOOD, "--background_dir=DATA/gone"), ["--background_dir=", "is not a folder"]),
        ((*GOOD, "--colormap=mamga"), ["--colormap=mamga", "did you mean 'magma'?"]),
        ((*GOOD, "--augment=noise,reverb"), ["--augment=noise,reverb", "'reverb'", "speed"]),
        ((*GOOD, "--extractor=gabor,DATA/no,gabor"), ["--extractor=", "named twice"]),
        ((*GOOD, "--extractor=DATA/module"), ["--extractor=", "saved_model.pb", "gabor"]),
    ],
    ids=lambda value: value[-1].replace("/", " ") if isinstance(value, tuple) else "",
)
def test_data_and_modules(
    data: Path, tmp_path: Path, flags: tuple[str, ...], words: list[str]
) -> None:
    outcome = refused(data, tmp_path / "run", *flags)
    programs.assert_refused(outcome, "train.py", *words)
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_nothing_but_junk(data: Path, tmp_path: Path) -> None:
    flags = (*GOOD, "--data_dir=DATA/junk", "--max_bad_clips=1")
    outcome = refused(data, tmp_path / "run", *flags)
    programs.assert_refused(outcome, "train.py", "not one of 6 recordings can be read", "cat/0.wav")
    for label in ("cat", "dog"):
        for number in range(3):
            assert f"skipped {data / 'junk' / label / f'{number}.wav'}: WAV: " in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_more_junk_than_allowed(data: Path, tmp_path: Path) -> None:
    """One in a hundred is, unless told otherwise."""
    tiny_data.write_folders(tmp_path / "sounds", clips_a_class=10)
    bad = tmp_path / "sounds" / "hum" / "05.wav"
    bad.write_bytes(tiny_data.BROKEN)
    flags = (*GOOD, f"--data_dir={tmp_path / 'sounds'}")
    outcome = refused(data, tmp_path / "run", *flags)
    said = f"{bad} ({tiny_data.WHY_BROKEN})"
    words = ["1 of 30 recordings can't be read", "--max_bad_clips=0.01", said]
    programs.assert_refused(outcome, "train.py", *words)
    assert f"skipped {bad}: " in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("place", "word"), [("a_file", "directory"), ("mine", "'thesis.txt'")])
def test_output_dir_that_is_something_else(data: Path, place: str, word: str) -> None:
    outcome = refused(data, data / place, *GOOD)
    programs.assert_refused(outcome, "train.py", f"--output_dir={data / place}", word)
    assert outcome.err.count("\n") == 1


def test_a_module_that_can_not_be_fetched(data: Path, tmp_path: Path) -> None:
    """Nothing listens on that port: as with no network, but at once."""
    started = time.monotonic()
    outcome = refused(
        data,
        tmp_path / "run",
        *GOOD,
        "--extractor=https://localhost:9/inception/5",
        TFHUB_CACHE_DIR=str(tmp_path / "modules"),
        NO_PROXY="localhost",
        no_proxy="localhost",
    )
    words = ["--extractor=https://localhost:9/inception/5", "TFHUB_CACHE_DIR", "path", "gabor"]
    programs.assert_refused(outcome, "train.py", *words)
    assert time.monotonic() - started < 60
    assert not (tmp_path / "run").exists()
