"""Errors of the machine, in a line."""

from __future__ import annotations

import errno
import os

import pytest
import tensorflow as tf

from sound_pipeline.system.endings import reason_of


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG])
@pytest.mark.parametrize("path", ["runs/a", b"runs/a", None])
def test_of_the_system(number: int, path: str | bytes | None) -> None:
    error = OSError(number, os.strerror(number), path) if path else OSError(number, "why")
    reason = reason_of(error)
    assert reason is not None and "; " in reason and "\n" not in reason
    assert reason.startswith(f"runs/a: {os.strerror(number)}; " if path else "why; ")


def test_of_memory() -> None:
    assert "not enough memory" in str(reason_of(MemoryError()))
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    assert "not enough memory" in str(reason_of(error))


def test_of_tensorflow() -> None:
    full = tf.errors.ResourceExhaustedError(None, None, "a/variables; No space left on device\nat")
    assert str(reason_of(full)).startswith("a/variables; No space left on device; free some room")
    assert reason_of(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


def test_a_defect_is_none() -> None:
    assert reason_of(LookupError("x")) is None
