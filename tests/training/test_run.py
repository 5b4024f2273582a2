"""The main job: from a folder of recordings to a run whose files agree with one another."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn.metrics import f1_score

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.copies import backgrounds_beside
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.datasets.splits import SplitConfig, make_splits
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.fine_tuning.parts import FineTunedNetwork, TrainingPart
from sound_pipeline.fine_tuning.tuner import FineTuner
from sound_pipeline.heads.calibration import Calibration
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.train import HeldOutScores, calibrate
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.info import fingerprint
from sound_pipeline.system.devices import Devices
from sound_pipeline.system.json_config import from_json
from sound_pipeline.training import extraction
from sound_pipeline.training import run as run_module
from sound_pipeline.training.run_directory import PICTURES, RESULTS
from tests.helpers import tiny_models
from tests.helpers.sound_folders import CLASSES, RATE_HZ, SHORT, clip, write_csv, write_folder
from tests.helpers.sounds import noise, write_wav
from tests.helpers.trainable_modules import save_trainable_module
from tests.helpers.trees import contents_of

pytestmark = pytest.mark.slow

CLIPS_A_CLASS = 14
BROKEN = "noise/broken.wav"
"""The one recording of the folder that can't be read."""


def config_of(dataset: DatasetConfig, **changes: Any) -> RunConfig:
    values: dict[str, Any] = {
        "dataset": dataset,
        "split": SplitConfig("grouped", folds=2),
        "features": SHORT,
        "extractor": "gabor",
        "head": HeadConfig(epochs=25),
        "max_bad_clips": 0.05,
        **changes,
    }
    return RunConfig(**values)


