"""What `make demo` does: synthetic sounds, a model of them, recordings it has never heard."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.demo_data.sounds import CLASS_NAMES
from tests.e2e import environments, programs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo_data(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "demo_data"
    outcome = programs.run_here("-m", "sound_pipeline.demo_data", str(directory), cache=cache)
    assert outcome.status == 0, outcome.err
    return directory


@pytest.fixture(scope="module")
def demo_run(demo_data: Path, cache: Path) -> Path:
    output_dir = demo_data.with_name("run")
    programs.train(
        "--flagfile=configs/demo.cfg",
        f"--data_dir={demo_data}",
        f"--output_dir={output_dir}",
        cache=cache,
    )
    return output_dir


def accuracy(output_dir: Path) -> float:
    figures = json.loads((output_dir / "metrics.json").read_text())
    print(f"\n{output_dir.name}: accuracy {figures['accuracy']:.4f}")
    return float(figures["accuracy"])


def test_accuracy(demo_run: Path) -> None:
    assert accuracy(demo_run) >= 0.90


def test_recordings_held_out_are_named(demo_data: Path, demo_run: Path, cache: Path) -> None:
    heldout = demo_data / "heldout"
    outcome = programs.run_here(
        "serve_mic.py", f"--model={demo_run / 'saved_model'}", f"--input={heldout}", cache=cache
    )
    assert outcome.status == 0
    assert outcome.err.startswith("captured 1:20 of sound, lost 0.0 s\n")
    lasted: dict[str, Counter[str]] = {}
    for line in outcome.out.splitlines():
        found = re.fullmatch(r".*/(.+\.wav)  (\d\.\d)-(\d\.\d) s  (.+)  [01]\.\d\d", line)
        assert found, line
        name, start, end, label = found.groups()
        lasted.setdefault(name, Counter())[label] += float(end) - float(start)
    assert len(lasted) == len(list(heldout.iterdir())) == 20
    right = sum(
        name.startswith(f"{labels.most_common(1)[0][0]}-") for name, labels in lasted.items()
    )
    print(f"\nheld-out recordings named right: {right} of 20")
    assert right >= 18


@pytest.mark.usefixtures("figures_alone")
def test_shuffled_labels_fall_to_chance(
    demo_data: Path, demo_run: Path, cache: Path, tmp_path: Path
) -> None:
    """The same recordings, so all embeddings are there already: `demo_run` made them."""
    assert demo_run.is_dir()
    metadata = Path("metadata", "UrbanSound8K.csv")
    with (demo_data / metadata).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    class_ids = np.random.default_rng(0).permutation([int(row["classID"]) for row in rows])
    (tmp_path / "shuffled" / "metadata").mkdir(parents=True)
    (tmp_path / "shuffled" / "audio").symlink_to(demo_data / "audio")
    with (tmp_path / "shuffled" / metadata).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row, class_id in zip(rows, class_ids, strict=True):
            writer.writerow({**row, "classID": class_id, "class": CLASS_NAMES[class_id]})
    outcome = programs.train(
        "--flagfile=configs/demo.cfg",
        f"--data_dir={tmp_path / 'shuffled'}",
        "--evaluate=holdout",
        "--test_folds=8,9,10",
        f"--output_dir={tmp_path / 'run with shuffled labels'}",
        cache=cache,
    )
    assert "400 recordings, 400 embedded before" in outcome.err
    # One in ten; of 120 guesses, over 20 are right less often than once in 50.
    assert accuracy(tmp_path / "run with shuffled labels") < 0.18


def test_the_readme_says_how_others_use_the_model(
    demo_data: Path, demo_run: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its lines as they stand, after `make demo`, by somebody who has TensorFlow alone."""
    readme = (programs.ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Use the model in other code\n")[2].partition("\n## ")[0]
    lines = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(demo_run)
    (tmp_path / "demo_data").symlink_to(demo_data)
    python = environments.bare_tensorflow(environments.NEWEST, tmp_path_factory)
    said = environments.call(str(python), "-c", lines, cwd=tmp_path)
    assert re.fullmatch(r"dog_bark (1\.0|0\.\d+)\n", said)
