"""The programs, run as users run them: from the project's folder, in processes or in this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import in_process

ROOT = Path(__file__).parents[2]
_LONGEST_SECONDS = 900
# Information that the newest TensorFlow prints when it is imported, whatever its log level.
_START_UP = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|I\d{4} \d\d:\d\d:\d+\.).*\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Outcome:
    """What a program left: its exit status and what it wrote, but for TensorFlow's start-up."""

    status: int
    out: str
    err: str


def environment(cache: Path) -> dict[str, str]:
    """The user's environment with another cache, and none of what only the tests set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return {**kept, "SOUND_PIPELINE_CACHE": str(cache)}


def run(*words: str, cache: Path, **variables: str) -> Outcome:
    """Runs `python WORDS` to its end, with more environment variables if given."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**environment(cache), **variables},
        text=True,
        timeout=_LONGEST_SECONDS,
    )
    return Outcome(done.returncode, done.stdout, _START_UP.sub("", done.stderr))


def run_here(*words: str, cache: Path, **variables: str) -> Outcome:
    """The same without a process of its own: for what needs none to be shown."""
    return Outcome(*in_process.run(words, ROOT, {**environment(cache), **variables}))


def train(*flags: str, cache: Path) -> Outcome:
    """A run of train.py that must succeed, in this process."""
    outcome = run_here("train.py", *flags, cache=cache)
    assert outcome.status == 0, outcome.err
    return outcome


def assert_refused(outcome: Outcome, program: str, *words: str) -> None:
    """It failed with one line that holds all the words, after no traceback."""
    assert outcome.status != 0
    lines = [line for line in outcome.err.splitlines() if line.startswith(f"{program}: error: ")]
    assert len(lines) == 1, outcome.err
    for word in words:
        assert word in lines[0]
    assert outcome.err.endswith(f"{lines[0]}\n")
    assert "Traceback" not in outcome.err