def train(config: RunConfig, directory: Path, cache: Path) -> dict[str, Any]:
    manifest = load_manifest(config.dataset)
    splits = make_splits(manifest, config.split)
    made = extraction.Extraction(config, manifest, splits, cache)
    return run_module.run(made, directory, "python train.py --some=flags")


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def share_right(rows: list[dict[str, str]]) -> float:
    return float(np.mean([row["label"] == row["predicted"] for row in rows]))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `sounds`, the recordings, and `cache`, their embeddings once there are some."""
    directory = tmp_path_factory.mktemp("workplace")
    write_folder(directory / "sounds", CLIPS_A_CLASS)
    (directory / "sounds" / BROKEN).write_bytes(b"broken")
    return directory


@pytest.fixture(scope="module")
def folder_config(workplace: Path) -> RunConfig:
    return config_of(DatasetConfig("folder", str(workplace / "sounds")))


@pytest.fixture(scope="module")
def first_run(workplace: Path, folder_config: RunConfig) -> tuple[Path, dict[str, Any]]:
    """One whole run on the folder: its directory and what it returned."""
    directory = workplace / "first"
    return directory, train(folder_config, directory, workplace / "cache")


def csv_rows(sounds: Path, folds: int) -> list[dict[str, object]]:
    return [
        {"path": f"{label}/{number:03d}.wav", "label": label, "fold": 1 + number % folds}
        for label in CLASSES
        for number in range(CLIPS_A_CLASS)
    ]


def test_writes_all_results(first_run: tuple[Path, dict[str, Any]]) -> None:
    directory, figures = first_run
    assert {path.name for path in directory.iterdir()} == set(RESULTS)
    assert json.loads((directory / "metrics.json").read_text()) == figures
    assert set(figures) == {
        "accuracy",
        "accuracy_interval",
        "calibration",
        "classes",
        "clips",
        "confusion_matrix",
        "data_set",
        "extractor",
        "leaked_fraction",
        "macro_f1",
        "min_score",
        "per_class",
        "per_fold",
        "perhaps_the_same",
        "precision",
        "seconds",
        "sources",
        "split",
        "top_3_accuracy",
        "unreadable",
        "wrong_below",
    }
    assert figures["split"] == "grouped" and figures["extractor"] == "gabor"
    assert figures["leaked_fraction"] == 0 and figures["perhaps_the_same"] is None
    assert figures["classes"] == list(CLASSES)
    assert figures["data_set"] == "folder (sounds)"
    assert list(figures["per_fold"]) == ["fold 1", "fold 2"]
    assert figures["seconds"] > 0


def test_the_model_is_written_for_small_devices_too(
    workplace: Path, figures_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(saved_model: Path, directory: Path, formats: tuple[str, ...]) -> None:
        assert saved_model.is_dir() and saved_model.name == "saved_model"
        directory.mkdir()
        for kind in formats:
            (directory / kind).touch()

    monkeypatch.setattr(run_module, "export_tflite", export)
    dataset = DatasetConfig("folder", str(workplace / "sounds"))
    config = config_of(dataset, export_tflite=("int8", "float16"), head=HeadConfig(epochs=1))
    train(config, workplace / "small", workplace / "cache")
    assert {path.name for path in (workplace / "small").iterdir()} == {*RESULTS, "tflite"}
    names = {path.name for path in (workplace / "small" / "tflite").iterdir()}
    assert names == {"int8", "float16"}
    assert from_json(RunConfig, (workplace / "small" / "config.json").read_text()) == config


def test_several_extractors_answer_together(
    workplace: Path, figures_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is the mean of the tested heads, each of which is a head for each extractor."""
    models: list[tuple[SoundClassifier, dict[str, Any]]] = []

    def keep(classifier: SoundClassifier, directory: Path, metadata: dict[str, Any]) -> None:
        models.append((classifier, metadata))
        directory.mkdir()

    monkeypatch.setattr(run_module, "export_model", keep)
    module = tiny_models.save_waveform_module(workplace / "module")
    config = config_of(
        DatasetConfig("folder", str(workplace / "sounds")),
        extractor=f"gabor,{module}",
        precision="float32",
    )
    figures = train(config, workplace / "several", workplace / "cache")
    assert figures["extractor"] == f"gabor,{module}"
    assert figures["precision"] == "float32, float32"
    assert figures["accuracy"] > 0.95
    assert from_json(RunConfig, (workplace / "several" / "config.json").read_text()) == config
    ((model, metadata),) = models
    assert metadata["extractor"] == f"gabor,{module}"
    head = model.head
    assert len(head.heads) == 2
    assert float(head.temperature) != 1.0
    unheard = np.stack([clip(label, seed) for label in CLASSES for seed in range(100, 103)])
    rate = tf.constant(RATE_HZ)
    answers = model.scores(unheard, rate).numpy()
    assert [CLASSES[best] for best in answers.argmax(axis=1)] == sorted(CLASSES * 3)
    # Each extractor's head sees its part of the embedding.
    embedding = model.embedding(unheard, rate).numpy()
    assert embedding.shape[1] == 806
    parts = (embedding[:, :800], embedding[:, 800:])
    said = [
        tf.nn.log_softmax(each(part)) * weight
        for each, part, weight in zip(head.heads, parts, head._weights, strict=True)
    ]
    expected = tf.nn.softmax((said[0] + said[1]) / head.temperature)
    np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_what_small_devices_can_not_compute_stops_before_the_work(workplace: Path) -> None:
    module = tiny_models.save_waveform_module(workplace / "for_large_devices")
    config = config_of(
        DatasetConfig("folder", str(workplace / "sounds")),
        extractor=f"gabor,{module}",
        export_tflite=("int8",),
    )
    with pytest.raises(UserError, match="--export_tflite: TensorFlow Lite can't") as caught:
        train(config, workplace / "none", workplace / "an_unused_cache")
    assert "\n" not in str(caught.value)
    assert not (workplace / "an_unused_cache").exists() and not (workplace / "none").exists()


def test_learns_sounds_that_are_easily_told_apart(
    first_run: tuple[Path, dict[str, Any]],
) -> None:
    assert first_run[1]["accuracy"] > 0.95


