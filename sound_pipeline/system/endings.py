"""Endings of programs that are nobody's defect: full disks, missing rights, signals."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from types import FrameType

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
_OUT_OF_MEMORY = f"there is not enough memory; {_ADVICE[errno.ENOMEM]}"


class Ended(KeyboardInterrupt):
    """The program was told to end by a signal other than Ctrl-C.

    Attributes:
      number: the signal.
    """

    def __init__(self, number: int) -> None:
        """Takes the signal's number."""
        super().__init__()
        self.number = number


def take_signals() -> None:
    """Makes SIGTERM and SIGHUP end a program as Ctrl-C does, with its message or summary.

    What is ignored stays so: `nohup` ignores SIGHUP.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # others may not
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


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
    if isinstance(error, MemoryError):
        return _OUT_OF_MEMORY
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        where = (
            f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        )
        return f"{where}{what}; {_ADVICE.get(error.errno or 0, _OTHERWISE)}"
    # TensorFlow isn't imported for this: where it isn't there, it has raised nothing.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
        return None
    if isinstance(error, tensorflow.errors.ResourceExhaustedError) and "OOM" in error.message:
        return _OUT_OF_MEMORY
    for text, number in _REASONS.items():
        if text in error.message:
            return f"{error.message.splitlines()[0]}; {_ADVICE[number]}"
    return None
