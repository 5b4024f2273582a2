"""How much memory there is: the machine's, or the container's where that is less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sound_pipeline.system import memory


def test_the_least_of_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (limit, tmp_path / "missing"))
    assert memory.memory_bytes() == physical
    for text, expected in (("max\n", physical), ("1048576\n", 1 << 20), (f"{2**63}", physical)):
        limit.write_text(text)
        assert memory.memory_bytes() == expected
    monkeypatch.delattr(os, "sysconf")
    assert memory.memory_bytes() == 2**63
    limit.unlink()
    assert memory.memory_bytes() == 4 << 30