def test_figures_are_what_the_predictions_give(
    first_run: tuple[Path, dict[str, Any]], workplace: Path
) -> None:
    directory, figures = first_run
    rows = rows_of(directory)
    recordings = {str(path) for path in (workplace / "sounds").rglob("*.wav")}
    broken = str(workplace / "sounds" / BROKEN)
    assert {row["path"] for row in rows} == recordings - {broken}
    assert list(figures["unreadable"]) == [broken] and figures["unreadable"][broken]
    assert len(rows) == figures["clips"] == 3 * CLIPS_A_CLASS
    assert all(Path(row["path"]).parent.name == row["label"] for row in rows)
    assert all(1 / 3 < float(row["score"]) <= 1 for row in rows)
    assert figures["accuracy"] == pytest.approx(np.mean(list(figures["per_fold"].values())))
    # The folds are of about one size.
    assert figures["accuracy"] == pytest.approx(share_right(rows), abs=0.01)
    labels, predicted = ([row[key] for row in rows] for key in ("label", "predicted"))
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_its_configuration_is_read_back_and_gives_the_same_run(
    first_run: tuple[Path, dict[str, Any]],
    workplace: Path,
    folder_config: RunConfig,
    figures_alone: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory, figures = first_run
    rebuilt = from_json(RunConfig, (directory / "config.json").read_text())
    assert rebuilt == folder_config
    with caplog.at_level(logging.INFO, "sound_pipeline"):
        again = train(rebuilt, workplace / "again", workplace / "cache")
    assert "42 embedded before" in caplog.text
    assert {**again, "seconds": 0} == {**figures, "seconds": 0}
    for name in ("predictions.csv", "config.json", "confusion_matrix.png"):
        assert (workplace / "again" / name).read_bytes() == (directory / name).read_bytes()


def test_the_model_it_exports_knows_the_sounds(first_run: tuple[Path, dict[str, Any]]) -> None:
    directory, figures = first_run
    model = tf.saved_model.load(str(directory / "saved_model"))
    assert [label.decode() for label in model.labels.numpy()] == list(CLASSES)
    unheard = np.stack([clip(label, seed) for label in CLASSES for seed in range(100, 103)])
    answer = model(tf.constant(unheard), tf.constant(RATE_HZ))
    assert [label.decode() for label in answer["label"].numpy()] == sorted(CLASSES * 3)
    metadata = json.loads((directory / "saved_model/assets.extra/model.json").read_text())
    assert {**metadata["metrics"], "seconds": figures["seconds"]} == figures
    assert metadata["config"] == json.loads((directory / "config.json").read_text())
    assert metadata["versions"]["tensorflow"] == tf.__version__


def test_the_model_is_calibrated_by_validation_recordings_alone(
    workplace: Path, figures_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every head, the final one too; not by the answers that the figures are made of."""
    rows = csv_rows(workplace / "sounds", folds=2)
    for row in rows[2::3]:
        row["label"] = "whistle"  # so that there is something to be unsure of
    manifest = write_csv(workplace / "noisy.csv", rows)
    dataset = DatasetConfig("csv", str(workplace / "sounds"), manifest=str(manifest))
    config = config_of(dataset, split=SplitConfig("folds", validation_fraction=0.3))
    given: list[list[HeldOutScores]] = []
    models: list[SoundClassifier] = []

    def remember(manifest: Any, validations: list[HeldOutScores]) -> Calibration:
        given.append(validations)
        return calibrate(manifest, validations)

    def keep(classifier: SoundClassifier, directory: Path, *_: Any) -> None:
        models.append(classifier)
        directory.mkdir()

    monkeypatch.setattr(run_module, "calibrate", remember)
    monkeypatch.setattr(run_module, "export_model", keep)
    figures = train(config, workplace / "noisy", workplace / "cache")
    ((final, *folds),) = given
    assert len(folds) == 2
    splits = make_splits(load_manifest(dataset), config.split)
    for part, split in zip(folds, splits, strict=True):
        assert set(part.recordings) <= set(split.validation)
    assert 0 < len(final.recordings) < len(rows) / 2
    expected = calibrate(load_manifest(dataset), [final, *folds])
    (model,) = models
    assert float(model.head.temperature) == pytest.approx(expected.temperature)
    assert float(model.min_score) == pytest.approx(expected.min_score)
    assert figures["min_score"]["suggested"] == expected.min_score
    assert expected.min_score > 0 and expected.temperature != 1
    assert figures["min_score"]["why"] == expected.why


@pytest.mark.nightly
def test_everything_stands_on_fine_tuned_networks(
    workplace: Path, figures_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tested on what its network hasn't seen; the final one has seen everything."""
    learned: dict[str, tuple[list[int], list[int]]] = {}
    calibrated: list[list[HeldOutScores]] = []
    models: list[SoundClassifier] = []
    tune = FineTuner.tune

    def remember(
        self: FineTuner, base: Any, part: TrainingPart, epochs: int | None = None
    ) -> FineTunedNetwork:
        learned[part.name] = part.training.tolist(), part.validation.tolist()
        return tune(self, base, part, epochs)

    def calibrate_with(manifest: Any, validations: list[HeldOutScores]) -> Calibration:
        calibrated.append(validations)
        return calibrate(manifest, validations)

    def keep(classifier: SoundClassifier, directory: Path, *_: Any) -> None:
        models.append(classifier)
        directory.mkdir()

    monkeypatch.setattr(FineTuner, "tune", remember)
    monkeypatch.setattr(run_module, "calibrate", calibrate_with)
    monkeypatch.setattr(run_module, "export_model", keep)
    module = save_trainable_module(workplace / "trainable")
    config = config_of(
        DatasetConfig("folder", str(workplace / "sounds")),
        extractor=module,
        precision="float32",
        fine_tune=FineTuneConfig(epochs=2, batch_size=8, learning_rate=0.01),
    )
    figures = train(config, workplace / "tuned", workplace / "cache")
    manifest = load_manifest(config.dataset)
    splits = make_splits(manifest, config.split)
    assert list(learned) == ["fold 1", "fold 2", "final model"]
    for split in splits:
        assert learned[split.name] == (split.train.tolist(), split.validation.tolist())
        assert not set(split.test) & {*split.train, *split.validation}
    assert learned["final model"] == (list(range(len(manifest.recordings))), [])
    # The final network has seen all there is: it says nothing about temperature.
    ((*held_back,),) = calibrated
    assert [
        set(part.recordings) <= set(split.validation)
        for part, split in zip(held_back, splits, strict=True)
    ] == [True, True]
    tunings = figures["fine_tuning"]
    assert list(tunings) == list(learned)
    epochs = [tunings[split.name][0]["epochs"] for split in splits]
    assert tunings["final model"][0]["epochs"] == round(np.median(epochs))
    (model,) = models
    plain = load_extractor(module, SHORT)
    assert model.extractor.fingerprint.startswith(f"{plain.fingerprint}-tuned-")
    sound = clip("hum", 1)[None]
    with_it = model.embedding(sound, tf.constant(RATE_HZ)).numpy()
    without = plain(plain.prepare(sound, tf.constant(RATE_HZ))).numpy()
    assert np.abs(with_it - without).max() > 1e-3
    assert from_json(RunConfig, (workplace / "tuned" / "config.json").read_text()) == config


def test_several_processes_need_something_to_share(
    folder_config: RunConfig, tmp_path: Path
) -> None:
    manifest = load_manifest(folder_config.dataset)
    splits = make_splits(manifest, folder_config.split)
    with pytest.raises(UserError, match=r"--strategy=multi_worker: .*--fine_tune"):
        two = Devices(None, None, 0, 2)
        made = extraction.Extraction(folder_config, manifest, splits, tmp_path, two)
        run_module.run(made, tmp_path / "run", "")


def test_shuffled_labels_fall_to_chance(workplace: Path, figures_alone: None) -> None:
    rows = csv_rows(workplace / "sounds", folds=2)
    random = np.random.default_rng(0)
    for row, label in zip(rows, random.permutation([row["label"] for row in rows]), strict=True):
        row["label"] = label
    manifest = write_csv(workplace / "shuffled.csv", rows)
    dataset = DatasetConfig("csv", str(workplace / "sounds"), manifest=str(manifest))
    figures = train(config_of(dataset), workplace / "shuffled", workplace / "cache")
    right = round(share_right(rows_of(workplace / "shuffled")) * len(rows))
    least, most = stats.binom.interval(0.999, len(rows), 1 / 3)
    assert least <= right <= most
    assert figures["accuracy"] < 0.6


def test_accuracy_is_the_mean_over_the_data_sets_own_folds(
    workplace: Path, figures_alone: None
) -> None:
    """Folds of different sizes, so that the mean is not the share of all clips."""
    rows = csv_rows(workplace / "sounds", folds=5)
    for row in rows:
        row["fold"] = 1 if row["fold"] == 1 else 2
    rows[0]["label"] = rows[17]["label"] = "whistle"  # two that can only be wrong
    manifest = write_csv(workplace / "folds.csv", rows)
    dataset = DatasetConfig("csv", str(workplace / "sounds"), manifest=str(manifest))
    config = config_of(dataset, split=SplitConfig("folds"))
    figures = train(config, workplace / "folds", workplace / "cache")
    predictions = rows_of(workplace / "folds")
    by_fold = {
        fold: share_right([row for row in predictions if row["fold"] == fold])
        for fold in ("fold 1", "fold 2")
    }
    assert figures["per_fold"] == pytest.approx(by_fold)
    assert figures["accuracy"] == pytest.approx(np.mean(list(by_fold.values())))
    assert figures["accuracy"] != pytest.approx(share_right(predictions))


def test_an_error_leaves_no_run(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = config_of(
        DatasetConfig("folder", str(workplace / "sounds")), extractor=str(tmp_path / "module")
    )
    with pytest.raises(UserError, match="--extractor"):
        train(unknown, tmp_path / "run", workplace / "cache")
    assert list(tmp_path.iterdir()) == []


def test_the_final_model_is_trained_on_every_recording(
    workplace: Path, folder_config: RunConfig, figures_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[tuple[set[int], set[int]]] = []

    def remember(
        manifest: Any, embeddings: Any, learned: np.ndarray, watched: np.ndarray, head: Any
    ) -> Any:
        parts.append((set(learned.tolist()), set(watched.tolist())))
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "evaluate", lambda *_: [])
    monkeypatch.setattr(run_module, "train_head", remember)
    with pytest.raises(KeyboardInterrupt):
        train(folder_config, workplace / "interrupted", workplace / "cache")
    ((learned, watched),) = parts
    everything = set(range(len(load_manifest(folder_config.dataset).recordings)))
    assert learned | watched == everything and not learned & watched and watched
    assert not (workplace / "interrupted").exists()


@pytest.mark.usefixtures("figures_alone")
def test_a_random_split_says_that_it_leaks(workplace: Path) -> None:
    rows = [row | {"group": f"{row['label']}-source"} for row in csv_rows(workplace / "sounds", 2)]
    manifest = write_csv(workplace / "one_source.csv", rows)
    dataset = DatasetConfig("csv", str(workplace / "sounds"), manifest=str(manifest))
    config = config_of(dataset, split=SplitConfig("random", folds=2), max_bad_clips=0.5)
    figures = train(config, workplace / "random", workplace / "cache")
    assert figures["split"] == "random split (leaky)"
    assert figures["leaked_fraction"] == 1.0
    assert json.loads((workplace / "random" / "metrics.json").read_text()) == figures


@pytest.mark.usefixtures("figures_alone")
def test_a_folder_that_comes_divided_is_tested_on_its_own_part(workplace: Path) -> None:
    root = workplace / "divided"
    for label in CLASSES:
        for number in range(CLIPS_A_CLASS):
            part = "train" if number % 2 else "test"
            (root / part / label).mkdir(parents=True, exist_ok=True)
            sound = workplace / "sounds" / label / f"{number:03d}.wav"
            (root / part / label / sound.name).symlink_to(sound)
    config = config_of(DatasetConfig("folder", str(root)), split=SplitConfig("folds"))
    figures = train(config, workplace / "divided_run", workplace / "cache")
    assert figures["split"] == "own parts" and list(figures["per_fold"]) == ["test"]
    assert figures["classes"] == list(CLASSES)
    assert figures["sources"]["count"] == figures["clips"]
    assert figures["sources"]["found"].startswith("each file its own")
    tested = [row["path"] for row in rows_of(workplace / "divided_run")]
    assert len(tested) == len(CLASSES) * CLIPS_A_CLASS // 2
    assert all(path.startswith(str(root / "test")) for path in tested)


def test_copies_are_asked_for_as_configured_with_the_background_that_is_allowed(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(Exception):
        """Ends the run where it has been seen."""

    asked: list[Any] = []

    def remember(*arguments: Any) -> None:
        asked.append(arguments[2].copies)
        raise Seen

    monkeypatch.setattr(extraction, "embed_by_each", remember)
    (tmp_path / "background").mkdir()
    for number in range(4):
        write_wav(tmp_path / "background" / f"{number}.wav", noise(4000, seed=number), RATE_HZ)
    config = config_of(
        DatasetConfig(
            "folder", str(workplace / "sounds"), background_dir=str(tmp_path / "background")
        ),
        augmented_copies=3,
        augmentation=AugmentationConfig(kinds=("noise",)),
    )
    with pytest.raises(Seen):
        train(config, tmp_path / "run", tmp_path / "cache")
    manifest = load_manifest(config.dataset)
    (copies,) = asked
    assert (copies.count, copies.config) == (3, config.augmentation)
    expected = backgrounds_beside(manifest, make_splits(manifest, config.split))
    assert list(copies.backgrounds) == expected
    assert any(expected)


def test_a_report_that_cannot_be_drawn_costs_no_model(
    workplace: Path,
    folder_config: RunConfig,
    first_run: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw(*_: object) -> None:
        raise MemoryError

    directory = workplace / "no report"
    monkeypatch.setattr("sound_pipeline.report.run_report.draw_confusion_matrix", draw)
    with pytest.raises(MemoryError):
        train(folder_config, directory, workplace / "cache")
    found = {path.name for path in directory.iterdir()}
    assert found == set(RESULTS) - set(PICTURES)
    assert len(rows_of(directory)) > 0
    monkeypatch.undo()
    train(folder_config, directory, workplace / "cache")
    assert {path.name for path in directory.iterdir()} == set(RESULTS)
    # The first run made the embeddings, this one read them: equal models all the same.
    models = [run / "saved_model" for run in (first_run[0], directory)]
    assert contents_of(models[0]) == contents_of(models[1])
    assert fingerprint(models[0]) == fingerprint(models[1])


def test_recordings_that_are_all_alike_are_a_run_that_says_so(
    tmp_path: Path, folder_config: RunConfig
) -> None:
    for label in "ab":
        for number in range(6):
            path = tmp_path / "sounds" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, np.zeros(8000 + number, np.float32), 16000)
    config = config_of(DatasetConfig("folder", str(tmp_path / "sounds")))
    with pytest.raises(UserError, match="can't be told apart"):
        train(config, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()
