"""Endings of programs that are nobody's defect: full disks, missing rights, signals."""

from __future__ import annotations

import _thread
import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 130

_AGAIN_SECONDS = 0.05

_ADVICE = {
    errno.ENOSPC: "free some room there, or name another folder",
    errno.EDQUOT: "free some room there, or name another folder",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or name another folder",
    errno.EACCES: "give yourself the right to it, or name another path",
    errno.EPERM: "give yourself the right to it, or name another path",
    errno.EROFS: "name a folder that can be written",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "mend the link, which leads back to itself",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EIO: "check the disk or the network drive",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "check the path",
}
_OTHERWISE = "mend that and run it again"
# How the messages of TensorFlow's errors name the same reasons.
_REASONS = {os.strerror(number): number for number in _ADVICE}
# NumPy's, whatever the system's reason was.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
# What TensorFlow puts before its messages: the name of an operation, which tells users nothing.
_NODE = re.compile(r"^\{\{.*?\}\} ?")
# Of Python's threads, and of the loader of libraries such as TensorFlow's.
_LACKS_MEMORY = re.compile(r"^can't start new thread$|: failed to map segment from shared object")
_OUT_OF_MEMORY = f"there is not enough memory; {_ADVICE[errno.ENOMEM]}"


def _message(error: Exception) -> str:
    return " ".join(map(str, error.args))


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Lets an error of the system that names no file, as of a full disk, name one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = what
        raise


class Ended(KeyboardInterrupt):
    """The program was told to end by a signal other than Ctrl-C.

    Attributes:
      number: the signal.
    """

    def __init__(self, number: int) -> None:
        """Takes the signal's number."""
        super().__init__()
        self.number = number


def end_at_once_while_importing() -> None:
    """Makes Ctrl-C end a program without a traceback until it calls `take_signals`.

    There is nothing to clean up while modules are imported, and not all of them let an exception
    through as it is.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    del number, frame
    # print might be what is interrupted.
    os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED)


def take_signals() -> None:
    """Makes SIGTERM and SIGHUP end a program as Ctrl-C does, with its message or summary.

    What is ignored stays so: `nohup` ignores SIGHUP.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # others may not
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _once_more
    if signal.getsignal(signal.SIGINT) is _end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _once_more(lost: sys.UnraisableHookArgs) -> None:
    """Sends a signal again whose exception came where Python lets none through, as in imports."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    ended = lost.exc_value
    number = signal.Signals(ended.number) if isinstance(ended, Ended) else signal.SIGINT
    again = threading.Timer(_AGAIN_SECONDS, _send, [number])
    again.daemon = True
    again.start()


def _send(number: signal.Signals) -> None:
    if hasattr(signal, "pthread_kill"):  # wakes the thread too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    raise Ended(number)


def reason_of(error: Exception) -> str | None:
    """One line for an error of the machine a program runs on: what is wrong where, and what to do.

    Args:
      error: any error.

    Returns:
      The line; None where the error is a defect of the program.
    """
    if isinstance(error, MemoryError) or _LACKS_MEMORY.search(_message(error)):
        return _OUT_OF_MEMORY
    if isinstance(error, OSError):
        what, number = error.strerror or _message(error) or type(error).__name__, error.errno or 0
        if _SHORT_WRITE.fullmatch(what):
            what, number = "not everything could be written", errno.ENOSPC
        where = (
            f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        )
        return f"{where}{what}; {_ADVICE.get(number, _OTHERWISE)}"
    # TensorFlow isn't imported for this: where it isn't there, it has raised nothing.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return None
    if isinstance(error, tensorflow.errors.ResourceExhaustedError) and "OOM" in error.message:
        return _OUT_OF_MEMORY
    for text, number in _REASONS.items():
        if text in error.message:
            message = _NODE.sub("", error.message.splitlines()[0])
            return f"{message}; {_ADVICE[number]}"
    return None
