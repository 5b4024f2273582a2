"""Compares runs.

    python -m sound_pipeline.report compare RUN RUN...

RUN is the output directory of train.py. Printed and written are a table of the runs with their
figures, what differs in their configurations, and for each two of them how they did on the clips
that both tested, with a test by source recording. Up to five runs are compared each with each; of
more, the first with each other one.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import logging
import sys
from pathlib import Path

from absl import flags

from sound_pipeline.errors import UserError
from sound_pipeline.system import program
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside

logger = logging.getLogger("sound_pipeline.report")

_PROGRAM = "python -m sound_pipeline.report"
_USAGE = f"{_PROGRAM} compare RUN RUN..."
_SUFFIXES = (".md", ".csv")


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_string(
        "output",
        "comparison.md",
        "File to write: .md for all that is printed, .csv for the table of runs; none if empty.",
    )


def main(arguments: list[str]) -> None:
    """Runs the command named on the command line."""
    if len(arguments) < 2 or arguments[1] != "compare":
        raise UserError(f"name the command compare: {_USAGE}")
    if len(arguments) < 4:
        raise UserError(f"compare takes two runs or more: {_USAGE}")
    output, printed = flags.FLAGS.output, program.standard_output()
    path = Path(output) if output else None
    if path and path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"--output={output}: give a file that ends in {' or '.join(_SUFFIXES)}")
    if path and not path.parent.is_dir():
        raise UserError(f"--output={output}: there is no folder {path.parent}: make it")
    # SciPy takes a while to import.
    from sound_pipeline.report.compare import compare_all, read_runs
    from sound_pipeline.report.compare_tables import to_csv, to_markdown

    runs = read_runs(arguments[2:])
    text = to_markdown(runs, compare_all(runs))
    printed.write(text)
    if path:
        _write(path, to_csv(runs) if path.suffix.lower() == ".csv" else text)
        logger.info("written: %s", path)


def _write(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    try:
        with written_aside(path, "w") as file:
            file.write(text)
        remove_abandoned(path.parent)
    except OSError as error:
        message = f"--output={path}: {error.strerror}; name another file"
        raise UserError(message) from error


if __name__ == "__main__":
    # Messages and --help then name what was typed rather than __main__.py.
    sys.argv[0] = _PROGRAM
    define_flags()
    program.run(main)
