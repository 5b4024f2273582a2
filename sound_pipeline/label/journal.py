"""Journal of results, so that a killed run resumes and nothing stale is reused."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.events.text import top_scores
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.atomic_files import not_through_links
from sound_pipeline.system.locks import lock

logger = logging.getLogger(__name__)

_VERSION = 4
_SUM_BYTES = 8


class EventRow(NamedTuple):
    """An event as it is written, with its digits.

    Attributes:
      start_seconds: three decimals.
      end_seconds: likewise.
      label: one of the model's, or "unknown".
      score: four decimals.
      others: the likeliest other labels and their scores, the highest first.
    """

    start_seconds: float
    end_seconds: float
    label: str
    score: float
    others: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Result:
    """Events of a recording, or why it can't be read.

    Attributes:
      path: as the user named it.
      events: in the order of time.
      reason: why there is no event; empty where there is one.
      error: why it could not be read; empty where it could.
      seconds: how much sound was looked at.
      sample_rate_hz: its rate; 0 where it could not be read.
    """

    path: str
    events: tuple[EventRow, ...] = ()
    reason: str = ""
    error: str = ""
    seconds: float = 0.0
    sample_rate_hz: int = 0


def event_row(event: Event, labels: Sequence[str], top: int) -> EventRow:
    """An event as it is written, with `top` labels in all."""
    ranked = top_scores(np.array(event.scores), labels, top)
    others = [(label, round(score, 4)) for label, score in ranked if label != event.label]
    return EventRow(
        round(event.start_seconds, 3),
        round(event.end_seconds, 3),
        event.label,
        round(event.score, 4),
        tuple(others[: top - 1]),
    )


class Identity(NamedTuple):
    """Identity of a version of a file."""

    size: int
    modified_ns: int


def identity(path: str) -> Identity:
    """Of a file as it is now; zeros where there is none any more."""
    try:
        status = os.stat(path)
    except OSError:
        return Identity(0, 0)
    return Identity(status.st_size, status.st_mtime_ns)


class Journal:
    """Results on disk, added to group by group.

    The first line says what decides the results (the model, the flags). Of the others, lists hold
    the results of a group of recordings, and objects what the model has said so far of a group
    that takes long: of each window its scores and its power. Each begins with a check sum. What a
    killed run leaves behind of a line is dropped, and so is all from the first damaged line on.

    Attributes:
      path: the file.
      is_continued: whether there was one for the same model and flags.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Reads what there is; writes nothing.

        Args:
          path: the file.
          key: decides whether its results may be used.
        """
        self.path = path
        self._header = json.dumps({"journal": _VERSION, "key": key}).encode() + b"\n"
        self._done: dict[str, tuple[Identity, Result]] = {}
        self._answers: dict[str, list[Floats]] = {}
        self._size = 0
        self._file: BinaryIO | None = None
        try:
            contents = path.read_bytes()
        except OSError:
            contents = b""
        # A link under this name, which others can guess, is not ours: it is replaced.
        self.is_continued = contents.startswith(self._header) and not path.is_symlink()
        if self.is_continued:
            self._load(contents)

    def __contains__(self, path: str) -> bool:
        """Whether there is a result of a recording of this name, as it was."""
        return path in self._done

    def result(self, path: str, now: Identity) -> Result | None:
        """Result of a recording; None where it isn't known, or the file has changed."""
        known, result = self._done.get(path, (None, None))
        return result if known == now else None

    def open(self) -> None:
        """Makes the file ready to be added to: the old one if it is continued, else a new one.

        Raises:
          UserError: it can't be written, or another program is writing it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_symlink():
                self.path.unlink()
            file = open(self.path, "r+b", opener=_made_if_missing)  # noqa: SIM115
            self._file = file
            lock(file.fileno(), self.path)
            file.truncate(self._size)
            file.seek(self._size)
            if not self.is_continued:
                self._write(self._header)
        except BlockingIOError as error:
            self.close()
            raise UserError(
                f"{self.path}: another sound-label is writing to the same --output or "
                "--output_dir: wait for it, or name another"
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, results: Sequence[tuple[Identity, Result]]) -> None:
        """Adds the results of a group, all or, where the program is killed, none.

        Raises:
          UserError: it can't be written.
        """
        records = [[*known, *dataclasses.astuple(result)] for known, result in results]
        try:
            self._write(_line(records))
        except OSError as error:
            raise self._unwritable(error) from error

    def answers(self, group: str) -> list[Floats]:
        """Answers of the model to the first batches of a group."""
        return self._answers.get(group, [])

    def add_answers(self, group: str, answers: Sequence[Floats]) -> None:
        """Adds what the model said of a group's next batches: float32 [batch, numbers] each.

        Raises:
          UserError: it can't be written.
        """
        parts = [
            [base64.b64encode(part.astype("<f4").tobytes()).decode(), len(part)] for part in answers
        ]
        try:
            self._write(_line({"group": group, "answers": parts}))
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line)
        self._file.flush()

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path} cannot be written ({error.strerror}): name another --output or "
            "--output_dir, or mend that and run again, to go on from here"
        )

    def _load(self, contents: bytes) -> None:
        self._size = len(self._header)
        for line in contents[self._size :].splitlines(keepends=True):
            if not _is_whole(line):
                # One without an end was cut off when a run was killed, which happens.
                if line.endswith(b"\n"):
                    logger.warning("%s: damaged; what follows there is labelled again", self.path)
                break
            records = json.loads(line[_SUM_BYTES:])
            if isinstance(records, dict):
                parts = [_parse_answers(*part) for part in records["answers"]]
                self._answers.setdefault(records["group"], []).extend(parts)
            else:
                self._answers.clear()  # a group is complete, and with it what was said of it
                for record in records:
                    known, result = _parse(record)
                    self._done[result.path] = known, result
            self._size += len(line)


def _made_if_missing(path: str, flags: int) -> int:
    return not_through_links(path, flags | os.O_CREAT)


def _line(records: Any) -> bytes:
    """What is written: a check sum in eight hexadecimal digits, JSON, a line break."""
    content = json.dumps(records).encode() + b"\n"
    return b"%08x" % zlib.crc32(content) + content


def _is_whole(line: bytes) -> bool:
    """Whether a line is as it was written: else anything might be in it."""
    return line.endswith(b"\n") and line[:_SUM_BYTES] == b"%08x" % zlib.crc32(line[_SUM_BYTES:])


def _parse(record: list[Any]) -> tuple[Identity, Result]:
    size, modified_ns, path, events, *rest = record
    rows = tuple(
        EventRow(start, end, label, score, tuple((name, value) for name, value in others))
        for start, end, label, score, others in events
    )
    return Identity(size, modified_ns), Result(path, rows, *rest)


def _parse_answers(encoded: str, rows: int) -> Floats:
    return np.frombuffer(base64.b64decode(encoded), "<f4").reshape(rows, -1)
