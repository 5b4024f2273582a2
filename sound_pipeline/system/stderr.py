"""Keeping C++ libraries' remarks, which nothing turns off, out of a program's messages."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# What the converter and the interpreter of TensorFlow Lite say to no user.
_REMARK = re.compile(
    rb"(INFO: Created TensorFlow Lite |WARNING: All log messages before absl::|[IW]\d{4} )"
)


@contextmanager
def filtered_stderr(of_failures: bool = True) -> Iterator[None]:
    """Holds back what is written to standard error meanwhile; the remarks among it are dropped.

    The rest, of other threads too, comes at the end.

    Args:
      of_failures: whether that is so too where an exception ends it; if not, all is dropped then.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            held.seek(0)
            for line in held:
                if not _REMARK.match(line) and (of_failures or not failed):
                    os.write(stderr, line)
            os.close(stderr)
