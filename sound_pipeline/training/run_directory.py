"""A run's directory: whole results or none, however the run ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sound_pipeline.errors import UserError
from sound_pipeline.system.atomic_files import put_in_place
from sound_pipeline.tflite.formats import LITE_FOLDER

# Everything that each finished run holds, in the order it is put in place. What programs look for,
# the model, comes last: where it is, all the rest is there and of the same run.
RESULTS = (
    "config.json",
    "predictions.csv",
    "confusion_matrix.png",
    "tensorboard",
    "report.html",
    "metrics.json",
    "saved_model",
)
OPTIONAL = (LITE_FOLDER,)
"""What a run holds where it was asked for, and what may be added to it later."""

_ASIDE = ".unfinished"


@contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """Yields a folder to write a run's results into; puts them in place at the end.

    Results of an earlier run are replaced only once the new ones are whole. On an error nothing
    of the directory changes.

    Args:
      directory: the run's; made if missing.

    Raises:
      UserError: the directory holds something that is not a run, or can't be written.
      FileNotFoundError: not all of `RESULTS` were written.
    """
    existed = directory.is_dir()
    others = sorted(
        path.name
        for path in (directory.iterdir() if existed else ())
        if path.name not in (*RESULTS, *OPTIONAL) and not path.name.startswith(_ASIDE)
    )
    if others:
        raise UserError(
            f"--output_dir={directory}: holds {others[0]!r}, which no run wrote; give a new or "
            "empty directory"
        )
    aside = directory / _ASIDE
    try:
        for leftover in directory.glob(f"{_ASIDE}*"):
            shutil.rmtree(leftover)
        aside.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"--output_dir={directory}: {error.strerror}; give a directory that can be written"
        ) from error
    try:
        yield aside
        missing = [name for name in RESULTS if not (aside / name).exists()]
        if missing:
            raise FileNotFoundError(f"the run did not write {', '.join(missing)}")
        for name in (*reversed(RESULTS), *OPTIONAL):
            _remove(directory / name)
        for name in (*OPTIONAL, *RESULTS):
            if (aside / name).exists():
                put_in_place(aside / name, directory / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if not existed and not any(directory.iterdir()):
            directory.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        # Renamed first: a model half removed must not look whole.
        doomed = path.with_name(f"{_ASIDE}-{path.name}")
        path.rename(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)
