"""What one program writes into, another is kept out of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sound_pipeline.system.locks import exclusively, lock

_HOLD = """
import sys
from pathlib import Path
from sound_pipeline.system.locks import exclusively
with exclusively(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_had_by_one_program_until_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), exclusively(tmp_path):
            pass
        other.kill()
    with exclusively(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as one, path.open("rb") as other:
        lock(one.fileno(), path)
        with pytest.raises(BlockingIOError):
            lock(other.fileno(), path)
        one.close()
        lock(other.fileno(), path)
