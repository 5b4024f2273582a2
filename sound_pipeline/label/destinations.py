"""Destinations of results: standard output, one file, or a file a recording."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from sound_pipeline.datasets.find_recordings import FoundRecording
from sound_pipeline.errors import UserError
from sound_pipeline.label.formats import FORMATS, EventFormat
from sound_pipeline.label.journal import Journal, Result
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside
from sound_pipeline.system.program import standard_output
from sound_pipeline.system.text import encodable

_MOST_NAME_BYTES = 255
_DIGEST_LETTERS = 16

Render = Callable[[Iterable[Result]], str]
"""The text for some results, headers aside."""


class Destination(Protocol):
    """Destination of results.

    Attributes:
      journal_path: where what is done is kept; None where nothing can be gone on with.
    """

    @property
    def journal_path(self) -> Path | None:
        """See above."""

    def check(self, journal: Journal | None, may_overwrite: bool) -> None:
        """Raises UserError where something would be written over that isn't a run's own.

        Args:
          journal: of earlier runs like this one.
          may_overwrite: whether the user said so.
        """

    def forget(self, paths: Iterable[str]) -> None:
        """Drops what was written about recordings before: it will be written anew."""

    def add(self, results: Iterable[Result]) -> None:
        """Takes the next results, in order."""

    def finish(self, results: Iterable[Result]) -> None:
        """Takes all results again, at the end."""


class StandardOutput:
    """Results as they come."""

    journal_path = None

    def __init__(self, render: Render, header: str) -> None:
        """Writes nothing yet.

        Raises:
          UserError: standard output is closed.
        """
        self._stream = standard_output()
        self._render = render
        self._header = header

    def check(self, journal: Journal | None, may_overwrite: bool) -> None:
        """Nothing is there to be written over."""

    def forget(self, paths: Iterable[str]) -> None:
        """Nothing was written before."""

    def add(self, results: Iterable[Result]) -> None:
        """Writes them, after the header the first time."""
        text, self._header = self._header + self._render(results), ""
        self._stream.write(encodable(text, self._stream))
        self._stream.flush()

    def finish(self, results: Iterable[Result]) -> None:
        """Everything is written."""


class OneFile:
    """All results in one file, which appears when it is complete."""

    def __init__(self, path: Path, render: Render, header: str) -> None:
        """Writes nothing yet."""
        self._path = path
        self._render = render
        self._header = header

    @property
    def journal_path(self) -> Path:
        """A hidden file beside it."""
        return self._path.with_name(f".{self._path.name}.journal")

    def check(self, journal: Journal | None, may_overwrite: bool) -> None:
        """As `Destination`: the file may be there only if a run like this wrote it."""
        if not self._path.exists():
            return
        if not self._path.is_file():
            raise UserError(f"--output={self._path}: is no regular file; name another")
        if not (may_overwrite or (journal and journal.is_continued)):
            raise _exists(self._path)

    def forget(self, paths: Iterable[str]) -> None:
        """File is whole, and replaced as a whole."""

    def add(self, results: Iterable[Result]) -> None:
        """Waits for the end."""

    def finish(self, results: Iterable[Result]) -> None:
        """Writes them all."""
        write_whole(self._path, self._header + self._render(results))
        remove_abandoned(self._path.parent)


class FilePerRecording:
    """A file a recording, in folders as those of the recordings."""

    def __init__(
        self, folder: Path, found: Iterable[FoundRecording], kind: EventFormat, render: Render
    ) -> None:
        """Writes nothing yet.

        Args:
          folder: where to.
          found: the recordings.
          kind: gives the names' ends.
          render: makes the whole of a file.

        Raises:
          UserError: two recordings would share a file.
        """
        self._folder = folder
        self._render = render
        self._targets: dict[str, Path] = {}
        owners: dict[str, str] = {}
        for path, name in found:
            target = folder / _shortened(name, kind.suffix)
            # Names that differ in letter case alone are one file on some systems.
            owner = owners.setdefault(str(target).casefold(), path)
            if owner != path:
                raise UserError(
                    f"{owner} and {path} would both be written to {target}: label them one after "
                    "the other, with an --output_dir each"
                )
            self._targets[path] = target

    @property
    def journal_path(self) -> Path:
        """A hidden file in the folder."""
        return self._folder / ".sound-label.journal"

    def check(self, journal: Journal | None, may_overwrite: bool) -> None:
        """As `Destination`."""
        for path, target in self._targets.items():
            if target.exists() and not (may_overwrite or (journal and path in journal)):
                raise _exists(target)

    def forget(self, paths: Iterable[str]) -> None:
        """Removes their files."""
        for path in paths:
            try:
                self._targets[path].unlink(missing_ok=True)
            except OSError as error:
                raise _unwritable(self._targets[path], error) from error

    def add(self, results: Iterable[Result]) -> None:
        """Writes the files that are not there; none for a recording that can't be read."""
        for result in results:
            target = self._targets[result.path]
            if not (result.error or target.exists()):
                write_whole(target, self._render([result]))

    def finish(self, results: Iterable[Result]) -> None:
        """Everything is written; removes what killed runs have left beside it."""
        for folder in {target.parent for target in self._targets.values()}:
            remove_abandoned(folder)


def _shortened(name: str, suffix: str) -> str:
    """A recording's name with a suffix; where file systems allow none so long, its beginning.

    What is cut off is made up for by a digest, so that names stay different.
    """
    folder, file = os.path.split(name)
    encoded = os.fsencode(file)
    if len(encoded) + len(suffix) > _MOST_NAME_BYTES:
        digest = hashlib.sha256(encoded).hexdigest()[:_DIGEST_LETTERS]
        most = _MOST_NAME_BYTES - len(suffix) - len(digest) - 1
        file = f"{encoded[:most].decode(errors='ignore')}-{digest}"
    return os.path.join(folder, file + suffix)


def write_whole(path: Path, text: str) -> None:
    """Writes a file, UTF-8, so that it is there whole or not at all; its folder is made.

    Raises:
      UserError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_destination(
    kind: str,
    output: str,
    output_dir: str,
    found: list[FoundRecording],
    top: int,
    max_hz: float,
) -> Destination:
    """Makes the destination that the flags name.

    Raises:
      UserError: the flags don't go together, or with the number of recordings.
    """
    chosen = FORMATS[kind]
    header = chosen.header(top)

    def bodies(results: Iterable[Result]) -> str:
        return "".join(chosen.body(result, top, max_hz) for result in results)

    if output and output_dir:
        raise UserError("--output and --output_dir: give one of them")
    if output_dir:
        return FilePerRecording(
            Path(output_dir), found, chosen, lambda results: header + bodies(results)
        )
    if not chosen.holds_many and len(found) > 1:
        raise UserError(
            f"--format={kind} is a file a recording, and there are {len(found)}: give --output_dir"
        )
    if output and output != "-":
        return OneFile(Path(output), bodies, header)
    return StandardOutput(bodies, header)


def _exists(path: Path) -> UserError:
    return UserError(
        f"{path} exists, and no run with this model and these flags wrote it: give --overwrite or "
        "write elsewhere"
    )


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written ({error.strerror}): mend that and run again")
