"""An exported model in environments that hold a TensorFlow, old or new, and nothing else."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf

from tests.e2e import environments
from tests.e2e.conftest import GaborModel
from tests.helpers import tiny_models

pytestmark = pytest.mark.slow

RATE = 16000
SAME = 1e-4
OUTSIDER = Path(__file__).with_name("outsider.py")


class Case(NamedTuple):
    """An exported model, sounds for it, and what it must say of them."""

    model: Path
    sounds: Path
    expected: dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def case(gabor_model: GaborModel, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """What the classifier in memory says, for every way of asking the exported model."""
    folder = tmp_path_factory.mktemp("outsider")
    classifier = gabor_model.classifier
    random = np.random.default_rng(0)
    waveform = (0.2 * random.standard_normal([4, 15000])).astype(np.float32)
    waveform[1] *= np.linspace(0.1, 1, 15000)
    waveform[2] = 0.3 * np.sin(np.arange(15000) * 0.5)
    file = BytesIO()
    soundfile.write(file, waveform[0], RATE, format="WAV", subtype="FLOAT")
    wav = np.frombuffer(file.getvalue(), np.uint8)
    np.savez(folder / "sounds.npz", waveform=waveform, rate=RATE, wav=wav)

    given, rate = tf.constant(waveform), tf.constant(RATE)
    scores = classifier.scores(given, rate).numpy()
    assert np.ptp(scores, axis=0).max() > 100 * SAME, "rows too alike to be told apart"
    own_rate = classifier.scores(given, classifier.sample_rate).numpy()
    assert np.abs(scores - own_rate).max() > 100 * SAME
    here = tf.saved_model.load(str(gabor_model.directory)).signatures["spectrogram"]
    window = round(tiny_models.CONFIG.windows.seconds * RATE)
    elsewhere = ("called", "with_rate", "in_a_function", "in_a_dataset")
    expected = {
        **dict.fromkeys((*elsewhere, "part_of_another", "mirrored", "on_one_device"), scores),
        "in_threads": np.stack([scores] * 4),
        "own_rate": own_rate,
        "keras_at_own_rate": own_rate,
        "wav": scores[:1],
        "recording": classifier.window_scores(given[0], rate)[0].numpy(),
        "windows": classifier.scores(given[:, :window], rate).numpy(),
        "embedding": classifier.embedding(given, rate).numpy(),
        "spectrogram": here(waveform=given, sample_rate=rate)["image"].numpy(),
    }
    return Case(gabor_model.directory, folder / "sounds.npz", expected)


def assert_same_answers(python: Path, version: str, case: Case, tmp_path: Path) -> None:
    words = (python, OUTSIDER, case.model, case.sounds, tmp_path / "answers.npz")
    environments.call(*map(str, words))
    with np.load(tmp_path / "answers.npz") as answers:
        found = dict(answers)
    assert str(found.pop("version")) == version
    assert list(found.pop("labels")) == list(tiny_models.LABELS)
    assert found.keys() == case.expected.keys()
    image = found.pop("spectrogram").astype(int)
    differs = np.abs(image - case.expected["spectrogram"]).max(axis=-1)
    assert (differs > 16).mean() < 0.001
    for name, value in found.items():
        tolerance = 1e-3 if name == "embedding" else SAME
        np.testing.assert_allclose(value, case.expected[name], atol=tolerance, err_msg=name)


# Of all, the newest is the likeliest to answer otherwise: the others are asked in the nightly run.
@pytest.mark.parametrize(
    "version",
    [
        *(
            pytest.param(version, marks=pytest.mark.nightly)
            for version in environments.VERSIONS[:-1]
        ),
        environments.VERSIONS[-1],
    ],
)
def test_gives_the_same_answers(
    version: str, case: Case, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    python = environments.bare_tensorflow(version, tmp_path_factory)
    assert_same_answers(python, version, case, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("version", environments.VERSIONS)
def test_gives_the_same_answers_where_just_installed(
    version: str, case: Case, tmp_path: Path
) -> None:
    """Each environment made anew, with what its TensorFlow requires today."""
    python = environments.installed_tensorflow(version, tmp_path / "envs")
    assert_same_answers(python, version, case, tmp_path)
