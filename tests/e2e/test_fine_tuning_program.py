"""train.py --fine_tune, as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf

from sound_pipeline.config import RunConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.system.json_config import from_json
from tests.e2e import programs, tiny_data
from tests.helpers.trainable_modules import save_trainable_module

pytestmark = pytest.mark.slow


def test_a_fine_tuned_model(tmp_path: Path) -> None:
    sounds = tiny_data.write_folders(tmp_path / "sounds", clips_a_class=8)
    module = save_trainable_module(tmp_path / "module")
    output_dir = tmp_path / "run"
    flags = (
        "--dataset=folder",
        f"--data_dir={sounds}",
        f"--extractor={module}",
        "--evaluate=holdout",
        "--window_seconds=0.5",
        "--beginning_seconds=",
        "--precision=float32",
        "--fine_tune",
        "--fine_tune_epochs=2",
        "--fine_tune_batch_size=4",
        "--fine_tune_learning_rate=0.003",
        "--fine_tune_from=norm_1",
        "--seed=3",
        "--strategy=mirrored",
        f"--output_dir={output_dir}",
    )
    outcome = programs.train(*flags, cache=tmp_path)
    assert outcome.out.startswith("accuracy ") and outcome.out.count("\n") == 1
    assert "final model: fine-tuned for" in outcome.err and "fine-tuning: 100%" in outcome.err
    config = from_json(RunConfig, (output_dir / "config.json").read_text())
    assert config.fine_tune == FineTuneConfig(
        epochs=2, batch_size=4, learning_rate=0.003, first_variable="norm_1", seed=3
    )
    assert set(json.loads((output_dir / "metrics.json").read_text())["fine_tuning"]) == {
        "holdout",
        "final model",
    }
    assert "final model, fine-tuning" in (output_dir / "report.html").read_text()
    model = tf.saved_model.load(str(output_dir / "saved_model"))
    answer = model(tf.zeros([1, 8000]), 16000)
    assert answer["scores"].shape == [1, 3]


@pytest.mark.nightly
def test_what_can_not_be_is_refused_in_one_line(tmp_path: Path) -> None:
    sounds = tiny_data.write_folders(tmp_path / "sounds", clips_a_class=4)
    common = ("train.py", "--dataset=folder", f"--data_dir={sounds}", "--extractor=gabor")
    common += ("--evaluate=grouped", "--folds=2", f"--output_dir={tmp_path / 'run'}")
    gabor = programs.run_here(*common, "--fine_tune", cache=tmp_path)
    programs.assert_refused(gabor, "train.py", "--fine_tune", "gabor", "trainable_variables")
    alone = programs.run_here(*common, "--fine_tune", "--strategy=multi_worker", cache=tmp_path)
    programs.assert_refused(alone, "train.py", "--strategy=multi_worker", "TF_CONFIG")
    assert not (tmp_path / "run").exists()
