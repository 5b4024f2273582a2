"""Training whose windows come from workers in other processes, against training by itself."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.embeddings.embed import embed_recordings
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.fine_tuning.examples import (
    ExampleRecipe,
    Labelled,
    PipelineShare,
    all_windows,
    drawn_windows,
)
from sound_pipeline.fine_tuning.parts import ExtractorInput, Learning, Pretrained, TrainingPart
from sound_pipeline.fine_tuning.tuner import FineTuner
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.input_pipeline.read import WindowReader
from sound_pipeline.system.devices import make_devices
from tests.helpers import sounds
from tests.helpers.reading_service import Service
from tests.helpers.sound_folders import SHORT, write_folder
from tests.helpers.trainable_modules import save_trainable_module

pytestmark = pytest.mark.slow

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5), beginning_seconds=(0.1,))
CLASSES = 3
COUNT = 30
SIZE = 4
STEPS = 8  # of an epoch: 30 recordings, four at a time

# A row of a batch: what it was prepared to, its label and its weight, as bytes.
Row = tuple[bytes, bytes, bytes]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(tmp_path_factory.mktemp("service"), stack)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    folder = tmp_path_factory.mktemp("recordings")
    paths = [
        str(sounds.write_wav(folder / f"{n}.wav", sounds.noise(8000 + 900 * n, seed=n), 16000))
        for n in range(COUNT)
    ]
    return Labelled(paths, np.arange(COUNT) % CLASSES, np.linspace(1, 2, COUNT, dtype="f4"))


def rows_of(batch: Sequence[tf.Tensor]) -> list[Row]:
    columns = [[row.tobytes() for row in column.numpy()] for column in batch]
    return list(zip(*columns, strict=True))


def recipe(data_service: str) -> ExampleRecipe:
    prepare = GaborExtractor(CONFIG).prepare
    return ExampleRecipe(prepare, CONFIG, CLASSES, WindowReader(data_service))


def drawn(
    recordings: Labelled, data_service: str, share: PipelineShare | None = None
) -> tf.data.Dataset:
    return drawn_windows(
        recordings,
        recipe(data_service),
        seed=0,
        share=share or PipelineShare(0, 1, SIZE, 1),
        first_epoch=1,
        augmentation=AugmentationConfig(("noise",)),
    )


def test_workers_make_the_batches_that_this_process_makes(
    service: Service, recordings: Labelled
) -> None:
    """Not quite in their order: each of the first epoch's comes, maybe after one of the next."""
    expected = [frozenset(rows_of(batch)) for batch in drawn(recordings, "").take(3 * STEPS)]
    assert len(set(expected)) == len(expected)
    came = [
        frozenset(rows_of(batch)) for batch in drawn(recordings, service.address).take(2 * STEPS)
    ]
    assert set(came) <= set(expected) and len(set(came)) == len(came)
    assert set(expected[:STEPS]) <= set(came)


@pytest.mark.nightly
def test_a_worker_may_die(service: Service, recordings: Labelled) -> None:
    expected = {frozenset(rows_of(batch)) for batch in drawn(recordings, "").take(40 * STEPS)}
    came: Counter[frozenset[Row]] = Counter()
    for number, batch in enumerate(drawn(recordings, service.address).take(20 * STEPS)):
        if number == 3:
            service.kill_worker(0)
        if number == 10 * STEPS:
            service.workers[0] = service.start_worker(0)
        came[frozenset(rows_of(batch))] += 1
    # Nothing twice, and nothing else.
    assert set(came) <= expected and set(came.values()) == {1}


@pytest.mark.nightly
def test_processes_that_share_batches_get_their_own_parts(
    service: Service, recordings: Labelled
) -> None:
    """Each registers its own, at one dispatcher."""
    alone = [rows_of(batch) for batch in drawn(recordings, "").take(2 * STEPS)]
    firsts = {frozenset(rows[:2]) for rows in alone}
    seconds = {frozenset(rows[2:]) for rows in alone}
    for number, expected in enumerate((firsts, seconds)):
        share = PipelineShare(number, 2, SIZE // 2, 1)
        part = drawn(recordings, service.address, share).take(STEPS)
        assert {frozenset(rows_of(batch)) for batch in part} <= expected


def test_what_is_watched_comes_once_though_a_worker_dies(
    service: Service, recordings: Labelled
) -> None:
    def windows(data_service: str, die: bool) -> Counter[Row]:
        dataset = all_windows(recordings, recipe(data_service), SIZE)
        came: Counter[Row] = Counter()
        for number, batch in enumerate(dataset):
            rows = [row for row in rows_of(batch) if any(row[2])]
            came.update(rows)
            if len(rows) < SIZE:
                return came
            if die and number == 2:
                service.kill_worker(1)
                service.workers[1] = service.start_worker(1)
        raise AssertionError("a data set without end has ended")

    expected = windows("", die=False)
    assert set(expected.values()) == {1} and len(expected) > 3 * COUNT
    assert windows(service.address, die=True) == expected
    # Once more, as after every epoch.
    assert windows(service.address, die=False) == expected


def test_fine_tuning_by_a_worker(service: Service, tmp_path: Path) -> None:
    """One alone keeps the order, and so the curves."""
    service.kill_worker(1)
    manifest = load_manifest(DatasetConfig("folder", str(write_folder(tmp_path / "sounds", 8))))
    features = dataclasses.replace(SHORT, beginning_seconds=(0.1,))
    base = load_extractor(save_trainable_module(tmp_path / "module"), features)
    settings = EmbeddingSettings(tmp_path, reader=WindowReader(service.address))
    frozen = embed_recordings(manifest.paths, base, settings)
    everything = np.arange(len(manifest.paths))
    watched = everything % 4 == 0
    config = FineTuneConfig(epochs=3, batch_size=8, learning_rate=0.003)

    def curves(cache: str, service: str) -> dict[str, list[float]]:
        (tmp_path / cache).mkdir()
        tuner = FineTuner(
            manifest,
            ExtractorInput(features),
            Learning(config, HeadConfig(epochs=5)),
            tmp_path / cache,
            make_devices("one"),
            WindowReader(service),
        )
        part = TrainingPart("a part", everything[~watched], everything[watched])
        return tuner.tune(Pretrained(base, frozen, "float32"), part).curves

    alone, by_worker = curves("alone", ""), curves("by worker", service.address)
    assert list(by_worker) == ["loss", "validation_loss"]
    for name, losses in by_worker.items():
        assert len(losses) == 3 and losses[2] < losses[0]
        np.testing.assert_allclose(losses, alone[name], rtol=0, atol=1e-6)

    path = Path(manifest.paths[int(everything[~watched][0])])
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples, rate, format="FLAC")
    with pytest.raises(UserError, match=rf"--fine_tune: {path}: .*sound_pipeline\.convert"):
        curves("unsupported", service.address)
    service.bring_back(1)
