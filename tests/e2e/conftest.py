"""A small data set and a run on it, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model
from tests.e2e import programs, tiny_data
from tests.helpers import tiny_models
from tests.helpers.made_once import made_once


@dataclass(frozen=True)
class Run:
    """A finished run of train.py."""

    data_dir: Path
    flags: tuple[str, ...]
    output_dir: Path
    cache: Path
    outcome: programs.Outcome


@dataclass(frozen=True)
class GaborModel:
    """A classifier with a random head on the embedded extractor, and its export."""

    classifier: SoundClassifier
    directory: Path


@pytest.fixture(scope="session")
def gabor_model(tmp_path_factory: pytest.TempPathFactory) -> GaborModel:
    """As large a graph as real models have; exporting it takes seconds. To be read only."""
    classifier = tiny_models.random_classifier(load_extractor("gabor", tiny_models.CONFIG))

    def make(folder: Path) -> Path:
        export_model(classifier, folder / "saved_model", {})
        return folder / "saved_model"

    return GaborModel(classifier, made_once(tmp_path_factory, "gabor_model", make))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings shared by the tests, as a user's runs share them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 recordings, a folder for each of three classes. To be read only."""
    return made_once(
        tmp_path_factory, "tiny", lambda folder: tiny_data.write_folders(folder / "sounds")
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on them in a process of its own, cross-validated on two folds. To be read only."""
    flags = (
        "--dataset=folder",
        f"--data_dir={tiny_folders}",
        "--evaluate=grouped",
        "--folds=2",
        *tiny_data.FLAGS,
    )

    def make(folder: Path) -> tuple[Path, Path, programs.Outcome]:
        output_dir, cache = folder / "run", folder / "cache"
        words = ("train.py", *flags, f"--output_dir={output_dir}")
        outcome = programs.run(*words, cache=cache)
        assert outcome.status == 0, outcome.err
        return output_dir, cache, outcome

    return Run(tiny_folders, flags, *made_once(tmp_path_factory, "tiny_run", make))
