"""CSV files in the forms that editors and spreadsheets write, and errors that name the line."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sound_pipeline.datasets.tables import Row, Table, read_table
from sound_pipeline.errors import UserError


def table_of(folder: Path, text: str, encoding: str = "utf-8") -> Table:
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(str(path))


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\ufeffpath,label\r\na.wav,cat\r\nb.wav,\r\n", [2, 3]),
        ("\n\npath,label\n\na.wav,cat\n  \n,,\nb.wav,\n\n", [5, 8]),
        ('path, label\n a.wav, "cat"\n b.wav ,,, ', [2, 3]),
        ('"path","label"\r"a.wav","cat"\r"b.wav",""', [2, 3]),
    ],
)
def test_as_editors_and_spreadsheets_write_it(tmp_path: Path, text: str, lines: list[int]) -> None:
    table = table_of(tmp_path, text)
    assert table.path == str(tmp_path / "list.csv")
    assert table.columns == ("path", "label")
    assert [row.values for row in table] == [("a.wav", "cat"), ("b.wav", "")]
    assert [row.line for row in table] == lines


def test_cells_of_several_lines_and_with_commas(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'path,label\n"a, b.wav","c\nat"\nd.wav,dog\n')
    first, second = table
    assert (first.cell("path"), first.cell("label")) == ("a, b.wav", "c\nat")
    assert [first.line, second.line] == [2, 4]
    assert second.where == f"{table.path}, line 4"


def test_rows_are_read_one_by_one_each_time(tmp_path: Path) -> None:
    good = "".join(f"{number}.wav,cat\n" for number in range(10_000))
    table = table_of(tmp_path, f"path,label\n{good}last.wav\n")
    rows = iter(table)
    assert next(rows).values == ("0.wav", "cat")
    assert sum(1 for _ in itertools.islice(rows, 9_999)) == 9_999
    with pytest.raises(UserError, match=r"list\.csv, line 10002: 1 values under 2 columns"):
        next(rows)
    assert [row.line for row in itertools.islice(table, 3)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("empty",)),
        ("\n , \n", ("empty",)),
        ("path,label\na.wav\n", ("line 2", "1 values", "2 columns")),
        ("path,label\n\na.wav,cat,purring\n", ("line 3", "3 values", "2 columns")),
        ('path,label\na.wav,"cat\nb.wav,cat\n', ("line 2", "not valid CSV")),
    ],
)
def test_unreadable_text(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"list\.csv") as error:
        list(table_of(tmp_path, text))
    message = one_line(error)
    assert all(word in message for word in words)


def test_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list\.csv is not UTF-8"):
        list(table_of(tmp_path, "path,label\na.wav,grün", encoding="latin-1"))


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_table(str(tmp_path))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("path,lable", ("'label'", "'path', 'lable'", "rename it", "did you mean 'lable'?")),
        ("path,LABEL", ("did you mean 'LABEL'?",)),
        ("path;label", ("'path;label'", "commas")),
        ("path\tlabel", ("commas",)),
        ("path,label,label", ("two columns", "'label'")),
    ],
)
def test_required_column(tmp_path: Path, header: str, words: tuple[str, ...]) -> None:
    table = table_of(tmp_path, header)
    with pytest.raises(UserError, match=r"list\.csv") as error:
        table.require("label", "rename it")
    message = one_line(error)
    assert all(word in message for word in words)


def test_required_column_that_exists(tmp_path: Path) -> None:
    table_of(tmp_path, "path,label,note,note").require("label", "rename it")


@pytest.mark.parametrize(("cell", "number"), [("3", 3), ("-2", -2), ("3.0", 3), ("1e2", 100)])
def test_whole_number(cell: str, number: int) -> None:
    assert Row("list.csv", 7, ("fold",), (cell,)).whole_number("fold") == number


@pytest.mark.parametrize("cell", ["", "x", "1.5", "nan", "inf"])
def test_no_whole_number(cell: str) -> None:
    with pytest.raises(UserError) as error:
        Row("list.csv", 7, ("fold",), (cell,)).whole_number("fold")
    assert one_line(error).startswith(f"list.csv, line 7: fold is {cell!r}")


def test_empty_text() -> None:
    row = Row("list.csv", 7, ("label", "path"), ("", "a.wav"))
    assert row.text("path") == "a.wav"
    with pytest.raises(UserError, match=r"list\.csv, line 7: the label is empty"):
        row.text("label")
