"""Each extractor names the features that its embeddings depend on: those, and no others."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.embeddings.made_by import made_by
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.extractors.hub import load_hub_module
from sound_pipeline.extractors.hub_image import HubImageExtractor
from sound_pipeline.extractors.hub_waveform import HubWaveformExtractor
from sound_pipeline.extractors.pieces import PiecesExtractor
from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig
from tests.helpers import sounds
from tests.helpers.tiny_models import CONFIG

RATE_HZ = 22050
# Another value for every field, each of which gives another spectrogram or other colours.
OTHERS: dict[str, Any] = {
    "sample_rate_hz": 24000,
    "frame_seconds": 0.05,
    "hop_seconds": 0.02,
    "mel_bands": 64,
    "min_hz": 200.0,
    "max_hz": 8000.0,
    "floor_db": -50.0,
    "reference_floor_db": 60.0,
    "colormap": "viridis",
}
KINDS = ("gabor", "image", "waveform", "pieces of an image")


def make(kind: str, handles: tuple[str, str, str], config: FeatureConfig) -> Extractor:
    _, images, waveforms = handles
    if kind == "gabor":
        return GaborExtractor(config)
    if kind == "waveform":
        return HubWaveformExtractor(load_hub_module(waveforms), config)
    if kind == "pieces of an image":
        return PiecesExtractor(make("image", handles, config.piece(2)), 2, config)
    return HubImageExtractor(load_hub_module(images), config)


def embedding(extractor: Extractor) -> np.ndarray:
    waveform = tf.constant(sounds.noise(RATE_HZ // 2)[np.newaxis])
    values: np.ndarray = extractor(extractor.prepare(waveform, tf.constant(RATE_HZ))).numpy()
    return values


def test_every_field_is_tried() -> None:
    assert set(OTHERS) == {field.name for field in dataclasses.fields(SpectrogramConfig)}


class Before(NamedTuple):
    """An extractor before a field of its configuration changes."""

    kind: str
    made_by: dict[str, Any]
    embedding: np.ndarray


@pytest.fixture(scope="module", params=KINDS)
def before(request: pytest.FixtureRequest, handles: tuple[str, str, str]) -> Before:
    kind = request.param
    extractor = make(kind, handles, CONFIG)
    return Before(kind, made_by(extractor, "float32"), embedding(extractor))


@pytest.mark.parametrize("field", OTHERS)
def test_what_changes_embeddings_is_in_their_key(
    before: Before, field: str, handles: tuple[str, str, str]
) -> None:
    spectrogram = dataclasses.replace(CONFIG.spectrogram, **{field: OTHERS[field]})
    after = make(before.kind, handles, dataclasses.replace(CONFIG, spectrogram=spectrogram))
    is_same = np.array_equal(before.embedding, embedding(after))
    assert (before.made_by == made_by(after, "float32")) == is_same


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_spectrogram_a_waveform_module_depends_on_nothing(
    kind: str, handles: tuple[str, str, str]
) -> None:
    assert (make(kind, handles, CONFIG).depends_on == {}) == (kind == "waveform")


@pytest.mark.parametrize("kind", KINDS)
def test_how_recordings_are_cut_is_in_every_key(kind: str, handles: tuple[str, str, str]) -> None:
    keys = [made_by(make(kind, handles, CONFIG), "float32")]
    for field, value in {"seconds": 0.6, "overlap": 0.2, "quiet_db": -20.0}.items():
        windows = dataclasses.replace(CONFIG.windows, **{field: value})
        other = make(kind, handles, dataclasses.replace(CONFIG, windows=windows))
        keys.append(made_by(other, "float32"))
    begun = make(kind, handles, dataclasses.replace(CONFIG, beginning_seconds=(0.1,)))
    keys.append(made_by(begun, "float32"))
    assert all(keys.count(key) == 1 for key in keys)


def test_beginnings_that_fill_a_window_are_in_no_key(handles: tuple[str, str, str]) -> None:
    longer = dataclasses.replace(CONFIG, beginning_seconds=(*CONFIG.beginning_seconds, 50.0))
    keys = [made_by(make("gabor", handles, config), "float32") for config in (CONFIG, longer)]
    assert keys[0] == keys[1]
