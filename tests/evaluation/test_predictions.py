"""Predictions: what their table says, and that nothing is lost through the CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.predictions import Predictions, read_predictions, write_predictions

STRINGS = ("paths", "folds", "groups", "labels")
NUMBERS = ("scores", "uncalibrated_score")

AWKWARD = [
    "dog",
    "Bär, groß",
    'the "quoted" one',
    "two\nlines",
    "two\r\nmore",
    " spaced ",
    "犬",
    "",
]


def predictions(
    classes: tuple[str, ...] = ("dog", "Bär, groß"),
    labels: tuple[str, ...] = ("dog", "Bär, groß", "dog", "siren"),
    scores: object = ((0.75, 0.25), (0.625, 0.375), (0.5, 0.5), (0.125, 0.875)),
) -> Predictions:
    clips = len(labels)
    table = np.array(scores, np.float32).reshape(clips, len(classes))
    return Predictions(
        classes=classes,
        paths=np.array([f'sounds/{number}, it\'s "ü".wav' for number in range(clips)], np.str_),
        folds=np.array([f"fold {1 + number // 2}" for number in range(clips)], np.str_),
        groups=np.array([f"source-{number % 3}" for number in range(clips)], np.str_),
        labels=np.array(labels, np.str_),
        scores=table,
        uncalibrated_score=table.max(axis=1, initial=0) / np.float32(3),
    )


def assert_same(actual: Predictions, expected: Predictions) -> None:
    assert actual.classes == expected.classes
    for name in STRINGS:
        assert getattr(actual, name).tolist() == getattr(expected, name).tolist()
        assert getattr(actual, name).dtype.kind == "U"
    for name in NUMBERS:
        assert getattr(actual, name).dtype == np.float32
        assert getattr(actual, name).shape == getattr(expected, name).shape
        assert getattr(actual, name).tobytes() == getattr(expected, name).tobytes()


def test_truth_prediction_and_score() -> None:
    table = predictions()
    assert table.truth.tolist() == [0, 1, 0, -1]
    # The third row's scores are alike: the first class is the answer.
    assert table.predicted.tolist() == [0, 0, 0, 1]
    assert table.score.tolist() == [0.75, 0.625, 0.5, 0.875]
    assert table.right.tolist() == [True, False, True, False]
    assert table.truth.dtype == np.int64
    assert table.score.dtype == np.float32


def test_known_and_unknown_share_out_the_rows() -> None:
    table = predictions()
    assert table.known.labels.tolist() == ["dog", "Bär, groß", "dog"]
    assert table.unknown.labels.tolist() == ["siren"]
    assert table.unknown.truth.tolist() == [-1]
    assert not table.unknown.right.any()
    assert_same(table.where(np.array([True] * 4)), table)


def test_where_chooses_rows_of_every_column() -> None:
    table = predictions()
    chosen = table.where(np.array([False, True, False, True]))
    for name in (*STRINGS, *NUMBERS):
        assert getattr(chosen, name).tolist() == getattr(table, name)[[1, 3]].tolist()


def test_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    assert_same(read_predictions(path), predictions())


@settings(deadline=None)
@given(scores=st_numpy.arrays(np.float32, (3, 2), elements=st.floats(0, 1, width=32)))
def test_scores_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, scores: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("any") / "predictions.csv"
    table = predictions(labels=("dog",) * 3, scores=scores)
    write_predictions(path, table)
    assert_same(read_predictions(path), table)


@pytest.mark.parametrize("name", AWKWARD)
def test_any_name_survives(tmp_path: Path, name: str) -> None:
    path = tmp_path / "predictions.csv"
    table = predictions(classes=(name, "other"), labels=(name, "other", "neither", name))
    write_predictions(path, table)
    again = read_predictions(path)
    assert_same(again, table)
    assert again.truth.tolist() == [0, 1, -1, 0]


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    table = predictions(labels=(), scores=())
    write_predictions(path, table)
    again = read_predictions(path)
    assert_same(again, table)
    assert again.known.truth.tolist() == []


def test_file_is_for_people_and_other_programs_too(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        *("path", "fold", "group", "label", "predicted", "score", "uncalibrated_score"),
        *("score: dog", "score: Bär, groß"),
    ]
    assert rows[1] == [
        *('sounds/1, it\'s "ü".wav', "fold 1", "source-1", "Bär, groß", "dog"),
        *("0.625", "0.208333328", "0.625", "0.375"),
    ]
    assert [row[4] for row in rows] == ["dog", "dog", "dog", "Bär, groß"]


HEADER = "path,fold,group,label,predicted,score,uncalibrated_score,score: dog"


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "its columns are others"),
        (b"path,label\na.wav,dog\n", "its columns are others"),
        (HEADER.replace("score: dog", "dog").encode(), "its columns are others"),
        (HEADER.replace(",score: dog", "").encode(), "its columns are others"),
        (f"{HEADER}\na,f,g,dog,dog,1,1\n".encode(), "row 1 has 7 values for 8 columns"),
        (f"{HEADER}\na,f,g,d,d,1,1,1\na,f,g,d,d,1,1,1,1\n".encode(), "row 2 has 9 values"),
        (f"{HEADER}\na,f,g,dog,dog,1,1,high\n".encode(), "could not convert string to float"),
        (b"\xff\xfe\x00", "can't decode byte 0xff"),
        (f"{HEADER}\n{'a' * 200_000},f,g,dog,dog,1,1,1\n".encode(), "field larger than"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, contents: bytes, reason: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(contents)
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a run's predictions (")
    assert reason in message
    assert message.endswith("; run train.py again")
    assert "\n" not in message


def test_missing_file_and_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: .*No such file or directory.*train\.py"):
        read_predictions(tmp_path / "none.csv")
    with pytest.raises(UserError, match="not a run's predictions"):
        read_predictions(tmp_path)
