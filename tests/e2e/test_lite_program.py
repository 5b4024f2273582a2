"""A .tflite model from train.py to serve_mic.py on a machine that has no TensorFlow."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.tflite.model import LiteModel
from tests.e2e import environments, programs, tiny_data
from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow

SMALL_DEVICE = (
    *("absl-py", "ai-edge-litert", "numpy", "rich", "sounddevice", "soundfile", "tqdm"),
    "webrtcvad-wheels",
)
"""What docs/small_devices.md tells people to install."""


@pytest.fixture(scope="module")
def small_python() -> Path:
    return environments.installed("small-device", SMALL_DEVICE)


@pytest.fixture(scope="module")
def lite_files(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the converter makes of a run's model."""
    folder = tmp_path_factory.mktemp("lite") / "new"
    words = ("-m", "sound_pipeline.tflite", str(tiny_run.output_dir / "saved_model"))
    flags = ("--formats=int8,float32", f"--output_dir={folder}")
    outcome = programs.run(*words, *flags, cache=folder)
    assert outcome.status == 0 and outcome.err == ""
    paths = [folder / f"model_{kind}.tflite" for kind in ("int8", "float32")]
    lines = [f"{path}  {path.stat().st_size / 1e6:.1f} MB" for path in paths]
    assert outcome.out.splitlines() == lines
    assert sorted(folder.iterdir()) == sorted(paths)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sounds with quiet between them, in stereo, at a rate that is not the model's."""
    folder = tmp_path_factory.mktemp("recording")
    random = np.random.default_rng(0)
    parts = []
    for seed, label in enumerate(tiny_data.CLASSES):
        path = tiny_data.write_clip(folder / "one.wav", label, 1000 + seed, seconds=1.5)
        parts += [random.normal(0, 1e-4, tiny_data.RATE), soundfile.read(path)[0]]
    sound = np.concatenate([*parts, random.normal(0, 1e-4, tiny_data.RATE)])
    soundfile.write(folder / "three.flac", np.stack([sound, sound], 1), tiny_data.RATE)
    return folder / "three.flac"


def words_of(model: Path, recording: Path, *flags: str) -> tuple[str, ...]:
    """A call of serve_mic.py on a recording."""
    return (
        *("serve_mic.py", f"--model={model}", f"--input={recording}"),
        *("--format=csv", "--preroll_seconds=0.1", *flags),
    )


def serve(python: Path, *words: str) -> programs.Outcome:
    """What another interpreter says."""
    done = subprocess.run(
        [str(python), *words],
        capture_output=True,
        check=False,
        cwd=programs.ROOT,
        env=programs.environment(Path(os.devnull)),
        text=True,
        timeout=300,
    )
    return programs.Outcome(done.returncode, done.stdout, done.stderr)


def events(outcome: programs.Outcome) -> list[dict[str, str]]:
    assert outcome.status == 0, outcome.err
    return list(csv.DictReader(outcome.out.splitlines()))


def test_a_small_device_hears_what_this_one_hears(
    small_python: Path, tiny_run: Run, lite_files: Path, recording: Path, tmp_path: Path
) -> None:
    absent = [str(small_python), "-c", "import tensorflow"]
    assert subprocess.run(absent, capture_output=True, check=False).returncode == 1
    saved_model = tiny_run.output_dir / "saved_model"
    words = words_of(saved_model, recording)
    expected = events(programs.run_here(*words, cache=Path(os.devnull)))
    assert len({event["label"] for event in expected}) >= 2
    for kind in ("float32", "int8"):
        model = lite_files / f"model_{kind}.tflite"
        saved = tmp_path / kind
        words = words_of(model, recording, "--threads=1", f"--save_events={saved}")
        outcome = serve(small_python, *words)
        assert outcome.err.startswith("captured 0:08 of sound"), outcome.err
        found = events(outcome)
        assert [event["label"] for event in found] == [event["label"] for event in expected]
        for one, other in zip(found, expected, strict=True):
            for name in ("start_seconds", "end_seconds"):
                assert float(one[name]) == pytest.approx(float(other[name]), abs=0.02)
            assert float(one["score"]) == pytest.approx(float(other["score"]), abs=0.1)
        records = [json.loads(line) for line in (saved / "events.jsonl").read_text().splitlines()]
        assert [record["label"] for record in records] == [event["label"] for event in found]
        for record in records:
            assert record["picture"] is None and (saved / record["audio"]).is_file()
        assert len(list(saved.iterdir())) == len(records) + 1


