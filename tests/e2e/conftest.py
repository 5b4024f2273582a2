"""A small data set and a run on it, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import programs, tiny_data


@dataclass(frozen=True)
class Run:
    """A finished run of train.py."""

    data_dir: Path
    flags: tuple[str, ...]
    output_dir: Path
    outcome: programs.Outcome


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings shared by the tests, as a user's runs share them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 recordings, a folder for each of three classes."""
    return tiny_data.write_folders(tmp_path_factory.mktemp("tiny") / "sounds")


@pytest.fixture(scope="session")
def tiny_run(tiny_folders: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on them, cross-validated on two folds."""
    output_dir = tmp_path_factory.mktemp("runs") / "tiny"
    flags = (
        "--dataset=folder",
        f"--data_dir={tiny_folders}",
        "--evaluate=grouped",
        "--folds=2",
        *tiny_data.FLAGS,
    )
    outcome = programs.train(*flags, f"--output_dir={output_dir}", cache=cache)
    return Run(tiny_folders, flags, output_dir, outcome)
