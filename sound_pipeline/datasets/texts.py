"""Strings by the million, without an object for each."""

from __future__ import annotations

import itertools
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

# Names of files may be any bytes, which Python writes as lone surrogates.
ERRORS = "surrogatepass"


class StringColumn(Sequence[str]):
    """Strings end to end in one buffer: UTF-8, and 8 bytes more for each.

    A string is made when it is asked for. A slice is a copy.
    """

    __slots__ = ("_ends", "_text")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Takes them one by one: they may come from an iterator."""
        written = StringColumnWriter()
        for text in texts:
            written.append(text.encode(errors=ERRORS))
        self._text, self._ends = written.finish()

    @classmethod
    def written(cls, writer: StringColumnWriter) -> StringColumn:
        """Makes a column of what was appended to a writer; see `StringColumnWriter.finish`."""
        texts = cls.__new__(cls)
        texts._text, texts._ends = writer.finish()
        return texts

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> StringColumn: ...

    def __getitem__(self, index: int | slice) -> str | StringColumn:
        """String at a position, or a copy of several.

        Raises:
          IndexError: there is no such position.
        """
        if isinstance(index, slice):
            return StringColumn(self[position] for position in range(*index.indices(len(self))))
        position = position_of(index, len(self))
        return self._text[self._ends[position] : self._ends[position + 1]].decode(errors=ERRORS)

    def __iter__(self) -> Iterator[str]:
        """Goes through them."""
        for start, end in itertools.pairwise(self._ends):
            yield self._text[start:end].decode(errors=ERRORS)

    def __eq__(self, other: object) -> bool:
        """Whether the strings are the same, in the same order."""
        if not isinstance(other, StringColumn):
            return NotImplemented
        return self._text == other._text and self._ends == other._ends

    def __hash__(self) -> int:
        """Of all the strings together."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Number of entries, which may be millions."""
        return f"<{len(self):,} strings>"


class StringColumnWriter:
    """Collects strings of which nobody knows how many will come."""

    def __init__(self) -> None:
        """Begins with none."""
        self._text = bytearray()
        self._ends = array("q", [0])

    def append(self, text: bytes) -> None:
        """Adds a string, as UTF-8."""
        self._text += text
        self._ends.append(len(self._text))

    def finish(self) -> tuple[bytes, array[int]]:
        """Strings end to end, and where each begins and ends: one more of 8 bytes.

        The writer is empty then.
        """
        # Copies, without the room to grow.
        text, self._text = bytes(self._text), bytearray()
        ends, self._ends = self._ends[:], array("q", [0])
        return text, ends


def position_of(index: int, length: int) -> int:
    """A position from the front, of one that may be from the end, and of NumPy's integers.

    Raises:
      IndexError: there is no such position.
    """
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"no position {position} among {length}")
    return position if position >= 0 else position + length
