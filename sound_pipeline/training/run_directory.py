"""A run's directory: whole results or none, however the run ends."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sound_pipeline.errors import UserError
from sound_pipeline.system.atomic_files import put_in_place
from sound_pipeline.system.endings import naming
from sound_pipeline.system.locks import exclusively
from sound_pipeline.tflite.formats import LITE_FOLDER

# Everything that each finished run holds, in the order it is put in place. What programs look for,
# the model, comes last: where it is, all the rest is there and of the same run.
PICTURES = ("confusion_matrix.png", "tensorboard", "report.html")
"""What people look at; a run whose pictures can't be drawn has none."""
RESULTS = ("config.json", "predictions.csv", *PICTURES, "metrics.json", "saved_model")
OPTIONAL = (LITE_FOLDER,)
"""What a run holds where it was asked for, and what may be added to it later."""

_ASIDE = ".unfinished"
_LOCK = ".lock"  # on Windows alone


@contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """Yields a folder to write a run's results into; puts them in place at the end.

    Results of an earlier run are replaced only once the new ones are whole. On an error nothing
    of the directory changes.

    Args:
      directory: the run's; made if missing.

    Raises:
      UserError: the directory holds something that is not a run, or can't be written, or another
        program is writing into it.
      FileNotFoundError: not all of `RESULTS` were written, pictures aside.
    """
    existed = directory.is_dir()
    with ExitStack() as lock:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock.enter_context(exclusively(directory))
            aside = _new_folder_aside(directory)
        except BlockingIOError as error:
            raise UserError(
                f"--output_dir={directory}: another train.py is writing here; wait until it is "
                "done, or give another directory"
            ) from error
        except OSError as error:
            raise UserError(
                f"--output_dir={directory}: {error.strerror}; give a directory that can be written"
            ) from error
        try:
            with naming(str(directory)):
                yield aside
            _put_in_place(aside, directory)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if not existed and not any(directory.iterdir()):
                directory.rmdir()


def _new_folder_aside(directory: Path) -> Path:
    """Makes a folder to write into, where the directory holds a run, its remains or nothing."""
    others = sorted(
        path.name
        for path in directory.iterdir()
        if path.name not in (*RESULTS, *OPTIONAL, _LOCK) and not path.name.startswith(_ASIDE)
    )
    if others:
        raise UserError(
            f"--output_dir={directory}: holds {others[0]!r}, which no run wrote; give a new or "
            "empty directory"
        )
    for leftover in directory.glob(f"{_ASIDE}*"):
        shutil.rmtree(leftover)
    aside = directory / f"{_ASIDE}-{uuid.uuid4().hex}"
    aside.mkdir()
    return aside


def _put_in_place(aside: Path, directory: Path) -> None:
    missing = [name for name in RESULTS if not (name in PICTURES or (aside / name).exists())]
    if missing:
        raise FileNotFoundError(f"the run did not write {', '.join(missing)}")
    for name in (*reversed(RESULTS), *OPTIONAL):
        remove(directory / name)
    for name in (*OPTIONAL, *RESULTS):
        if (aside / name).exists():
            put_in_place(aside / name, directory / name)


def remove(path: Path) -> None:
    """Removes a result, which is a file or a folder, or not there."""
    if path.is_dir():
        # Renamed first: a model half removed must not look whole.
        doomed = path.with_name(f"{_ASIDE}-{path.name}")
        path.rename(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)
