"""Frame of every program: flags, one-line errors, exit codes."""

from __future__ import annotations

import atexit
import io
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TextIO, TypeVar

import tqdm
from absl import app, flags
from absl import logging as absl_logging

from sound_pipeline.errors import UserError
from sound_pipeline.system.endings import EXIT_INTERRUPTED, Ended, naming, reason_of, take_signals
from sound_pipeline.system.filesystem import plugins_loaded
from sound_pipeline.system.flag_groups import define_help_flags
from sound_pipeline.system.text import one_line, printable

_MISSING = re.compile(r"flag --(\w+)=None: Flag --\1 must have a value")

T = TypeVar("T")

EXIT_ERROR = 1


def run(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Parses absl flags and runs `main`, turning user errors into one line on stderr.

    Args:
      main: takes the arguments left over after the flags, the program's name first; what it
        returns is the exit status (None for 0).
    """
    # TensorFlow's start-up chatter (CUDA factories, CPU features) would bury the messages that
    # matter; what goes wrong in it still arrives as a Python exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Keras 2, which the package uses anyway, in place of Keras 3, which TensorFlow would import
    # beside it: a fifth of the time until it is there.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # TensorFlow's own store of memory. Tensors of megabytes come and go with every batch, and the C
    # library gives them back to the system each time, which zeroes the pages when they come again.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
    program = printable(os.path.basename(sys.argv[0]))
    _fill_closed_streams()
    _prepare_streams()
    take_signals()
    define_help_flags()

    def guarded(arguments: list[str]) -> int | None:
        return _guarded(main, program, arguments)

    def parse(arguments: list[str]) -> list[str]:
        try:
            left = list(flags.FLAGS(arguments))
            _expand_home(flags.FLAGS)
            return left
        except flags.Error as error:
            sys.exit(_fail(program, f"{_of_flags(error)}; --help lists the flags"))
        except UserError as error:
            sys.exit(_fail(program, str(error)))

    try:
        app.run(guarded, flags_parser=parse)
    except KeyboardInterrupt as ended:
        sys.exit(_interrupted(program, ended))
    except SystemExit as ended:
        if plugins_loaded():
            _end_at_once(ended.code)
        raise
    raise AssertionError("absl.app.run does not return")


def _guarded(
    main: Callable[[list[str]], int | None], program: str, arguments: list[str]
) -> int | None:
    """Status that a program ends with, and its last line where that isn't well."""
    # TensorFlow's own remarks, made through absl, stay out of the program's messages.
    absl_logging.set_verbosity(absl_logging.ERROR)
    messages = logging.getLogger("sound_pipeline")
    messages.setLevel(logging.INFO)
    messages.propagate = False
    messages.addHandler(_Messages())
    try:
        status = main(arguments)
        if sys.stdout:
            sys.stdout.flush()
        return status
    except UserError as error:
        return _fail(program, str(error))
    except BrokenPipeError:
        # Whoever reads the output (head, say) has had enough.
        _abandon_output()
        return EXIT_ERROR
    except KeyboardInterrupt as ended:
        return _interrupted(program, ended)
    except Exception as error:
        if (reason := reason_of(error)) is None:
            raise
        try:
            if sys.stdout:
                sys.stdout.flush()
        except OSError:
            _abandon_output()
        return _fail(program, reason)


def standard_output() -> TextIO:
    """Standard output, for a program that has nothing to do without it.

    What goes wrong in writing to it is left to `run`.

    Raises:
      UserError: it is closed.
    """
    if sys.stdout is None:
        raise UserError("standard output is closed: leave it open, or send it to a file")
    return sys.stdout


def _abandon_output() -> None:
    """Sends what is still buffered nowhere: the interpreter writes it out when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(*lines: str) -> None:
    """Prints lines for people on standard output; nothing in one steers a terminal or breaks it."""
    for line in lines:
        print(printable(line))


def command() -> str:
    """Command line as it can be typed again in a shell."""
    return shlex.join(["python", *sys.argv])


def no_arguments(arguments: list[str]) -> None:
    """Raises UserError where words follow the flags of a program that takes none."""
    if len(arguments) > 1:
        raise UserError(f"unexpected argument {arguments[1]!r}: flags start with --")


def integers(flag: str, words: list[str]) -> tuple[int, ...]:
    """Whole numbers of a list flag.

    Raises:
      UserError: a word is none.
    """
    return _parsed(flag, words, int, "a whole number; give some like 1,2")


def numbers(flag: str, words: list[str]) -> tuple[float, ...]:
    """Numbers of a list flag.

    Raises:
      UserError: a word is none.
    """
    return _parsed(flag, words, float, "a number; give some like 0.5,1")


def _parsed(flag: str, words: list[str], parse: Callable[[str], T], kind: str) -> tuple[T, ...]:
    values = []
    for word in words:
        try:
            values.append(parse(word))
        except ValueError:
            raise UserError(f"--{flag}: {word!r} is not {kind}") from None
    return tuple(values)


def _end_at_once(status: object) -> NoReturn:
    """Ends the program without its C++ libraries' farewells.

    tensorflow-io's file systems abort the process there, once they have been used: a program that
    did all it was told to would end as one that crashed.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    os._exit(status if isinstance(status, int) else EXIT_ERROR if status else 0)


def _fill_closed_streams() -> None:
    """Opens what the caller closed of the standard streams, to nothing.

    Else the next files opened, the results among them, would take their places and get what
    libraries print. `sys.stdout` stays None: a program with nowhere to write must say so.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        if descriptor == 2:
            sys.stderr = open(descriptor, "w", closefd=False)  # noqa: SIM115
    os.close(descriptor)


class _Messages(logging.Handler):
    """Prints the package's messages above a progress bar, should there be one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.tqdm.write(one_line(self.format(record)), file=sys.stderr)


def _of_flags(error: flags.Error) -> str:
    """What is wrong with the flags; of one that is missing, absl says it three times over."""
    missing = _MISSING.match(str(error))
    return f"--{missing[1]} is needed" if missing else str(error)


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {one_line(message)}", file=sys.stderr)
    return EXIT_ERROR


def _interrupted(program: str, ended: KeyboardInterrupt) -> int:
    if isinstance(ended, Ended):
        print(f"{program}: ended by {signal.Signals(ended.number).name}", file=sys.stderr)
        return 128 + ended.number
    print(f"{program}: interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


def _prepare_streams() -> None:
    """Lets errors of writing to standard output name it, and escapes what can't be encoded.

    Not every console has UTF-8: a name with other letters must not end the program.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_StandardOutput(sys.stdout.fileno(), "wb", closefd=False)),
            sys.stdout.encoding,
            newline=None,
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _StandardOutput(io.FileIO):
    """Standard output, whose errors say that it is what can't be written."""

    def write(self, data: Any) -> int:
        with naming("standard output"):
            return super().write(data)


def _expand_home(values: flags.FlagValues) -> None:
    """Puts the home directory in the place of a leading `~`, which a shell leaves in --flag=~/x.

    Defaults are left to those who use them: not every run does, nor has every user a home.
    """
    for name in values:
        value = values[name].value
        if values[name].using_default_value:
            continue
        if isinstance(value, str):
            values[name].value = expanded(name, value)
        elif isinstance(value, list):
            values[name].value = [
                expanded(name, word) if isinstance(word, str) else word for word in value
            ]


def expanded(name: str, value: str) -> str:
    """A flag's path, with the home directory in the place of a leading `~`.

    Raises:
      UserError: there is none.
    """
    path = os.path.expanduser(value)
    if path.startswith("~") and os.sep in path:
        raise UserError(f"--{name}={value}: there is no such home directory; give the path in full")
    return path
