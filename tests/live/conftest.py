"""A virtual microphone for the tests of live sound."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live import pulse


@pytest.fixture
def pulseaudio(monkeypatch: pytest.MonkeyPatch) -> Iterator[pulse.PulseAudio]:
    """A running private daemon that this process's clients find; skips, or fails in CI, without."""
    missing = pulse.missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {missing}")
    if missing:
        pytest.skip(missing)
    with pulse.PulseAudio() as daemon:
        for name, value in daemon.variables.items():
            monkeypatch.setenv(name, value)
        yield daemon
