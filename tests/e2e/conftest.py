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


@dataclass(frozen=True)
class Run:
    """A finished run of train.py."""

    data_dir: Path
    flags: tuple[str, ...]
    output_dir: Path
    outcome: programs.Outcome


@dataclass(frozen=True)
class GaborModel:
    """A classifier with a random head on the embedded extractor, and its export."""

    classifier: SoundClassifier
    directory: Path


@pytest.fixture(scope="session")
def gabor_model(tmp_path_factory: pytest.TempPathFactory) -> GaborModel:
    """As large a graph as real models have; exporting it takes seconds."""
    classifier = tiny_models.random_classifier(load_extractor("gabor", tiny_models.CONFIG))
    directory = tmp_path_factory.mktemp("gabor") / "saved_model"
    export_model(classifier, directory, {})
    return GaborModel(classifier, directory)


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
