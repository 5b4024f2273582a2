"""What lists of recordings cost: memory and time of a manifest, and of a share's own recordings.

    .venv/bin/python -m benchmarks.datasets.manifests [--full]

A CSV names recordings of 100 folders by paths of 50 characters. `load_manifest` reads it, where
there are no such files and is told not to ask for them, and where all are there; `load_shard`
reads it for one share of 64, whose files are there; `content_keys` digests all files, which are
empty, for the first time. Each is done in a process of its own, and the bytes are those by which
its largest resident memory is above what it was before, by the rows of the CSV; seconds are the
processor's. Linux only. The targets: a manifest takes at most 200 bytes a row, a share 20, and
digests 600 beside the manifest. 100,000 rows; with --full 1,000,000 too, but not as many files.
The last line is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sized
from pathlib import Path
from typing import NamedTuple

from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.datasets import DatasetConfig, load_manifest, load_shard
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.datasets.shards import Shard
from sound_pipeline.system import program

_SHORT = 100_000
_FULL = 1_000_000
_FOLDERS = 100
_PATH_LETTERS = 50
_SHARE = Shard(1, 64)


class Case(NamedTuple):
    """What is read.

    Attributes:
      files_every: of so many rows one names a file that is there; 0: none does.
      most_rows: the longest list.
      limit: bytes a row that it should take at the most.
    """

    files_every: int
    most_rows: int
    limit: int


_NO_FILES, _ALL_FILES = "manifest, no files", "manifest, all files"
_ITS_FILES = f"share {_SHARE}"
_DIGESTS = "digests of all files"
_CASES = {
    _NO_FILES: Case(0, _FULL, 200),
    _ALL_FILES: Case(1, _SHORT, 200),
    _ITS_FILES: Case(_SHARE.of, _FULL, 20),
    _DIGESTS: Case(1, _SHORT, 600),
}


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_bool("full", False, "1,000,000 rows too.")
    flags.DEFINE_enum("case", None, list(_CASES), "Does this alone and prints its memory.")
    flags.DEFINE_string("list", "", "For --case: the CSV.")


def write_list(directory: Path, rows: int, every: int) -> str:
    """Writes a CSV, and one file in so many of those that it names; returns its path."""
    width = _PATH_LETTERS - len(f"{directory}/000/.wav")
    for folder in range(_FOLDERS):
        (directory / f"{folder:03d}").mkdir(parents=True)
    path = directory / "list.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("path,label\n")
        for number in range(rows):
            name = f"{number % _FOLDERS:03d}/{number:0{width}d}.wav"
            file.write(f"{name},class {number % 50}\n")
            if every and number % every == 0:
                (directory / name).touch()
    return str(path)


def read(case: str, path: str) -> None:
    """Reads a list; prints by how many bytes memory grew, at its peak and for good."""
    config = DatasetConfig("csv", "", manifest=path)
    paths = load_manifest(config).paths if case == _DIGESTS else ()
    before, started = _memory_bytes("VmRSS"), time.process_time()
    found: Sized
    if case == _DIGESTS:
        found = content_keys(paths, Path(path).parent)
    elif case == _ITS_FILES:
        found = load_shard(config, _SHARE)
    else:
        found = load_manifest(config, require_files=case == _ALL_FILES).recordings
    seconds = time.process_time() - started
    peak, after = (_memory_bytes(name) - before for name in ("VmHWM", "VmRSS"))
    print(json.dumps({"found": len(found), "peak": peak, "after": after, "seconds": seconds}))


def _memory_bytes(name: str) -> int:
    """A figure of this process from Linux, which counts no other's before it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    if values.case:
        read(values.case, values.list)
        return
    found = []
    print(f"{'':22}{'rows':>10}{'found':>10}{'bytes a row':>14}{'kept':>8}{'seconds':>10}")
    for rows in (_SHORT, _FULL) if values.full else (_SHORT,):
        for name, case in _CASES.items():
            if rows > case.most_rows:
                continue
            with tempfile.TemporaryDirectory() as directory:
                path = write_list(Path(directory), rows, case.files_every)
                words = [
                    sys.executable,
                    "-m",
                    "benchmarks.datasets.manifests",
                    f"--case={name}",
                    f"--list={path}",
                ]
                done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
            one = {"case": name, "rows": rows, **json.loads(done.stdout.splitlines()[-1])}
            found.append(one)
            peak, kept = one["peak"] / rows, one["after"] / rows
            print(
                f"{name:22}{rows:>10,}{one['found']:>10,}{peak:>14.1f}{kept:>8.1f}"
                f"{one['seconds']:>10.2f}",
                flush=True,
            )
    targets = [
        Target(
            f"bytes a row, {one['case']}, {one['rows']:,} rows",
            one["peak"] / one["rows"],
            _CASES[one["case"]].limit,
        )
        for one in found
    ]
    report({"lists": found}, targets)


if __name__ == "__main__":
    define_flags()
    program.run(main)
