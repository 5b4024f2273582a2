"""What an exported model says in a process of its own, beside what its classifier says here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model
from tests.helpers import sounds


def check_export(classifier: SoundClassifier, directory: Path) -> None:
    """A process without this package gets what the classifier says, from all signatures."""
    export_model(classifier, directory / "model", {})
    rate_hz = 22050
    sound = np.stack([sounds.noise(30000, 0.2), sounds.chirp(30000, rate_hz, 9000)])
    np.save(directory / "sound.npy", sound)
    sounds.write_wav(directory / "sound.wav", sound[0], rate_hz)
    program = """
import sys, numpy as np, tensorflow as tf
model, sound = tf.saved_model.load("model"), np.load("sound.npy")
assert not any(name.startswith("sound_pipeline") for name in sys.modules)
functions, rate = model.signatures, tf.constant(22050)
window = functions["window"].structured_input_signature[1]["waveform"].shape[1]
wave = tf.constant(sound)
answers = {
    "called": model(wave, rate)["scores"],
    "serving_default": functions["serving_default"](waveform=wave)["scores"],
    "with_rate": functions["with_rate"](waveform=wave, sample_rate=rate)["scores"],
    "embedding": functions["embedding"](waveform=wave, sample_rate=rate)["embedding"],
    "recording": functions["recording"](waveform=wave[0], sample_rate=rate)["scores"],
    "wav": functions["wav"](wav=tf.constant([open("sound.wav", "rb").read()]))["scores"],
    "windows": functions["windows"](waveform=wave[:, :window], sample_rate=rate)["scores"],
    "window": functions["window"](waveform=wave[:1, :window])["scores"],
    "spectrogram": functions["spectrogram"](waveform=wave, sample_rate=rate)["image"],
    "at_48000": functions["with_rate"](waveform=wave, sample_rate=tf.constant(48000))["scores"],
}
np.savez("answers.npz", **answers)
"""
    subprocess.run(
        [sys.executable, "-c", program], cwd=directory, check=True, timeout=120, env=_environment()
    )
    answers = np.load(directory / "answers.npz")
    expected = classifier.scores(sound, tf.constant(rate_hz)).numpy()
    for name in ("called", "serving_default", "with_rate"):
        np.testing.assert_allclose(answers[name], expected, atol=2e-5)
    np.testing.assert_allclose(answers["wav"], expected[:1], atol=2e-5)
    np.testing.assert_allclose(
        answers["recording"],
        classifier.window_scores(sound[0], tf.constant(rate_hz))[0],
        atol=2e-5,
    )
    np.testing.assert_allclose(
        answers["embedding"],
        classifier.embedding(sound, tf.constant(rate_hz)),
        rtol=1e-3,
        atol=1e-4,
    )
    np.testing.assert_allclose(
        answers["at_48000"], classifier.scores(sound, tf.constant(48000)), atol=2e-5
    )
    samples = round(classifier.config.windows.seconds * rate_hz)
    alone = classifier.scores(sound[:, :samples], tf.constant(rate_hz))
    np.testing.assert_allclose(answers["windows"], alone, atol=2e-5)
    np.testing.assert_allclose(
        answers["window"], classifier.full_window_scores(sound[:1, :samples]), atol=2e-5
    )
    assert answers["spectrogram"].shape == (2, 299, 299, 3)
    assert np.ptp(answers["spectrogram"]) > 100


def _environment() -> dict[str, str]:
    words = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    words.pop("PYTHONPATH", None)
    return words
