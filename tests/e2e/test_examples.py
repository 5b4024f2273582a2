"""The programs in examples/, run as a reader runs them."""

from __future__ import annotations

import json
import re
import runpy
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.e2e import environments, programs
from tests.helpers import tiny_models

pytestmark = pytest.mark.slow

EXAMPLES = programs.ROOT / "examples"
RUN_ELSEWHERE = {"serving_client.py", "serving_client_grpc.py", "serving_warmup.py"}
"""By test_serving.py."""
NEEDS_MORE = {"in_tf_keras.py"}
RATE = 16000

# TensorFlow takes seconds to import: once for all.
RUN_ALL = """
import contextlib, io, json, runpy, sys
said = {}
for words in json.loads(sys.argv[1]):
    sys.argv = words
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_path(words[0], run_name="__main__")
    said[words[0]] = out.getvalue()
print(json.dumps(said))
"""


def write_sound(path: Path, level: float, shape: np.ndarray, seed: int) -> None:
    """Noise of a level (root mean square) under an envelope, in 16 bits."""
    samples = np.random.default_rng(seed).normal(0, level, len(shape)) * shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def model(loudness_model: Path) -> Path:
    """A model that tells quiet sounds from loud ones."""
    return loudness_model


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a loud and a quiet sound, and one of sounds that rise and that fall."""
    folder = tmp_path_factory.mktemp("sounds")
    steady = np.ones(RATE // 2)
    write_sound(folder / "levels" / "a.wav", tiny_models.LOUD, steady, 0)
    write_sound(folder / "levels" / "b.wav", tiny_models.QUIET, steady, 1)
    for number in range(12):
        rising = np.linspace(0, 1, RATE // 2)
        level = tiny_models.QUIET * (1 + number)
        write_sound(folder / "shapes" / "rising" / f"{number:02}.wav", level, rising, 2 + number)
        write_sound(
            folder / "shapes" / "falling" / f"{number:02}.wav", level, rising[::-1], 20 + number
        )
    return folder


@pytest.fixture(scope="module")
def said(
    model: Path, sounds: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """The lines that each example prints where there is nothing but the newest TensorFlow."""
    levels = sounds / "levels"
    arguments = {
        "in_a_dataset.py": [levels],
        "in_keras.py": [],
        "load_and_label.py": [levels / "a.wav", levels / "b.wav"],
        "transfer_embeddings.py": [sounds / "shapes"],
    }
    words = [
        [str(EXAMPLES / name), str(model), *map(str, paths)] for name, paths in arguments.items()
    ]
    python = environments.bare_tensorflow(environments.NEWEST, tmp_path_factory)
    out = environments.call(str(python), "-c", RUN_ALL, json.dumps(words))
    texts = json.loads(out.splitlines()[-1])
    return {Path(path).name: text.splitlines() for path, text in texts.items()}


def test_every_example_is_run(said: dict[str, list[str]]) -> None:
    assert said.keys() | RUN_ELSEWHERE | NEEDS_MORE == {path.name for path in EXAMPLES.glob("*.py")}


def test_load_and_label(said: dict[str, list[str]], sounds: Path) -> None:
    loud, quiet = said["load_and_label.py"]
    assert re.fullmatch(rf"{sounds}/levels/a\.wav  loud  (1\.00|0\.[5-9]\d)", loud)
    assert re.fullmatch(rf"{sounds}/levels/b\.wav  quiet  (1\.00|0\.[5-9]\d)", quiet)


def test_in_a_dataset(said: dict[str, list[str]], sounds: Path) -> None:
    head, loud, quiet = said["in_a_dataset.py"]
    assert head == "path,label,score"
    assert loud.startswith(f"{sounds}/levels/a.wav,loud,")
    assert quiet.startswith(f"{sounds}/levels/b.wav,quiet,")


def test_in_keras(said: dict[str, list[str]]) -> None:
    """Its sounds get louder one by one; 0 is quiet, 1 loud."""
    assert said["in_keras.py"] == ["own rate: [0 0 0 1]", "16000 Hz: [0 0 0 1]"]


def test_transfer_embeddings(said: dict[str, list[str]]) -> None:
    """The model itself can't tell them apart: both are as loud."""
    assert said["transfer_embeddings.py"] == ["accuracy 1.00 on 6 files held out of 24"]


def test_in_tf_keras(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = str(EXAMPLES / "in_tf_keras.py")
    monkeypatch.setattr(sys, "argv", [program, str(model)])
    runpy.run_path(program, run_name="__main__")
    assert capsys.readouterr().out.splitlines() == ["labelled: [0 0 0 1]", "embedded: (4, 10)"]
