"""Mutants of the core modules: small faults put in one by one, which the tests must notice.

    .venv/bin/python tools/mutants.py [--count=300] [--seed=0] [--processes=2] [--modules=A,B]

Each is one change to one operator, number or condition in a module of CORE, drawn at random, in a
copy of the checkout; the module's own tests are run on it until the first fails. A mutant that none
notices has survived: it is printed with its place, to be judged. Two hours for 300 on two cores.
The exit status is 1 where less than 92 % are killed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
LEAST_KILLED = 0.92
_LONGEST_SECONDS = 600

CORE = (
    "audio/channel_ops.py", "audio/wav.py", "audio/wav_header.py", "audio/wav_length.py",
    "datasets/copies.py", "datasets/leaks.py", "datasets/splits.py", "datasets/stratify.py",
    "evaluation/metrics.py", "evaluation/significance.py",
    "events/find_events.py", "events/min_scores.py",
    "features/beginnings.py", "features/image.py", "features/levels.py", "features/log_mel.py",
    "features/mel.py", "features/window_stream.py", "features/windows.py",
    "heads/calibration.py", "heads/combining.py",
    "live/gate.py", "live/noise_floor.py", "live/segments.py", "live/tracking.py",
)  # fmt: skip
# Where a module's tests are not in the file of its name.
TESTS = {
    "audio/channel_ops.py": "tests/audio/test_channels.py",
    "audio/wav_header.py": "tests/audio/test_wav.py",
    "events/min_scores.py": "tests/events",
    "live/noise_floor.py": "tests/live/test_gate.py",
}

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A fault: in a module's text, from one character to another, other text."""

    module: str
    line: int
    start: int
    end: int
    text: str

    def source(self) -> str:
        """The module with the fault in it."""
        whole = (ROOT / "sound_pipeline" / self.module).read_text(encoding="utf-8")
        return whole[: self.start] + self.text + whole[self.end :]

    def __str__(self) -> str:
        """Its place, and what was changed into what."""
        whole = (ROOT / "sound_pipeline" / self.module).read_text(encoding="utf-8")
        before = " ".join(whole[self.start : self.end].split())
        return f"sound_pipeline/{self.module}:{self.line}: {before}  ->  {self.text}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every fault that can be put into a module."""
    text = (ROOT / "sound_pipeline" / module).read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines()
    tree = ast.parse(text)
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        for part in _annotations(node)
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, ast.expr):
            continue
        for changed in _changes(node):
            assert node.end_lineno is not None and node.end_col_offset is not None
            start = starts[node.lineno - 1] + _characters(lines[node.lineno - 1], node.col_offset)
            last = node.end_lineno - 1
            end = starts[last] + _characters(lines[last], node.end_col_offset)
            yield Mutant(module, node.lineno, start, end, f"({ast.unparse(changed)})")


def _characters(line: str, byte: int) -> int:
    return len(line.encode()[:byte].decode())


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """Parts of a node that are types: they are not run."""
    for name in ("annotation", "returns"):
        part = getattr(node, name, None)
        if isinstance(part, ast.AST):
            yield part


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
        swapped = _SWAPPED[type(node.ops[0])]()
        yield ast.Compare(node.left, [swapped, *node.ops[1:]], node.comparators)  # type: ignore[list-item]
    elif isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED:
        yield ast.BinOp(node.left, _SWAPPED[type(node.op)](), node.right)  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(_SWAPPED[type(node.op)](), node.values)  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert | ast.USub):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(node.value * 1.5 if node.value else 1.0)


def tests_of(module: str) -> str:
    """The tests that a module's mutants are shown to."""
    folder, _, name = module.rpartition("/")
    return TESTS.get(module, f"tests/{folder}/test_{name}")


def fails(tests: str, checkout: Path) -> bool:
    """Whether some tests fail in a copy of the checkout, or don't end."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            words,
            cwd=checkout, env=environment, capture_output=True, check=False,
            timeout=_LONGEST_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def is_killed(mutant: Mutant, checkout: Path) -> bool:
    """Whether the tests notice a mutant, in a copy of the checkout, which is left as it was."""
    place = checkout / "sound_pipeline" / mutant.module
    original = place.read_bytes()
    place.write_text(mutant.source(), encoding="utf-8")
    try:
        return fails(tests_of(mutant.module), checkout)
    finally:
        place.write_bytes(original)


def main() -> int:
    """Draws mutants, tries them, and prints the survivors and the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--modules", default=",".join(CORE))
    asked = parser.parse_args()
    every = [mutant for module in asked.modules.split(",") for mutant in mutants_of(module)]
    drawn = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    with tempfile.TemporaryDirectory() as folder:
        checkouts: Queue[Path] = Queue()
        for number in range(asked.processes):
            checkout = Path(folder, str(number))
            left_out = shutil.ignore_patterns(".git", ".venv*", "runs", "demo_data", ".*_cache")
            shutil.copytree(ROOT, checkout, ignore=left_out)
            checkouts.put(checkout)
        # Where they fail already, every mutant would seem to be noticed.
        for tests in sorted({tests_of(mutant.module) for mutant in drawn}):
            if fails(tests, checkout):
                print(f"{tests} fails without any mutant: mend that first", file=sys.stderr)
                return 1

        def attempt(mutant: Mutant) -> bool:
            checkout = checkouts.get()
            try:
                return is_killed(mutant, checkout)
            finally:
                checkouts.put(checkout)

        killed = 0
        with ThreadPoolExecutor(asked.processes) as threads:
            for number, (mutant, noticed) in enumerate(
                zip(drawn, threads.map(attempt, drawn), strict=True), start=1
            ):
                killed += noticed
                said = "" if noticed else f"survived: {mutant}"
                print(f"{number}/{len(drawn)} {said}".rstrip(), flush=True)
    print(
        f"{killed} of {len(drawn)} mutants killed, {killed / len(drawn):.1%}; {len(every)} possible"
    )
    return 0 if killed >= LEAST_KILLED * len(drawn) else 1


if __name__ == "__main__":
    sys.exit(main())
