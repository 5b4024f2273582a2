"""Models as .tflite files, run without TensorFlow: any rate, at most a window, clear errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.errors import UserError
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.models.info import ModelInfo, read_info
from sound_pipeline.models.model import Model
from sound_pipeline.tflite.conversion import export_tflite
from sound_pipeline.tflite.model import LiteModel
from tests.e2e import programs
from tests.helpers import tiny_models

pytestmark = pytest.mark.slow

RATE = tiny_models.CONFIG.spectrogram.sample_rate_hz
SECONDS = tiny_models.CONFIG.windows.seconds


@pytest.fixture(scope="module")
def saved_model(loudness_model: Path) -> Path:
    return loudness_model


@pytest.fixture(scope="module")
def lite(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "tflite"
    paths = export_tflite(saved_model, folder, ["int8", "float32"])
    assert paths == [folder / "model_int8.tflite", folder / "model_float32.tflite"]
    assert sorted(folder.iterdir()) == sorted(paths)
    return paths[1]


def tone(rate: int, seconds: float = SECONDS) -> np.ndarray:
    """A tone that grows from quiet to loud: [samples]."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.47 * time / SECONDS * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_knows_what_it_is(saved_model: Path, lite: Path) -> None:
    assert LiteModel(lite).info == read_info(lite) == read_info(saved_model)
    assert read_info(lite) == ModelInfo(("quiet", "loud"), SECONDS, 0.0, tiny_models.CONFIG)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, 11027])
def test_sound_of_any_rate(saved_model: Path, lite: Path, rate: int) -> None:
    scores = LiteModel(lite).scores(tone(rate), rate)
    assert scores.shape == (2,) and scores.dtype == np.float32
    expected = Model(saved_model).scores(tone(rate), rate)
    assert 0.05 < expected[1] < 0.95, "a score that says nothing about the level"
    np.testing.assert_allclose(scores, expected, atol=1e-5 if rate == RATE else 0.01)


def test_an_offset_of_a_recorder_changes_nothing(lite: Path) -> None:
    model = LiteModel(lite)
    expected = model.scores(tone(RATE), RATE)
    np.testing.assert_allclose(model.scores(tone(RATE) + 0.3, RATE), expected, atol=1e-5)


def test_int8_of_a_model_without_a_spectrum(lite: Path) -> None:
    """No weights have to be kept as they are."""
    model = LiteModel(lite.with_name("model_int8.tflite"))
    for level, label in ((tiny_models.QUIET, 0), (tiny_models.LOUD, 1)):
        window = np.resize(np.float32([level, -level]), round(SECONDS * RATE))
        assert model.scores(window, RATE).argmax() == label


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.3])
def test_shorter_sound_is_padded_with_silence(lite: Path, seconds: float) -> None:
    model, short = LiteModel(lite), tone(RATE, seconds)
    padded = np.pad(short, (0, round(SECONDS * RATE) - len(short)))
    np.testing.assert_array_equal(model.scores(short, RATE), model.scores(padded, RATE))


def test_more_than_a_window_is_a_defect_of_the_caller(lite: Path) -> None:
    model = LiteModel(lite)
    rounded = np.pad(tone(RATE), (0, 2))
    np.testing.assert_array_equal(model.scores(rounded, RATE), model.scores(tone(RATE), RATE))
    with pytest.raises(ValueError, match="a window has 11025"):
        model.scores(np.pad(tone(RATE), (0, 3)), RATE)
    with pytest.raises(ValueError, match="a window has 11025"):
        model.scores(tone(2 * RATE, 1.01 * SECONDS), 2 * RATE)


def test_it_is_loaded_as_a_saved_model_is(lite: Path) -> None:
    with LoadingModel(lite, read_info(lite), 16000, threads=1) as loading:
        scores = loading.scores(tone(16000), 16000)  # waits
        np.testing.assert_array_equal(scores, LiteModel(lite).scores(tone(16000), 16000))
        with pytest.raises(UserError, match="makes no images"):
            loading.image(tone(16000), 16000)


def test_files_without_a_model_are_refused(lite: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; python -m sound_pipeline\.tflite"):
        read_info(tmp_path / "gone.tflite")
    content = lite.read_bytes()
    for number, part in enumerate([b"", content[: len(content) // 2], content[:-1000]]):
        damaged = tmp_path / f"{number}.tflite"
        damaged.write_bytes(part)
        with pytest.raises(UserError, match="cut off, or not made by sound_pipeline") as error:
            LiteModel(damaged)
        assert "\n" not in str(error.value)


def test_a_damaged_graph_is_refused(lite: Path, tmp_path: Path) -> None:
    content = lite.read_bytes()
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"x" * 1000 + content[1000:])
    with pytest.raises(UserError, match="does not load") as error:
        LiteModel(damaged)
    assert "\n" not in str(error.value)


def python_without(module: str, *words: str) -> programs.Outcome:
    """Runs Python where a module and all below it can't be imported."""
    code = f"""
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        check=False,
        cwd=programs.ROOT,
        text=True,
        timeout=120,
    )
    return programs.Outcome(done.returncode, done.stdout, done.stderr)


def test_a_missing_library_is_named(lite: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(RATE), RATE)
    words = (f"--model={lite}", f"--input={tmp_path / 'tone.wav'}")
    outcome = python_without("ai_edge_litert", "serve_mic.py", *words)
    programs.assert_refused(outcome, "serve_mic.py", "pip install ai-edge-litert")


def test_the_runner_imports_no_tensorflow(lite: Path) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from sound_pipeline.tflite.model import LiteModel
LiteModel(Path(sys.argv[1])).scores(np.zeros(100, np.float32), 48000)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(lite)],
        capture_output=True,
        check=True,
        cwd=programs.ROOT,
        text=True,
        timeout=60,
    )
    imported = set(done.stdout.split())
    assert "ai_edge_litert" in imported
    assert imported.isdisjoint({"tensorflow", "tf_keras", "matplotlib", "scipy"})
    assert done.stderr == "", "chatter of libraries among the messages"
