"""Fine-tuning: from an extractor to another, in one process and in several, through kills."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.datasets import DatasetConfig, Manifest, load_manifest
from sound_pipeline.embeddings.embed import Embeddings, embed_recordings
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.fine_tuning import tuner as tuner_module
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.fine_tuning.network import FineTuningModel, TrainingPlan, _Recorder
from sound_pipeline.fine_tuning.parts import (
    ExtractorInput,
    FineTunedNetwork,
    Learning,
    Pretrained,
    TrainingPart,
)
from sound_pipeline.fine_tuning.tuner import FOLDER, FineTuner, _Task
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.head import Head
from sound_pipeline.heads.train import examples, train_head
from sound_pipeline.system.devices import Devices, make_devices
from tests.helpers.fine_tuning_process import Job
from tests.helpers.sound_folders import SHORT, write_folder
from tests.helpers.tiny_models import save_image_module
from tests.helpers.trainable_modules import SIDE, SIZE, TrainableModule, save_trainable_module
from tests.helpers.user_errors import error_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIG = FineTuneConfig(epochs=3, batch_size=8, learning_rate=0.003)
HEAD = HeadConfig(epochs=5)
BEGUN = dataclasses.replace(SHORT, beginning_seconds=(0.1,))
_LONGEST_SECONDS = 600

Curves = Mapping[str, Sequence[float]]


class Place(NamedTuple):
    """Recordings and a module that can learn, and what it makes of them untuned."""

    directory: Path
    manifest: Manifest
    base: Extractor
    frozen: Embeddings
    training: np.ndarray
    validation: np.ndarray

    def tuner(self, cache: str, **changes: Any) -> FineTuner:
        # Embeddings, which come first, make it.
        (self.directory / cache).mkdir(exist_ok=True)
        values: dict[str, Any] = {
            "features": BEGUN,
            "config": CONFIG,
            "head": HEAD,
            "augmentation": None,
            "devices": make_devices("one"),
            **changes,
        }
        return FineTuner(
            self.manifest,
            ExtractorInput(values["features"]),
            Learning(values["config"], values["head"], values["augmentation"]),
            self.directory / cache,
            values["devices"],
        )

    @property
    def pretrained(self) -> Pretrained:
        return Pretrained(self.base, self.frozen, "float32")

    @property
    def part(self) -> TrainingPart:
        return TrainingPart("a part", self.training, self.validation)

    def tune(self, cache: str, **changes: Any) -> FineTunedNetwork:
        return self.tuner(cache, **changes).tune(self.pretrained, self.part)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    directory = tmp_path_factory.mktemp("place")
    sounds = write_folder(directory / "sounds", 8)
    manifest = load_manifest(DatasetConfig("folder", str(sounds)))
    module = save_trainable_module(directory / "module")
    base = load_extractor(module, BEGUN)
    paths = [recording.path for recording in manifest.recordings]
    frozen = embed_recordings(paths, base, EmbeddingSettings(directory / "cache"))
    everything = np.arange(len(paths))
    watched = everything % 4 == 0
    return Place(directory, manifest, base, frozen, everything[~watched], everything[watched])


@pytest.fixture(scope="module")
def tuned(place: Place) -> FineTunedNetwork:
    return place.tune("cache")


def weights(extractor: Extractor) -> list[np.ndarray]:
    return [variable.numpy() for variable in extractor.weights]


def refusal(place: Place, base: Extractor | None = None, **changes: Any) -> str:
    return error_of(lambda: place.tuner("cache", **changes).check(base or place.base))


def assert_same(curves: Curves, others: Curves, tolerance: float) -> None:
    assert curves.keys() == others.keys()
    for name, values in curves.items():
        np.testing.assert_allclose(values, others[name], rtol=0, atol=tolerance)


def test_it_learns(place: Place, tuned: FineTunedNetwork) -> None:
    assert list(tuned.curves) == ["loss", "validation_loss"]
    assert [len(values) for values in tuned.curves.values()] == [3, 3]
    assert tuned.curves["loss"][2] < tuned.curves["loss"][0]
    assert tuned.curves["validation_loss"][2] < tuned.curves["validation_loss"][0]
    assert tuned.epochs == 1 + int(np.argmin(tuned.curves["validation_loss"]))


def test_it_makes_another_extractor(place: Place, tuned: FineTunedNetwork) -> None:
    before = weights(place.base)
    extractor = place.tuner("cache").extractor(tuned)
    after = weights(extractor)
    changed = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
    # All that is trainable; the statistics of batch normalisation stay.
    assert changed == [True] * 4 + [False] * 2
    assert extractor.fingerprint == tuned.fingerprint != place.base.fingerprint
    assert place.base.fingerprint in tuned.fingerprint
    images = np.random.default_rng(0).random((2, SIDE, SIDE, 3)).astype("f4")
    assert np.abs(extractor(images) - place.base(images)).max() > 1e-4
    # What is frozen was left alone.
    np.testing.assert_array_equal(before[0], weights(load_extractor(tuned.handle, BEGUN))[0])


def test_what_has_been_done_is_found(
    place: Place, tuned: FineTunedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FineTuningModel, "learn", None)
    assert place.tune("cache") == tuned
    files = [path.name for path in tuned.directory.iterdir()]
    assert files == ["weights.npz"]


def test_killed_before_it_is_kept_nothing_is_learned_again(
    place: Place, tuned: FineTunedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tuner_module, "keep", kill)
        place.tune("late_kill")
    monkeypatch.setattr(FineTuningModel, "train_step", kill)
    again = place.tune("late_kill")
    assert_same(tuned.curves, again.curves, 1e-6)
    files = [path.name for path in again.directory.iterdir()]
    assert files == ["weights.npz"]


def test_it_begins_with_the_frozen_networks_head(place: Place) -> None:
    """With next to no learning, the losses are those of a head on frozen embeddings."""
    still = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-12)
    tuned = place.tune("still", config=still)
    start = HEAD
    head = train_head(place.manifest, place.frozen, place.training, (), start).head
    watched = examples(place.manifest, place.frozen, place.validation)
    log_scores = tf.nn.log_softmax(head(watched.embeddings[:])).numpy()
    own = log_scores[np.arange(len(watched.labels)), watched.labels]
    expected = -np.average(own, weights=watched.weights)
    # Embeddings are kept in float16.
    assert tuned.curves["validation_loss"][0] == pytest.approx(expected, abs=2e-3)


def test_only_what_is_asked_for_is_tuned(place: Place) -> None:
    """Statistics of batch normalisation stay as they were."""
    config = dataclasses.replace(CONFIG, epochs=1, first_variable="norm_1/b")
    tuner = place.tuner("late", config=config)
    tuned = tuner.tune(place.pretrained, TrainingPart("late", place.training, np.zeros(0, int)))
    assert list(tuned.curves) == ["loss"] and tuned.epochs == 1
    pairs = zip(weights(place.base), weights(tuner.extractor(tuned)), strict=True)
    changed = [not np.array_equal(*pair) for pair in pairs]
    assert changed == [False, False, True, True, False, False]


@pytest.mark.nightly
def test_float16_scales_its_losses(place: Place) -> None:
    """On a CPU nothing is computed in float16, but the same is done about it."""
    tuner = place.tuner("half", config=dataclasses.replace(CONFIG, epochs=2))
    half = tuner.tune(place.pretrained._replace(precision="float16"), place.part)
    full = tuner.tune(place.pretrained, place.part)
    assert half.directory != full.directory
    np.testing.assert_allclose(half.curves["loss"], full.curves["loss"], atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": dataclasses.replace(CONFIG, learning_rate=0.2)},
        {"head": dataclasses.replace(HEAD, class_weights="none")},
        {"augmentation": AugmentationConfig(("noise",), max_snr_db=30.0)},
    ],
)
def test_the_key_is_of_all_that_decides(
    place: Place, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(
        tuner: FineTuner,
        learned: np.ndarray = place.training,
        watched: np.ndarray = place.validation,
        precision: str = "float32",
        epochs: int = 3,
    ) -> str:
        base = place.pretrained._replace(precision=precision)
        return tuner._key(_Task(base, "a part", learned, watched, epochs))

    tuner = place.tuner("cache")
    same = key(tuner)
    assert same == key(place.tuner("cache"))
    assert same != key(place.tuner("cache", **changes))
    assert same != key(tuner, learned=place.training[1:])
    assert same != key(tuner, watched=place.validation[1:])
    assert same != key(tuner, precision="bfloat16")
    assert same != key(tuner, epochs=2)
    monkeypatch.setattr(place.base, "config", SHORT)
    assert same != key(tuner)


def test_what_can_not_learn_is_refused(place: Place, tmp_path: Path) -> None:
    gabor = load_extractor("gabor", BEGUN)
    assert "--fine_tune: --extractor=gabor has no trainable" in refusal(place, gabor)
    # TensorFlow saves a module's weights without saying which of them learn.
    fixed = load_extractor(save_image_module(tmp_path / "module"), BEGUN)
    assert f"--extractor={tmp_path / 'module'} has no trainable" in refusal(place, fixed)


def test_an_unknown_layer_is_refused_with_those_there_are(place: Place) -> None:
    message = refusal(place, config=dataclasses.replace(CONFIG, first_variable="conv_9"))
    assert message.startswith("--fine_tune_from=conv_9: ")
    assert "4, like" in message and "conv_1" in message and "conv_2" in message


def test_devices_that_can_not_share_are_refused(place: Place) -> None:
    three = Devices(SimpleNamespace(num_replicas_in_sync=3), None)
    assert "--fine_tune_batch_size=8: 3 devices" in refusal(place, devices=three)


def test_a_loss_that_is_not_finite_stops_it(place: Place) -> None:
    wild = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(UserError, match="lower --fine_tune_learning_rate"):
        place.tune("wild", config=wild)
    assert not list((place.directory / "wild" / FOLDER).rglob("weights.npz"))


def test_damaged_weights_are_named(place: Place, tuned: FineTunedNetwork, tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"broken")
    broken = tuned._replace(directory=tmp_path)
    with pytest.raises(UserError, match=r"weights\.npz: damaged .*delete it"):
        place.tuner("cache").extractor(broken)


def test_a_cache_that_is_not_shared_is_refused(place: Place) -> None:
    class Second(Devices):
        def wait_for_all(self) -> None:
            pass

    strategy = make_devices("one").training
    with pytest.raises(UserError, match="a folder that all processes share"):
        place.tune("elsewhere", devices=Second(strategy, strategy, 1, 2))


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    class Untrained(Extractor):
        def __init__(self) -> None:
            super().__init__("untrained", SIZE, "untrained", SHORT)
            self.module = TrainableModule()

        def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
            raise NotImplementedError

        def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
            return self.module(prepared)

    extractor = Untrained()
    layer = np.zeros((SIZE, 2), "f4"), np.zeros(2, "f4")
    head = Head(np.zeros(SIZE, "f4"), np.ones(SIZE, "f4"), *layer)
    config = dataclasses.replace(CONFIG, epochs=4)
    network = FineTuningModel(
        extractor, head, extractor.tunable, TrainingPlan(config, 1, True, "float32")
    )
    recorder = _Recorder()
    recorder.set_model(network)
    for epoch, loss in enumerate([0.5, 0.3, 0.4, 0.3]):
        extractor.module.offset.assign(tf.fill([6], float(epoch)))
        recorder.on_epoch_end(epoch, {"cross_entropy": 1.0, "val_cross_entropy": loss})
        assert int(network.epochs_learned.numpy()) == epoch + 1
    # The first of equals.
    np.testing.assert_array_equal(network.weights_kept()[2], np.full(6, 1.0))
    np.testing.assert_allclose(network.curves.numpy()[1], [0.5, 0.3, 0.4, 0.3])


class Outcome(NamedTuple):
    """What a job wrote, over all its starts."""

    curves: dict[str, list[float]]
    epochs: list[int]


class Jobs:
    """Starts fine-tuning in processes of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sounds = write_folder(directory / "sounds", 8)
        self.module = save_trainable_module(directory / "module")
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, cache: str, environment: Mapping[str, str] | None = None, **changes: Any
    ) -> subprocess.Popen[bytes]:
        job = Job(
            str(self.sounds),
            self.module,
            str(self.directory / cache),
            str(self.directory / f"{name}.json"),
            **changes,
        )
        file = self.directory / f"{name}.job"
        file.write_text(json.dumps(dataclasses.asdict(job)))
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.helpers.fine_tuning_process", str(file)],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, name: str, cache: str, status: int = 0, **changes: Any) -> None:
        process = self.start(name, cache, **changes)
        assert process.wait(_LONGEST_SECONDS) == status, self.log(name)

    def outcome(self, name: str) -> Outcome:
        file = self.directory / f"{name}.json"
        epochs = file.with_name(f"{file.name}.epochs").read_text().split()
        return Outcome(json.loads(file.read_text()), [int(epoch) for epoch in epochs])

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")[-5000:]

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    started = Jobs(tmp_path_factory.mktemp("jobs"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def alone(jobs: Jobs) -> Outcome:
    """Four epochs in one process, undisturbed."""
    jobs.run("alone", "alone")
    return jobs.outcome("alone")


def clusters(workers: int) -> list[dict[str, str]]:
    """The environment of each of some processes on free ports of this machine."""
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    about = [{"cluster": {"worker": addresses}, "task": task} for task in tasks]
    return [{"TF_CONFIG": json.dumps(of_worker)} for of_worker in about]


@pytest.mark.nightly
def test_a_killed_one_goes_on_as_if_nothing_had_been(jobs: Jobs, alone: Outcome) -> None:
    assert alone.epochs == [0, 1, 2, 3] and len(alone.curves["loss"]) == 4
    jobs.run("killed", "killed", status=-signal.SIGKILL, kill_after=2)
    assert not (jobs.directory / "killed.json").exists()
    jobs.run("resumed", "killed")
    resumed = jobs.outcome("resumed")
    assert resumed.epochs == [2, 3]
    assert_same(alone.curves, resumed.curves, 1e-6)


@pytest.mark.nightly
def test_two_devices_learn_as_one(jobs: Jobs, alone: Outcome) -> None:
    jobs.run("mirrored", "mirrored", cpus=2)
    assert_same(alone.curves, jobs.outcome("mirrored").curves, 1e-3)


def test_two_processes_learn_as_one_even_if_one_is_killed(jobs: Jobs, alone: Outcome) -> None:
    """The second kills itself; whoever ends without success is started again, as clusters do."""
    environments = clusters(2)

    def start(worker: int, **changes: Any) -> subprocess.Popen[bytes]:
        name = f"worker {worker}"
        return jobs.start(name, "workers", environments[worker], strategy="multi_worker", **changes)

    workers = [start(0), start(1, kill_after=2)]
    restarted = [0, 0]
    end = time.monotonic() + _LONGEST_SECONDS
    while [worker.poll() for worker in workers] != [0, 0]:
        logs = jobs.log("worker 0") + jobs.log("worker 1")
        assert time.monotonic() < end and max(restarted) < 5, logs
        for number, worker in enumerate(workers):
            if worker.poll():
                restarted[number] += 1
                workers[number] = start(number)
        time.sleep(0.5)
    assert restarted[1] >= 1
    done: set[int] = set()
    for number in (0, 1):
        outcome = jobs.outcome(f"worker {number}")
        # Nothing that was backed up was done again. Where a busy machine makes one process take the
        # other for dead, an epoch may be done twice, and one may have been backed up by a process
        # that was stopped before it could note it.
        assert outcome.epochs[:2] == [0, 1] and min(outcome.epochs[2:], default=2) >= 2
        done.update(outcome.epochs)
        assert_same(alone.curves, outcome.curves, 1e-3)
    assert done == {0, 1, 2, 3}
    kept = list((jobs.directory / "workers" / FOLDER).rglob("*"))
    assert [path.name for path in kept if path.is_file()] == ["weights.npz"]


@pytest.mark.assets
@pytest.mark.nightly
def test_the_real_inception_learns(esc10: Path, inception: Path, tmp_path: Path) -> None:
    manifest = load_manifest(DatasetConfig("esc50", str(esc10), subset="esc10"))
    features = FeatureConfig(beginning_seconds=())
    base = load_extractor(str(inception), features)
    firsts = [np.flatnonzero(manifest.labels == label)[:2] for label in range(10)]
    some = np.concatenate(firsts)
    few = dataclasses.replace(
        manifest,
        recordings=tuple(manifest.recordings[position] for position in some),
    )
    paths = [recording.path for recording in few.recordings]
    frozen = embed_recordings(paths, base, EmbeddingSettings(tmp_path))
    config = FineTuneConfig(epochs=2, batch_size=10, first_variable="mixed_8")
    learning = Learning(config, HEAD)
    tuner = FineTuner(few, ExtractorInput(features), learning, tmp_path, make_devices("one"))
    everything = TrainingPart("Inception", np.arange(len(paths)), np.zeros(0, int))
    tuned = tuner.tune(Pretrained(base, frozen, "float32"), everything)
    assert tuned.curves["loss"][1] < tuned.curves["loss"][0]
    names = [variable.name for variable in base.tunable]
    first = next(n for n, name in enumerate(names) if name.startswith("mixed_8"))
    assert 0 < first < len(names)
    pairs = zip(weights(base), weights(tuner.extractor(tuned)), strict=True)
    changed = [not np.array_equal(*pair) for pair in pairs]
    assert not any(changed[:first]) and all(changed[first:])
