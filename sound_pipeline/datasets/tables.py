"""CSV files as people and spreadsheets write them, with errors that name the line."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass

from sound_pipeline.errors import UserError
from sound_pipeline.filesystem import open_binary


@dataclass(frozen=True, slots=True)
class Row:
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

    @property
    def cells(self) -> dict[str, str]:
        """The value of each column by its name."""
        return dict(zip(self.columns, self.values, strict=True))

    @property
    def where(self) -> str:
        """The file and line, to begin an error message with."""
        return f"{self.path}, line {self.line}"

    def text(self, column: str, advice: str = "fill it in or remove the line") -> str:
        """A cell that must not be empty.

        Args:
          column: its name.
          advice: what to do if it is, for the error message.

        Raises:
          UserError: it is empty.
        """
        if not (cell := self.cells[column]):
            raise UserError(f"{self.where}: the {column} is empty: {advice}")
        return cell

    def whole_number(self, column: str) -> int:
        """A cell's integer; '3.0' counts, as spreadsheets write it.

        Raises:
          UserError: it is none.
        """
        cell = self.cells[column]
        try:
            number = float(cell)
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise UserError(f"{self.where}: {column} is {cell!r}, not a whole number: correct it")
        return int(number)


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Attributes:
      path: where it is.
      columns: the names in its header.
      rows: all others but empty ones.
    """

    path: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

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
        by_lower = {name.lower(): name for name in self.columns}
        near = difflib.get_close_matches(column.lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t"):
            hint = "; separate the columns by commas"
        raise UserError(
            f"{self.path}: there is no column {column!r} among {columns}: {advice}{hint}"
        )


def read_table(path: str) -> Table:
    """Reads a CSV file: UTF-8, separated by commas, with the column names first.

    Empty lines are skipped, and so are empty cells past the last column.

    Args:
      path: the file.

    Raises:
      UserError: the file can't be read, or isn't such a CSV.
    """
    columns: tuple[str, ...] = ()
    rows = []
    line = 1
    try:
        with io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for values in reader:
                cells = [value.strip() for value in values]
                if not any(cells):
                    pass
                elif not columns:
                    columns = tuple(cells)
                elif len(cells) < len(columns) or any(cells[len(columns) :]):
                    raise UserError(
                        f"{path}, line {line}: {len(cells)} values under {len(columns)} "
                        "columns: complete the line, and quote values that contain commas"
                    )
                else:
                    rows.append(Row(path, line, columns, tuple(cells[: len(columns)])))
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is not UTF-8: save it as "CSV UTF-8"') from error
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: not valid CSV ({error}): correct it") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not columns:
        raise UserError(f"{path} is empty: its first line must name the columns")
    return Table(path, columns, tuple(rows))
