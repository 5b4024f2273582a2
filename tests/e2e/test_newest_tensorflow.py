"""An exported model in an environment that holds the newest TensorFlow and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.export import export_model
from sound_pipeline.extractors import load_extractor
from tests import tiny_models

pytestmark = pytest.mark.slow

VERSION = "2.21.0"
RATE = 16000
USE = """
import sys

import numpy as np
import tensorflow as tf

directory, sounds, answers = sys.argv[1:]
assert tf.__version__ == "VERSION", tf.__version__
with np.load(sounds) as given:
    waveform, wav = given["waveform"], given["wav"].tobytes()
model = tf.saved_model.load(directory)
one = {"waveform": tf.constant(waveform[0]), "sample_rate": tf.constant(RATE)}
batch = {"waveform": tf.constant(waveform), "sample_rate": tf.constant(RATE)}
np.savez(
    answers,
    called=model(waveform, RATE)["scores"],
    own_rate=model.signatures["serving_default"](waveform=batch["waveform"])["scores"],
    with_rate=model.signatures["with_rate"](**batch)["scores"],
    wav=model.signatures["wav"](wav=tf.constant([wav]))["scores"],
    recording=model.signatures["recording"](**one)["scores"],
    embedding=model.signatures["embedding"](**batch)["embedding"],
    spectrogram=model.signatures["spectrogram"](**batch)["image"],
    labels=[label.decode() for label in model.labels.numpy()],
)
foreign = {"sound_pipeline", "tensorflow_io", "tensorflow_hub", "tf_keras"} & set(sys.modules)
assert not foreign, foreign
""".replace("VERSION", VERSION).replace("RATE", str(RATE))


@pytest.fixture(scope="module")
def bare_python() -> Path:
    """An interpreter with that TensorFlow; the environment is made on demand and kept."""
    envs = Path(os.environ.get("SOUND_PIPELINE_ENVS", "~/.cache/sound_pipeline/envs")).expanduser()
    version = "{}.{}".format(*sys.version_info)
    environment = envs / f"tensorflow-{VERSION}-py{version}"
    place = Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python")
    if not environment.is_dir():
        envs.mkdir(parents=True, exist_ok=True)
        # Made aside: what has its final name is whole, even if two make it at once.
        aside = Path(tempfile.mkdtemp(prefix=f"{environment.name}-unfinished-", dir=envs))
        try:
            call(sys.executable, "-m", "venv", str(aside))
            packages = f"tensorflow=={VERSION}"
            call(str(aside / place), "-m", "pip", "install", "--quiet", packages)
            if not environment.is_dir():
                aside.rename(environment)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return environment / place


def call(*words: str) -> None:
    """Runs a command outside the project, so that nothing of it can be imported."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            cwd=elsewhere,
            env={**kept, "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, f"{' '.join(words[:4])}: {done.stderr[-2000:]}"


def test_gives_the_same_answers(bare_python: Path, tmp_path: Path) -> None:
    classifier = tiny_models.random_classifier(load_extractor("gabor", tiny_models.CONFIG))
    export_model(classifier, tmp_path / "saved_model", {})
    random = np.random.default_rng(0)
    waveform = (0.2 * random.standard_normal([2, 15000])).astype(np.float32)
    waveform[1] *= np.linspace(0.1, 1, 15000)
    file = BytesIO()
    soundfile.write(file, waveform[0], RATE, format="WAV", subtype="FLOAT")
    wav = np.frombuffer(file.getvalue(), np.uint8)
    np.savez(tmp_path / "sounds.npz", waveform=waveform, wav=wav)
    (tmp_path / "use.py").write_text(USE)
    words = [tmp_path / name for name in ("use.py", "saved_model", "sounds.npz", "answers.npz")]
    call(str(bare_python), *map(str, words))

    given, rate = tf.constant(waveform), tf.constant(RATE)
    scores = classifier.scores(given, rate).numpy()
    expected = {
        "called": scores,
        "own_rate": classifier.scores(given, classifier.sample_rate),
        "with_rate": scores,
        "wav": scores[:1],
        "recording": classifier.window_scores(given[0], rate)[0],
        "embedding": classifier.embedding(given, rate),
    }
    assert np.abs(scores[0] - scores[1]).max() > 0.01
    with np.load(tmp_path / "answers.npz") as answers:
        for name, value in expected.items():
            tolerance = 1e-3 if name == "embedding" else 1e-4
            np.testing.assert_allclose(answers[name], value, atol=tolerance, err_msg=name)
        assert list(answers["labels"]) == list(tiny_models.LABELS)
        here = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["spectrogram"]
        image = here(waveform=given, sample_rate=rate)["image"].numpy().astype(int)
        assert (np.abs(answers["spectrogram"] - image).max(axis=-1) > 16).mean() < 0.001
