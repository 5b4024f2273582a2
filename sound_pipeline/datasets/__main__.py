"""Checks a data set before it is trained on.

    python -m sound_pipeline.datasets check DIR

DIR is the folder of a data set, or a CSV file that lists recordings. Every file is read and
decoded, by the decoders that training uses. Printed are counts by class, fold, encoding, sample
rate, channels and duration; files that are missing, can't be read or have the same content; and
source recordings whose clips are in several folds. With --similar, also recordings that are perhaps
the same. The exit status is 1 if files are missing or can't be read.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from sound_pipeline.datasets.check import SimilarFiles, check_files, find
from sound_pipeline.datasets.check_report import to_json, to_text
from sound_pipeline.datasets.checked_file import CheckedFile
from sound_pipeline.datasets.config import DATASETS, DatasetConfig
from sound_pipeline.datasets.loading import load_manifest
from sound_pipeline.datasets.published import PUBLISHED
from sound_pipeline.embeddings import flags as embedding_flags
from sound_pipeline.errors import UserError
from sound_pipeline.system import program
from sound_pipeline.system.atomic_files import written_aside
from sound_pipeline.system.filesystem import no_such

logger = logging.getLogger("sound_pipeline.datasets")

_PROGRAM = "python -m sound_pipeline.datasets"
_USAGE = f"{_PROGRAM} check DIR"


def guess_dataset(path: str) -> str:
    """Value of --dataset that suits a folder or CSV file, by what is in it.

    Raises:
      UserError: it is a file, but no CSV.
    """
    if os.path.isdir(path):
        for dataset, published in PUBLISHED.items():
            if os.path.isfile(os.path.join(path, published.metadata)):
                return dataset
        return "folder"
    if not path.lower().endswith(".csv"):
        raise UserError(f"{path}: name the folder of a data set or a CSV file")
    return "csv"


def config_from_flags(path: str, dataset: str, values: flags.FlagValues) -> DatasetConfig:
    """Data set at `path`.

    Raises:
      UserError: `path` or a flag doesn't go with `dataset`.
    """
    if (dataset == "csv") == os.path.isdir(path):
        wanted = "the CSV file itself" if dataset == "csv" else "the folder of the data set"
        raise UserError(f"{path}: for --dataset={dataset} name {wanted}")
    if dataset == "csv":
        data_dir, manifest = values.data_dir, path
    elif values.data_dir:
        raise UserError(f"--data_dir goes with a CSV file: the folder is {path} already")
    else:
        data_dir, manifest = path, ""
    return DatasetConfig(
        dataset=dataset,
        data_dir=data_dir,
        subset=values.subset,
        manifest=manifest,
        path_column=values.path_column,
        label_column=values.label_column,
        fold_column=values.fold_column,
        group_column=values.group_column,
    )


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "dataset", None, DATASETS, "Layout of DIR; guessed from what is in it if not given."
    )
    flags.DEFINE_enum("subset", "", ["", "esc10"], "Part of ESC-50 to check; all of it if empty.")
    flags.DEFINE_string(
        "data_dir", "", "Folder that the paths in a CSV file start from; the CSV's if empty."
    )
    for column in ("path", "label", "fold", "group"):
        flags.DEFINE_string(f"{column}_column", column, f"Column of a CSV file with the {column}.")
    flags.DEFINE_bool(
        "similar",
        False,
        "Look too for recordings that are perhaps the same at another level or rate, in another "
        "codec, or cut: each is embedded for that, about a second of sound in 20 ms.",
    )
    embedding_flags.define_cache_dir()
    flags.DEFINE_string(
        "json", "", "File to write everything to as JSON, or - for that alone on standard output."
    )


def _similar(files: Sequence[CheckedFile], cache_dir: Path) -> list[SimilarFiles]:
    """Usable files that are perhaps the same, without those of equal content."""
    from sound_pipeline.embeddings.similar import similar_recordings

    usable = [file for file in files if file.usable]
    pairs = similar_recordings([file.path for file in usable], cache_dir)
    alike = [SimilarFiles(usable[pair.first], usable[pair.second], pair.cosine) for pair in pairs]
    return [pair for pair in alike if pair.first.sha256 != pair.second.sha256]


def main(arguments: list[str]) -> int:
    """Runs the command named on the command line."""
    if len(arguments) != 3 or arguments[1] != "check":
        raise UserError(f"name a command and a data set: {_USAGE}")
    values, path = flags.FLAGS, os.path.expanduser(arguments[2])
    output = program.standard_output()
    to_file = Path(values.json) if values.json not in ("", "-") else None
    if to_file and not to_file.parent.is_dir():
        raise UserError(f"--json={values.json}: there is no folder {to_file.parent}: make it")
    if not os.path.exists(path):
        raise UserError(f"{path}: {no_such(path)}")
    dataset = values.dataset or guess_dataset(path)
    if not values.dataset:
        logger.info("%s: taken for --dataset=%s", path, dataset)
    manifest = load_manifest(config_from_flags(path, dataset, values), require_files=False)

    # Imports TensorFlow, which takes seconds: here, and not in the threads that need it.
    importlib.import_module("sound_pipeline.audio.block_decoding")
    with tqdm(total=len(manifest.recordings), desc="check", unit="clip") as progress:
        files = check_files(manifest, progress.update)
    similar = _similar(files, embedding_flags.cache_dir(values)) if values.similar else None
    findings = find(manifest, files, similar)
    text = json.dumps(to_json(findings), indent=2) + "\n"
    output.write(text if values.json == "-" else to_text(findings))
    if to_file:
        try:
            with written_aside(to_file, "w") as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"--json={values.json}: {error.strerror}: name another file") from error
    return 0 if len(findings.usable) == len(findings.files) else program.EXIT_ERROR


if __name__ == "__main__":
    # Messages and --help then name what was typed rather than __main__.py.
    sys.argv[0] = _PROGRAM
    define_flags()
    program.run(main)
