"""CSV files as people and spreadsheets write them, with errors that name the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from sound_pipeline.errors import UserError, nearest_name
from sound_pipeline.system.filesystem import open_binary


class Row(NamedTuple):
    """One row of a table.

    Attributes:
      path: the file it is in.
      line: the line it starts on; the first of a file is 1.
      columns: the names in the header, the same object for all rows of a file.
      values: the value of each column, without outer spaces.
    """

    path: str
    line: int
    columns: tuple[str, ...]
    values: tuple[str, ...]

    def cell(self, column: str) -> str:
        """Value of a column, by its name."""
        return self.values[self.columns.index(column)]

    @property
    def where(self) -> str:
        """File and line, to begin an error message with."""
        return f"{self.path}, line {self.line}"

    def text(self, column: str, advice: str = "fill it in or remove the line") -> str:
        """A cell that must not be empty.

        Args:
          column: its name.
          advice: what to do if it is, for the error message.

        Raises:
          UserError: it is empty.
        """
        if not (cell := self.cell(column)):
            raise UserError(f"{self.where}: the {column} is empty: {advice}")
        return cell

    def whole_number(self, column: str) -> int:
        """A cell's integer; '3.0' counts, as spreadsheets write it.

        Raises:
          UserError: it is none.
        """
        cell = self.cell(column)
        try:
            number = float(cell)
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise UserError(f"{self.where}: {column} is {cell!r}, not a whole number: correct it")
        return int(number)


@dataclass(frozen=True)
class Table:
    """A CSV file, whose rows are read each time that one iterates over it.

    Attributes:
      path: where it is.
      columns: the names in its header.
    """

    path: str
    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[Row]:
        """Reads the rows below the header, but empty ones.

        Raises:
          UserError: the file can't be read, or isn't a CSV of these columns from some line on.
        """
        width = len(self.columns)
        lines = _lines(self.path)
        next(lines, None)
        for line, cells in lines:
            if len(cells) < width or any(cells[width:]):
                raise UserError(
                    f"{self.path}, line {line}: {len(cells)} values under {width} "
                    "columns: complete the line, and quote values that contain commas"
                )
            yield Row(self.path, line, self.columns, tuple(cells[:width]))

    def require(self, column: str, advice: str) -> None:
        """Checks that there is a column of this name.

        Args:
          column: the name.
          advice: what to do if there is none, for the error message.

        Raises:
          UserError: there is none, or more than one.
        """
        if self.columns.count(column) == 1:
            return
        columns = ", ".join(map(repr, self.columns))
        if column in self.columns:
            raise UserError(
                f"{self.path}: two columns are named {column!r} (of {columns}): rename one"
            )
        hint = nearest_name(column, self.columns, "")
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t"):
            hint = "separate the columns by commas"
        raise UserError(
            f"{self.path}: there is no column {column!r} among {columns}: {advice}"
            + (hint and f"; {hint}")
        )


def read_table(path: str) -> Table:
    """Opens a CSV file: UTF-8, separated by commas, with the column names first.

    Empty lines are skipped, and so are empty cells past the last column. The rows are read when
    one iterates over the table, and what is wrong with them is said there.

    Args:
      path: the file.

    Raises:
      UserError: the file can't be read, or has no such header.
    """
    with closing(_lines(path)) as lines:
        for _, columns in lines:
            return Table(path, tuple(columns))
    raise UserError(f"{path} is empty: its first line must name the columns")


def _lines(path: str) -> Generator[tuple[int, list[str]], None, None]:
    """Yields the number of each line that isn't empty, and its cells without outer spaces."""
    line = 1
    try:
        with io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for values in reader:
                cells = [value.strip() for value in values]
                if any(cells):
                    yield line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is not UTF-8: save it as "CSV UTF-8"') from error
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: not valid CSV ({error}): correct it") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
