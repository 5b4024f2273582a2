"""Programs run in this process, which has imported TensorFlow already: seconds less for each.

They start as the interpreter starts them, as `__main__`, so flags, one-line errors and exit
statuses are those of `sound_pipeline.system.program`. What a process alone can show (start-up,
signals, closed and broken streams, what C++ libraries print) needs one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

# Defines flags where it is imported first, which must stay when those of a program go.
import tensorflow_hub  # noqa: F401
from absl import flags
from absl import logging as absl_logging
from absl.testing import flagsaver

from sound_pipeline.system import program


class Ended(NamedTuple):
    """The exit status of a program, and what it wrote."""

    status: int
    out: str
    err: str


def run(words: Sequence[str], directory: Path, variables: Mapping[str, str]) -> Ended:
    """Does what `python WORDS` does, in a folder, with these environment variables and no others.

    Args:
      words: a script's path or `-m` and a module, then its arguments.
      directory: the current folder meanwhile.
      variables: the whole environment.

    Raises:
      Exception: as the program does, where a process would end with a traceback.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as err,
    ):
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, variables, clear=True),
            _inside(directory),
            _own_state(),
        ):
            status = _status_of(words)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    return Ended(status, *texts)


def _status_of(words: Sequence[str]) -> int:
    try:
        if words[0] == "-m":
            sys.argv = [words[1], *words[2:]]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(words)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        assert ended.code is None or isinstance(ended.code, int), ended.code
        return ended.code or 0
    return 0


@contextlib.contextmanager
def _own_state() -> Iterator[None]:
    """Afterwards all is as it was: flags, loggers, signal handlers and the command line."""
    was_parsed, argv, before = flags.FLAGS.is_parsed(), sys.argv, absl_logging.get_verbosity()
    with (
        flagsaver.flagsaver(),
        _same_logger(logging.getLogger()),
        _same_logger(logging.getLogger("sound_pipeline")),
        _same_handlers(signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
        warnings.catch_warnings(),
        # Else a program ends the process at once where tensorflow-io has been used.
        mock.patch.object(program, "plugins_loaded", lambda: False),
        mock.patch.object(os, "_exit", _refuse),
    ):
        # Of runpy, where a test has imported the module too.
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        try:
            yield
        finally:
            sys.argv = argv
            absl_logging.set_verbosity(before)
    if not was_parsed:
        flags.FLAGS.unparse_flags()


def _refuse(status: int) -> None:
    raise AssertionError(f"the program would have ended the tests' process with status {status}")


@contextlib.contextmanager
def _inside(directory: Path) -> Iterator[None]:
    """`contextlib.chdir`, which Python 3.10 lacks."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _same_logger(logger: logging.Logger) -> Iterator[None]:
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


@contextlib.contextmanager
def _same_handlers(*numbers: signal.Signals) -> Iterator[None]:
    before: list[Callable[..., object] | int | None] = [signal.getsignal(one) for one in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)  # type: ignore[arg-type]
