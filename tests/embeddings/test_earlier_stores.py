"""What version 0.1 kept is found again where its numbers are the same, and else explained."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sound_pipeline.embeddings.jobs import open_store
from sound_pipeline.embeddings.store import EmbeddingStore
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.config import FeatureConfig
from tests.helpers.tiny_models import LoudnessExtractor

KEYS = np.array([b"a" * 64, b"b" * 64])
ROWS = {key: np.full((3, 4), number, np.float32) for number, key in enumerate(KEYS.tolist())}
# As version 0.1 wrote it for the filter bank's defaults.
FEATURES: dict[str, Any] = {
    "sample_rate_hz": 22050,
    "window_seconds": 4.0,
    "window_overlap": 0.5,
    "quiet_window_db": -30.0,
    "beginning_seconds": [0.2, 0.7, 1.7],
    "frame_seconds": 2048 / 22050,
    "hop_seconds": 512 / 22050,
    "mel_bands": 128,
    "min_hz": 0.0,
    "max_hz": 11025.0,
    "floor_db": -80.0,
    "reference_floor_db": -20.0,
    "colormap": "magma",
}


def keep_as_version_0_1(cache_dir: Path, extractor: str, **changed: Any) -> Path:
    """A store of that version; returns its folder."""
    more = {name: changed.pop(name) for name in ("augmentation", "copy") if name in changed}
    version = changed.pop("features_version", 3)
    store = EmbeddingStore(
        cache_dir,
        {
            "features": FEATURES | changed,
            "features_version": version,
            "extractor": extractor,
            "precision": "float32",
            **more,
        },
    )
    store.add(ROWS)
    return store.directory


def kept(cache_dir: Path, extractor: Extractor, changed: dict[str, Any] | None = None) -> int:
    """How many of KEYS a store of this version holds when it is opened."""
    return int(open_store(cache_dir, extractor, "float32", changed).find(KEYS).is_kept.sum())


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, 2),
        ({"colormap": "viridis"}, 2),
        ({"beginning_seconds": [0.2, 0.7, 1.7, 4.0]}, 2),
        ({"floor_db": -60.0}, 0),
        ({"window_overlap": 0.25}, 0),
        ({"beginning_seconds": [0.2]}, 0),
        ({"features_version": 2}, 0),
    ],
)
def test_the_filter_banks(changed: dict[str, Any], found: int, tmp_path: Path) -> None:
    keep_as_version_0_1(tmp_path, "gabor-1", **changed)
    assert kept(tmp_path, GaborExtractor(FeatureConfig())) == found
    # Now it is of this version, and the earlier store is as it was.
    assert kept(tmp_path, GaborExtractor(FeatureConfig())) == found


def test_those_of_a_module_that_hears_whatever_the_spectrogram(tmp_path: Path) -> None:
    keep_as_version_0_1(tmp_path, "loudness-1", floor_db=-60.0, mel_bands=32)
    assert kept(tmp_path, LoudnessExtractor(FeatureConfig())) == 2


def test_the_rows_are_the_same(tmp_path: Path) -> None:
    earlier = keep_as_version_0_1(tmp_path, "gabor-1")
    store = open_store(tmp_path, GaborExtractor(FeatureConfig()), "float32")
    assert store.directory != earlier
    one = np.ones(2, np.int32)
    rows = store.find(KEYS).rows(np.arange(2), 0 * one, 3 * one)
    np.testing.assert_array_equal(rows[:], np.concatenate(list(ROWS.values())))


def test_copies_are_told_from_recordings(tmp_path: Path) -> None:
    changed = {"augmentation": {"kinds": ["mask"]}, "copy": 1}
    keep_as_version_0_1(tmp_path, "gabor-1", **changed)
    extractor = GaborExtractor(FeatureConfig())
    assert kept(tmp_path, extractor) == 0
    assert kept(tmp_path, extractor, changed) == 2


def test_a_line_says_why_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    directory = keep_as_version_0_1(tmp_path, "gabor-1", floor_db=-60.0)
    kept(tmp_path, GaborExtractor(FeatureConfig()))
    (line,) = caplog.messages
    assert str(directory) in line
    assert "floor_db -60.0, now -80.0" in line


def test_what_is_not_of_that_version_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number, text in enumerate(("{", "[1]", "{}", json.dumps({"features": 1}))):
        folder = tmp_path / f"store{number}"
        folder.mkdir()
        (folder / "made_by.json").write_text(text)
    windows = dataclasses.replace(FeatureConfig().windows, seconds=2.0)
    other = GaborExtractor(dataclasses.replace(FeatureConfig(), windows=windows))
    open_store(tmp_path, other, "float32").add(ROWS)
    assert kept(tmp_path, GaborExtractor(FeatureConfig())) == 0
    assert caplog.messages == []
