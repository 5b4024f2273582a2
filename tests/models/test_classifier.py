"""The classifier: one answer for any waveform, the same however it is put."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.extractors import base
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.windows import split_windows
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import TrainingExamples, fit_head
from sound_pipeline.models.classifier import SoundClassifier
from tests.helpers.sound_folders import CLASSES, RATE_HZ, SHORT, clip
from tests.helpers.sounds import noise, tone

SEEDS_LEARNED = range(10)


@pytest.fixture(scope="module")
def classifier() -> SoundClassifier:
    """Trained on thirty clips of half a second."""
    extractor = GaborExtractor(SHORT)
    sounds = np.stack([clip(label, seed) for label in CLASSES for seed in SEEDS_LEARNED])
    embeddings = extractor(extractor.prepare(tf.constant(sounds), tf.constant(RATE_HZ))).numpy()
    labels = np.repeat(np.arange(3, dtype=np.int32), len(SEEDS_LEARNED))
    training = TrainingExamples(embeddings, labels, np.ones(len(labels), np.float32))
    head = fit_head(training, None, 3, HeadConfig(epochs=60)).head
    return SoundClassifier(extractor, head, CLASSES, SHORT)


def scores_of(
    classifier: SoundClassifier, waveforms: np.ndarray, rate_hz: int = RATE_HZ
) -> np.ndarray:
    scores = classifier.scores(tf.constant(waveforms, tf.float32), tf.constant(rate_hz)).numpy()
    assert scores.shape == (len(waveforms), 3) and scores.dtype == np.float32
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    return scores


def combined(window_scores: np.ndarray) -> np.ndarray:
    """The mean of log-probabilities, normalised."""
    product = np.exp(np.log(window_scores).mean(axis=0))
    return product / product.sum()


def three_parts() -> np.ndarray:
    """1.75 s of sound, 1.5 s of near silence, 0.8 s of another sound."""
    quiet = noise(24000, 1e-5)
    return np.concatenate([clip("hum", 50, 1.75), quiet, clip("whistle", 50, 0.8)])


def test_says_what_it_is_and_hears(classifier: SoundClassifier) -> None:
    assert [label.decode() for label in classifier.labels.numpy()] == list(CLASSES)
    assert classifier.sample_rate.numpy() == SHORT.spectrogram.sample_rate_hz == 22050
    assert classifier.window_seconds.numpy() == 0.5


def test_knows_the_sounds_it_learned(classifier: SoundClassifier) -> None:
    unheard = np.stack([clip(label, seed) for label in CLASSES for seed in range(100, 104)])
    scores = scores_of(classifier, unheard)
    assert scores.argmax(axis=1).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert scores.max(axis=1).min() > 0.6


def test_a_batch_is_its_recordings_one_by_one(classifier: SoundClassifier) -> None:
    parts = three_parts()
    batch = np.stack([parts, parts[::-1], clip("noise", 60, len(parts) / RATE_HZ), 0 * parts])
    together = scores_of(classifier, batch)
    for row, waveform in zip(together, batch, strict=True):
        np.testing.assert_allclose(row, scores_of(classifier, waveform[None])[0], atol=1e-4)
    embeddings = classifier.embedding(tf.constant(batch), tf.constant(RATE_HZ)).numpy()
    assert embeddings.shape == (4, classifier.extractor.embedding_size)
    alone = classifier.embedding(tf.constant(batch[1:2]), tf.constant(RATE_HZ)).numpy()
    np.testing.assert_allclose(embeddings[1:2], alone, atol=1e-3)


def test_a_long_recording_gets_the_mean_of_its_audible_windows(
    classifier: SoundClassifier,
) -> None:
    waveform = three_parts()
    by_window, starts = classifier.window_scores(tf.constant(waveform), tf.constant(RATE_HZ))
    windows = split_windows(tf.constant(waveform[None]), tf.constant(RATE_HZ), SHORT)
    audible = windows.audible[0].numpy()
    assert 3 <= audible.sum() < len(audible) == len(by_window)
    np.testing.assert_allclose(starts, windows.starts[0].numpy() / RATE_HZ, rtol=1e-6)
    assert starts.dtype == tf.float32
    np.testing.assert_allclose(
        scores_of(classifier, waveform[None])[0], combined(by_window.numpy()[audible]), atol=1e-4
    )
    embedding = classifier.embedding(tf.constant(waveform[None]), tf.constant(RATE_HZ)).numpy()
    prepared = classifier.extractor.prepare(windows.waveform[0][audible], tf.constant(RATE_HZ))
    expected = classifier.extractor(prepared).numpy().mean(axis=0)
    np.testing.assert_allclose(embedding[0], expected, atol=1e-3)
    # A window is scored as a recording of its own would be.
    for number, scores in enumerate(by_window.numpy()):
        alone = scores_of(classifier, windows.waveform[0, number][None].numpy())
        np.testing.assert_allclose(scores, alone[0], atol=1e-4)


def test_many_windows_give_what_they_give_at_once(
    classifier: SoundClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveform = np.concatenate([clip(label, 70, 3.5) for label in CLASSES])[: int(10.25 * RATE_HZ)]
    rate = tf.constant(RATE_HZ)
    scores = scores_of(classifier, waveform[None])
    by_window, _ = classifier.window_scores(tf.constant(waveform), rate)
    assert len(by_window) == 40 > 2 * base.WINDOWS_AT_ONCE
    for at_once in (40, 1000, 8):
        monkeypatch.setattr(base, "WINDOWS_AT_ONCE", at_once)
        np.testing.assert_allclose(scores_of(classifier, waveform[None]), scores, atol=1e-4)
        again, _ = classifier.window_scores(tf.constant(waveform), rate)
        np.testing.assert_allclose(again, by_window, atol=1e-4)


def test_a_graph_with_unknown_sizes_gives_the_same(classifier: SoundClassifier) -> None:
    graph = tf.function(
        classifier.scores,
        input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([], tf.int32)],
    )
    for waveforms, rate_hz in ((three_parts()[None], RATE_HZ), (noise(30000)[None], 44100)):
        in_graph = graph(tf.constant(waveforms), tf.constant(rate_hz)).numpy()
        np.testing.assert_allclose(in_graph, scores_of(classifier, waveforms, rate_hz), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 100, 8000, 20000])
def test_any_samples_give_finite_scores(classifier: SoundClassifier, samples: int) -> None:
    whistle = np.resize(clip("whistle", 80), samples)
    spoilt = np.tile(whistle, (3, 1))
    spoilt[0, ::7], spoilt[1, ::7], spoilt[2, ::7] = np.nan, np.inf, -np.inf
    odd = [
        np.zeros(samples),
        np.full(samples, 0.7),
        np.full(samples, np.nan),
        np.full(samples, np.inf),
        np.full(samples, 3e38),
        np.full(samples, 1e-30),
        32768.0 * whistle,
    ]
    with np.errstate(over="ignore"):
        batch = np.concatenate([spoilt, np.stack(odd)]).astype(np.float32)
    assert np.isfinite(scores_of(classifier, batch)).all()
    for waveform in batch:
        by_window, _ = classifier.window_scores(tf.constant(waveform), tf.constant(RATE_HZ))
        assert np.isfinite(by_window).all()


def test_no_samples_are_silence(classifier: SoundClassifier) -> None:
    nothing = scores_of(classifier, np.zeros((2, 0)))
    np.testing.assert_allclose(nothing, scores_of(classifier, np.zeros((2, 8000))), atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000])
def test_sounds_learned_at_one_rate_are_known_at_others(
    classifier: SoundClassifier, rate_hz: int
) -> None:
    """Whatever is missing above 4 kHz, and whatever there is above 11 kHz."""
    # White noise that ends at 4 kHz is another sound, which was not learned.
    known = [label for label in CLASSES if rate_hz > 8000 or label != "noise"]
    sounds = np.stack([clip(label, 200, 1.2, rate_hz) for label in known])
    answers = scores_of(classifier, sounds, rate_hz).argmax(axis=1)
    assert [CLASSES[answer] for answer in answers] == known
    tones, at_16_khz = (
        np.stack([tone(hz, round(1.2 * rate), rate, 0.3) for hz in (250.0, 2500.0)])
        for rate in (rate_hz, 16000)
    )
    np.testing.assert_allclose(
        scores_of(classifier, tones, rate_hz), scores_of(classifier, at_16_khz), atol=0.1
    )


def test_quieter_by_40_db_is_the_same_class(classifier: SoundClassifier) -> None:
    sounds = np.stack([clip(label, 90) for label in CLASSES])
    assert scores_of(classifier, 0.01 * sounds).argmax(axis=1).tolist() == [0, 1, 2]