def test_a_recording_that_can_not_be_read(
    small_python: Path, lite_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_bytes(tiny_data.BROKEN)
    words = words_of(lite_files / "model_int8.tflite", tmp_path / "bad.wav")
    outcome = serve(small_python, *words)
    assert outcome.status == 1
    skipped, count, *_ = outcome.err.splitlines()
    assert skipped.startswith(f"skipped {tmp_path / 'bad.wav'}: ")
    assert count == "1 of 1 recordings can't be read"


def test_threads_are_for_tflite_models(tiny_run: Run, recording: Path) -> None:
    words = words_of(tiny_run.output_dir / "saved_model", recording, "--threads=2")
    outcome = programs.run_here(*words, cache=Path(os.devnull))
    programs.assert_refused(outcome, "serve_mic.py", "--threads", ".tflite")


@pytest.mark.parametrize("flag", ["int4", "float32,int16"])
def test_a_format_that_there_is_not(tmp_path: Path, flag: str) -> None:
    words = ("--dataset=folder", "--data_dir=gone", f"--output_dir={tmp_path / 'run'}")
    outcome = programs.run_here("train.py", *words, f"--export_tflite={flag}", cache=tmp_path)
    programs.assert_refused(
        outcome, "train.py", f"--export_tflite={flag}", "float32, float16, int8"
    )


def test_what_the_converter_refuses(lite_files: Path, tmp_path: Path) -> None:
    for wrong in ((), ("a", "b")):
        outcome = programs.run_here("-m", "sound_pipeline.tflite", *wrong, cache=tmp_path)
        programs.assert_refused(outcome, "sound_pipeline.tflite", "name one exported model")
    outcome = programs.run_here("-m", "sound_pipeline.tflite", str(lite_files), cache=tmp_path)
    programs.assert_refused(outcome, "sound_pipeline.tflite", "holds no SavedModel")
    outcome = programs.run_here(
        "-m", "sound_pipeline.tflite", "gone", "--formats=x", cache=tmp_path
    )
    programs.assert_refused(outcome, "sound_pipeline.tflite", "--formats=x", "float16")


CLASSIFY = """
import json, sys
import soundfile
from mediapipe.tasks import python
from mediapipe.tasks.python import audio
from mediapipe.tasks.python.components.containers import AudioData

model, recording = sys.argv[1:]
base = python.BaseOptions(model_asset_path=model)
classifier = audio.AudioClassifier.create_from_options(audio.AudioClassifierOptions(base))
answers = classifier.classify(AudioData.create_from_array(*soundfile.read(recording, dtype="f4")))
scores = answers[0].classifications[0].categories
print(json.dumps({category.category_name: category.score for category in scores}))
"""


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_standard_tool_says_the_same(lite_files: Path, tmp_path: Path, kind: str) -> None:
    """MediaPipe finds rate, window and labels in the file's metadata."""
    path = lite_files / f"model_{kind}.tflite"
    model = LiteModel(path)
    python = environments.installed("mediapipe-1.2.2", ["mediapipe==1.2.2", "soundfile"])
    random = np.random.default_rng(0)
    sound = (0.1 * random.standard_normal(11025)).astype(np.float32)
    soundfile.write(tmp_path / "sound.wav", sound, 22050, subtype="FLOAT")
    (tmp_path / "classify.py").write_text(CLASSIFY)
    words = [python, tmp_path / "classify.py", path, tmp_path / "sound.wav"]
    done = subprocess.run(
        list(map(str, words)), capture_output=True, check=False, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    expected = dict(zip(model.info.labels, map(float, model.scores(sound, 22050)), strict=True))
    # Scores below the minimum in the metadata are left out.
    shown = {name: score for name, score in expected.items() if score >= model.info.min_score}
    assert shown and json.loads(done.stdout) == pytest.approx(shown, abs=1e-4)
    assert "unaligned" not in done.stderr
