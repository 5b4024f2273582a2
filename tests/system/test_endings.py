"""Errors of the machine, in a line."""

from __future__ import annotations

import ast
import errno
import os
from pathlib import Path

import pytest
import tensorflow as tf

from sound_pipeline.system.endings import naming, reason_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG])
@pytest.mark.parametrize("path", ["runs/a", b"runs/a", None])
def test_of_the_system(number: int, path: str | bytes | None) -> None:
    error = OSError(number, os.strerror(number), path) if path else OSError(number, "why")
    reason = reason_of(error)
    assert reason is not None and "; " in reason and "\n" not in reason
    assert reason.startswith(f"runs/a: {os.strerror(number)}; " if path else "why; ")


def test_an_error_that_names_no_file_gets_a_name() -> None:
    for named in (None, "b"):
        with pytest.raises(OSError, match="why") as caught, naming("a"):
            raise OSError(errno.ENOSPC, "why", named)
        assert caught.value.filename == (named or "a")


def test_of_numpy_on_a_full_disk() -> None:
    error = OSError("16384 requested and 6112 written")
    error.filename = "a.npy"
    assert str(reason_of(error)).startswith("a.npy: not everything could be written; free some ro")


def test_of_memory() -> None:
    library = "libtensorflow_cc.so.2: failed to map segment from shared object"
    for one in (MemoryError(), RuntimeError("can't start new thread"), ImportError(library)):
        assert "not enough memory" in str(reason_of(one))
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    assert "not enough memory" in str(reason_of(error))


def test_of_tensorflow() -> None:
    full = tf.errors.ResourceExhaustedError(None, None, "a/variables; No space left on device\nat")
    assert str(reason_of(full)).startswith("a/variables; No space left on device; free some room")
    assert reason_of(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


PROGRAMS = [
    path
    for path in (ROOT / "train.py", ROOT / "serve_mic.py", *(ROOT / "sound_pipeline").rglob("*.py"))
    if "program.run(" in path.read_text(encoding="utf-8") and path.name != "program.py"
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_programs_take_interrupts_before_they_import(path: Path) -> None:
    """What is interrupted while it is imported ends with a traceback, or goes on half imported."""
    _, future, first, *_ = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(future, ast.ImportFrom) and future.module == "__future__"
    assert "end_at_once_while_importing()" in ast.unparse(first)


def test_a_defect_is_none() -> None:
    assert reason_of(LookupError("x")) is None
