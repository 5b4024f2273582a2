"""Windows heard in pieces: what an extractor of such windows makes of each of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.extractors.pieces import PiecesExtractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.helpers import sounds, tiny_models
from tests.helpers.exported_answers import check_export

CONFIG = tiny_models.CONFIG
RATE_HZ = 22050


@pytest.mark.parametrize("kind", range(3), ids=["gabor", "images", "waveforms"])
@pytest.mark.parametrize(
    ("rate_hz", "pieces"),
    [
        (22050, 2),
        pytest.param(44100, 5, marks=pytest.mark.slow),
        pytest.param(16001, 3, marks=pytest.mark.slow),
    ],
)
def test_embeddings_are_those_of_the_pieces(
    handles: tuple[str, str, str], kind: int, rate_hz: int, pieces: int
) -> None:
    in_pieces = load_extractor(handles[kind], dataclasses.replace(CONFIG, pieces=(pieces,)))
    assert isinstance(in_pieces, PiecesExtractor) and in_pieces.pieces == pieces
    short = dataclasses.replace(
        CONFIG, windows=dataclasses.replace(CONFIG.windows, seconds=CONFIG.windows.seconds / pieces)
    )
    of_piece = load_extractor(handles[kind], short)
    assert in_pieces.fingerprint != of_piece.fingerprint
    assert in_pieces.embedding_size == pieces * of_piece.embedding_size
    samples, length = (
        round(CONFIG.windows.seconds * rate_hz),
        round(short.windows.seconds * rate_hz),
    )
    windows = np.stack([sounds.noise(samples), sounds.chirp(samples, rate_hz, 5000)])

    def embed(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        return in_pieces(in_pieces.prepare(waveform, rate))

    found = sounds.eager_and_mapped(embed, windows, np.int32(rate_hz), tolerance=2e-3)
    assert found.shape == (2, in_pieces.embedding_size)
    starts = [number * (samples - length) // (pieces - 1) for number in range(pieces)]
    alone = [
        of_piece(of_piece.prepare(windows[:, start : start + length], tf.constant(rate_hz)))
        for start in starts
    ]
    np.testing.assert_allclose(found, np.concatenate(alone, axis=1), rtol=1e-3, atol=1e-3)


def test_the_loudest_piece_stands_in_for_the_quiet_ones() -> None:
    extractor = load_extractor("gabor", dataclasses.replace(CONFIG, pieces=(4,)))
    window = sounds.noise(11025, 0.2)
    window[:2756] *= 0.001
    window[2756:5512] *= 1.1
    embedding = extractor(extractor.prepare(window[None], tf.constant(RATE_HZ))).numpy()
    first, second, third, fourth = embedding.reshape(4, -1)
    np.testing.assert_array_equal(first, second)
    assert np.abs(third - second).max() > 0.01 and np.abs(fourth - second).max() > 0.01


def test_silence_is_silent_in_every_piece() -> None:
    extractor = load_extractor("gabor", dataclasses.replace(CONFIG, pieces=(2,)))
    embedding = extractor(extractor.prepare(np.zeros((1, 11025), "f4"), tf.constant(RATE_HZ)))
    assert np.isfinite(embedding).all()
    np.testing.assert_array_equal(*np.split(embedding.numpy()[0], 2))


def test_several_numbers_of_pieces_are_several_extractors(handles: tuple[str, str, str]) -> None:
    config = dataclasses.replace(CONFIG, pieces=(1, 2, 4))
    extractor = load_extractor(",".join(handles[:2]), config)
    assert [part.pieces for part in extractor.parts] == [1, 2, 4, 1, 2, 4]
    assert isinstance(extractor.parts[0], GaborExtractor)
    assert extractor.windows_at_once == 4 and extractor.parts[0].windows_at_once == 16
    assert extractor.embedding_size == (800 + 12) * 7
    # So the exported model holds a network's weights once, however often it is asked.
    assert len({id(part.module) for part in extractor.parts[3:]}) == 1
    # What was embedded whole is found again, whatever other pieces are asked for.
    whole = load_extractor("gabor", CONFIG)
    assert extractor.parts[0].fingerprint == whole.fingerprint


@pytest.mark.slow
def test_every_signature_of_an_exported_model(
    handles: tuple[str, str, str], tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, pieces=(3,))
    check_export(tiny_models.random_classifier(load_extractor(handles[1], config)), tmp_path)


def test_a_window_of_whole_pieces_alone_is_itself() -> None:
    config = FeatureConfig(pieces=(1,))
    assert isinstance(load_extractor("gabor", config), GaborExtractor)
    assert config.piece(4) == FeatureConfig(windows=WindowConfig(seconds=1.0))
