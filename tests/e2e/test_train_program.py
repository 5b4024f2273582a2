"""train.py from a folder of recordings to an exported model."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from sound_pipeline.config import RunConfig
from sound_pipeline.system.json_config import from_json
from tests.e2e import programs, tiny_data
from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow

RESULTS = {
    "config.json",
    "metrics.json",
    "predictions.csv",
    "confusion_matrix.png",
    "tensorboard",
    "report.html",
    "saved_model",
}
PROMISED_METRICS = {
    "accuracy",
    "accuracy_interval",
    "per_fold",
    "macro_f1",
    "split",
    "clips",
    "classes",
    "extractor",
    "seconds",
}
# Nothing is computed after the first part of the embeddings is on disk, so that the kill always
# finds the program with some recordings done and some to do.
STALLED = """
import runpy, sys, time
from sound_pipeline.embeddings import jobs

add = jobs.EmbeddingStore.add

def stall(self, fresh):
    add(self, fresh)
    if fresh:
        time.sleep(3600)

assert jobs._WRITE_EVERY_SECONDS > 0
jobs._WRITE_EVERY_SECONDS = 0
jobs.EmbeddingStore.add = stall
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def metrics(output_dir: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((output_dir / "metrics.json").read_text())
    return values


def predictions(output_dir: Path) -> list[dict[str, str]]:
    with (output_dir / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_all_it_should(tiny_run: Run) -> None:
    directory = tiny_run.output_dir
    assert {path.name for path in directory.iterdir()} == RESULTS
    figures = metrics(directory)
    assert figures.keys() >= PROMISED_METRICS
    assert figures["accuracy"] >= 0.95
    assert list(figures["per_fold"]) == ["fold 1", "fold 2"]
    assert figures["accuracy"] == pytest.approx(np.mean(list(figures["per_fold"].values())))
    assert figures["macro_f1"] >= 0.95
    assert figures["split"] == "grouped"
    assert figures["clips"] == 60
    assert figures["classes"] == list(tiny_data.CLASSES)
    assert figures["extractor"] == "gabor"
    assert figures["unreadable"] == {}
    assert 0 < figures["seconds"] < 600

    config = from_json(RunConfig, (directory / "config.json").read_text())
    assert config.dataset.data_dir == str(tiny_run.data_dir)
    assert (config.split.evaluate, config.split.folds) == ("grouped", 2)
    assert config.features.windows.seconds == 0.5

    tested = predictions(directory)
    columns = ["path", "fold", "group", "label", "predicted", "score", "uncalibrated_score"]
    assert list(tested[0]) == [*columns, "score: hum", "score: rattle", "score: whistle"]
    assert len({row["path"] for row in tested}) == 60
    assert {row["label"] for row in tested} == set(tiny_data.CLASSES)
    right = np.mean([row["label"] == row["predicted"] for row in tested])
    assert right == pytest.approx(figures["accuracy"])

    image = tf.io.decode_png((directory / "confusion_matrix.png").read_bytes())
    assert min(image.shape[:2]) > 200
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert all(flag in page for flag in tiny_run.flags) and "train.py" in page
    events = list((directory / "tensorboard").rglob("*tfevents*"))
    assert len(events) >= 3
    assert all(path.stat().st_size > 500 for path in events)


def test_a_run_says_what_it_did(tiny_run: Run) -> None:
    out, err = tiny_run.outcome.out, tiny_run.outcome.err
    assert out.count("\n") == 1
    assert re.match(
        r"accuracy (1\.0|0\.9)\d+, 95% interval [01]\.\d{3}-[01]\.\d{3} \(grouped; 60 ", out
    )
    assert str(tiny_run.output_dir / "report.html") in out
    assert str(tiny_run.output_dir / "saved_model") in out
    assert "60 recordings, 0 embedded before" in err
    assert "fold 2: accuracy" in err
    lines = [line for line in re.split("[\r\n]", err) if line and "embedding:" not in line]
    assert len(lines) <= 8, "chatter of libraries among the messages"
    assert "warning" not in err.lower()


def test_the_model_knows_new_recordings(tiny_run: Run, tmp_path: Path) -> None:
    model = tf.saved_model.load(str(tiny_run.output_dir / "saved_model"))
    assert [label.decode() for label in model.labels.numpy()] == list(tiny_data.CLASSES)
    for label in tiny_data.CLASSES:
        files = [
            tiny_data.write_clip(tmp_path / f"{seed}.wav", label, seed).read_bytes()
            for seed in range(1000, 1005)
        ]
        found = model.signatures["wav"](wav=tf.constant(files))["label"].numpy()
        assert list(found) == [label.encode()] * 5


def test_the_model_says_how_it_was_made(tiny_run: Run) -> None:
    model = tiny_run.output_dir / "saved_model"
    made = json.loads((model / "assets.extra" / "model.json").read_text())
    assert made["config"] == json.loads((tiny_run.output_dir / "config.json").read_text())
    figures = metrics(tiny_run.output_dir)
    # How long it took differs from run to run: equal runs write equal models.
    del figures["seconds"]
    assert made["metrics"] == figures
    assert made["labels"] == list(tiny_data.CLASSES)
    assert made["extractor"] == "gabor"
    assert "sounds" in made["data_set"]
    assert made["versions"]["tensorflow"] == tf.__version__
    labels = (model / "assets" / "labels.txt").read_text().splitlines()
    assert labels == list(tiny_data.CLASSES)


def test_a_killed_run_goes_on_where_it_stopped(tiny_run: Run, tmp_path: Path) -> None:
    """And gives what an uninterrupted one gives: `tiny_run`, which has another cache."""
    cache, output_dir = tmp_path / "cache", tmp_path / "run"
    flags = (*tiny_run.flags, f"--output_dir={output_dir}")
    with (tmp_path / "messages").open("w") as messages:
        process = subprocess.Popen(
            [sys.executable, "-c", STALLED, *flags],
            cwd=programs.ROOT,
            env=programs.environment(cache),
            stderr=messages,
        )
    deadline = time.monotonic() + 300
    while not kept_parts(cache):
        assert process.poll() is None, (tmp_path / "messages").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    kept = sum(len(np.load(part)["keys"]) for part in kept_parts(cache))
    assert 0 < kept < 60
    assert not RESULTS & {path.name for path in output_dir.iterdir()}

    resumed = programs.train(*flags, cache=cache)
    assert f"60 recordings, {kept} embedded before" in resumed.err
    assert f"{60 - kept}/{60 - kept} [" in resumed.err
    assert {path.name for path in output_dir.iterdir()} == RESULTS
    assert_equal_results(output_dir, tiny_run.output_dir)


def kept_parts(cache: Path) -> list[Path]:
    """What is kept of embeddings; beside them are the digests of recordings."""
    return [part for part in cache.rglob("*.npz") if part.parent.name != "contents"]


def assert_equal_results(one: Path, other: Path) -> None:
    ours, theirs = metrics(one), metrics(other)
    assert ours.pop("seconds") > 0
    assert theirs.pop("seconds") > 0
    assert ours == theirs
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    sounds = np.random.default_rng(0).normal(0, 0.1, [3, 9000]).astype(np.float32)
    scores = [
        tf.saved_model.load(str(run / "saved_model"))(sounds, 16000)["scores"]
        for run in (one, other)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_shuffled_labels_fall_to_chance(tiny_run: Run, tmp_path: Path) -> None:
    """Also the layout csv and the cache, which knows recordings by their content alone."""
    paths = [f"{label}/{number:02}.wav" for label in tiny_data.CLASSES for number in range(20)]
    labels = np.repeat(tiny_data.CLASSES, 20)
    shuffled = np.random.default_rng(0).permutation(labels)
    table = tiny_data.write_table(
        tmp_path / "sounds.csv", ["file", "what"], zip(paths, shuffled, strict=True)
    )
    outcome = programs.train(
        "--dataset=csv",
        f"--manifest={table}",
        f"--data_dir={tiny_run.data_dir}",
        "--path_column=file",
        "--label_column=what",
        *tiny_run.flags[2:],
        f"--output_dir={tmp_path / 'run'}",
        cache=tiny_run.cache,
    )
    assert "60 recordings, 60 embedded before" in outcome.err
    assert "clip/s" not in outcome.err, "nothing was left to embed"
    assert metrics(tmp_path / "run")["accuracy"] < 0.55


@pytest.mark.usefixtures("figures_alone")
def test_csv_with_an_unreadable_recording_held_out(cache: Path, tmp_path: Path) -> None:
    """Beside the CSV, with source recordings, a file that is no sound, and a run in its place."""
    rows = []
    for label in tiny_data.CLASSES:
        for number in range(10):
            path = tiny_data.write_clip(tmp_path / "a b" / f"{label} {number}.wav", label, number)
            rows.append((path.relative_to(tmp_path), label, f"{label} {number // 2}"))
    broken = tmp_path / "a b" / "hum 3.wav"
    broken.write_bytes(tiny_data.BROKEN)
    table = tiny_data.write_table(tmp_path / "sounds.csv", ["path", "label", "group"], rows)
    output_dir = tmp_path / "run"
    shutil.copytree(tmp_path / "a b", output_dir / ".unfinished" / "a b")
    outcome = programs.train(
        "--dataset=csv",
        f"--manifest={table}",
        "--evaluate=holdout",
        "--test_fraction=0.4",
        "--max_bad_clips=0.1",
        *tiny_data.FLAGS,
        f"--output_dir={output_dir}",
        cache=cache,
    )
    assert f"skipped {broken}: {tiny_data.WHY_BROKEN}" in outcome.err
    figures = metrics(output_dir)
    assert figures["unreadable"] == {str(broken): tiny_data.WHY_BROKEN}
    assert figures["clips"] == 29
    assert figures["split"] == "holdout"
    assert list(figures["per_fold"]) == ["holdout"]
    assert figures["accuracy"] >= 0.9
    tested = predictions(output_dir)
    assert 10 <= len(tested) <= 13
    assert str(broken) not in {row["path"] for row in tested}
    sources = [(row["label"], int(Path(row["path"]).stem.split()[1]) // 2) for row in tested]
    assert all(sources.count(source) == 2 for source in set(sources) - {("hum", 1)})
    assert {path.name for path in output_dir.iterdir()} == RESULTS


def test_urbansound8k(cache: Path, tmp_path: Path) -> None:
    data_dir = tiny_data.write_urbansound8k(tmp_path / "UrbanSound8K")
    programs.train(
        "--dataset=urbansound8k",
        f"--data_dir={data_dir}",
        "--evaluate=folds",
        "--pieces=1,2",
        "--mixup=1",
        *tiny_data.FLAGS,
        f"--output_dir={tmp_path / 'run'}",
        cache=cache,
    )
    figures = metrics(tmp_path / "run")
    assert figures["accuracy"] >= 0.95
    assert list(figures["per_fold"]) == ["fold 1", "fold 2"]
    assert figures["classes"] == ["whistle", "rattle", "hum"]
    assert figures["clips"] == 24
    for row in predictions(tmp_path / "run"):
        assert row["fold"].replace(" ", "") in row["path"]
    # Of windows heard in pieces too, as the flags say.
    model = tf.saved_model.load(str(tmp_path / "run" / "saved_model"))
    for label in tiny_data.CLASSES:
        path = tiny_data.write_clip(tmp_path / "unheard" / f"{label}.wav", label, 99)
        answer = model.signatures["wav"](wav=tf.constant([path.read_bytes()]))
        assert answer["label"].numpy()[0].decode() == label
    embedding = model.signatures["embedding"].structured_outputs["embedding"]
    assert embedding.shape[1] == 3 * 800


@pytest.mark.usefixtures("figures_alone")
def test_esc50(cache: Path, tmp_path: Path) -> None:
    data_dir = tiny_data.write_esc50(tmp_path / "ESC-50-master")
    programs.train(
        "--dataset=esc50",
        "--subset=esc10",
        f"--data_dir={data_dir}",
        "--evaluate=holdout",
        "--test_folds=2",
        *tiny_data.FLAGS,
        f"--output_dir={tmp_path / 'run'}",
        cache=cache,
    )
    figures = metrics(tmp_path / "run")
    assert figures["classes"] == ["hum", "rattle"]
    assert figures["accuracy"] >= 0.9
    assert list(figures["per_fold"]) == ["fold 2"]
    assert {row["fold"] for row in predictions(tmp_path / "run")} == {"fold 2"}


def test_background_and_unknown_classes(tiny_folders: Path, tiny_run: Run, tmp_path: Path) -> None:
    """Noise is a class of its own, whistles are never learned, and both are in the model."""
    for number in range(6):
        path = tmp_path / "quiet" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).normal(0, 0.01, 3 * tiny_data.RATE)
        soundfile.write(path, noise, tiny_data.RATE)
    outcome = programs.train(
        *tiny_run.flags,
        f"--background_dir={tmp_path / 'quiet'}",
        "--unknown_classes=whistle",
        f"--output_dir={tmp_path / 'run'}",
        cache=tiny_run.cache,
    )
    assert "66 recordings" in outcome.out
    figures = metrics(tmp_path / "run")
    assert figures["classes"] == ["hum", "rattle", "background"]
    assert figures["accuracy"] >= 0.9
    assert figures["unknown"]["classes"] == ["whistle"] and figures["unknown"]["clips"] == 20
    assert 0 <= figures["unknown"]["auroc"] <= 1
    rows = predictions(tmp_path / "run")
    assert len(rows) == 66
    truth = [row["label"] != "whistle" for row in rows]
    auroc = roc_auc_score(truth, [float(row["score"]) for row in rows])
    assert figures["unknown"]["auroc"] == pytest.approx(auroc)

    model = tf.saved_model.load(str(tmp_path / "run" / "saved_model"))
    assert [label.decode() for label in model.labels.numpy()] == ["hum", "rattle", "background"]
    suggested = figures["min_score"]
    assert float(model.min_score) == pytest.approx(suggested["suggested"])
    assert "of them of unknown classes" in suggested["why"]
    made = json.loads((tmp_path / "run/saved_model/assets.extra/model.json").read_text())
    assert made["metrics"]["min_score"] == suggested
    noise = np.random.default_rng(99).normal(0, 0.01, [1, 8000]).astype(np.float32)
    assert model(noise, tiny_data.RATE)["label"].numpy() == [b"background"]


@pytest.mark.parametrize(
    ("evaluate", "name"), [("random", "random split (leaky)"), ("folds", "folds (leaky)")]
)
def test_leaks_never_go_without_saying_so(
    tiny_run: Run, tiny_folders: Path, tmp_path: Path, evaluate: str, name: str
) -> None:
    rows = [
        (path.relative_to(tiny_folders), path.parent.name, int(path.stem) // 4, int(path.stem) % 2)
        for path in sorted(tiny_folders.rglob("*.wav"))
    ]
    columns = ["path", "label", "group", "fold"]
    table = tiny_data.write_table(tmp_path / "sounds.csv", columns, rows)
    outcome = programs.train(
        "--dataset=csv",
        f"--manifest={table}",
        f"--data_dir={tiny_folders}",
        f"--evaluate={evaluate}",
        *tiny_data.FLAGS,
        f"--output_dir={tmp_path / 'run'}",
        cache=tiny_run.cache,
    )
    figures = metrics(tmp_path / "run")
    assert figures["split"] == name and figures["leaked_fraction"] > 0.5
    said = f"{name}: {figures['leaked_fraction']:.1%} of tested recordings have a source"
    assert said in outcome.out
    assert "leaky" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_copies_are_joined_with_a_warning(
    tiny_run: Run, tiny_folders: Path, tmp_path: Path
) -> None:
    sounds = tmp_path / "sounds"
    shutil.copytree(tiny_folders, sounds)
    originals = sorted(sounds.rglob("*.wav"))
    for path in originals:
        shutil.copy(path, path.with_name(f"again {path.name}"))
    outcome = programs.train(
        "--dataset=folder",
        f"--data_dir={sounds}",
        "--evaluate=grouped",
        *tiny_data.FLAGS,
        f"--output_dir={tmp_path / 'run'}",
        cache=tiny_run.cache,
    )
    assert f"{len(originals)} recordings are copies of others" in outcome.err
    figures = metrics(tmp_path / "run")
    assert figures["sources"]["count"] == len(originals) == figures["clips"] / 2
    assert "those that share a content are one" in figures["sources"]["found"]
    assert figures["leaked_fraction"] == 0
