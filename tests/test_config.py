"""Configurations: validated with the flag's name, the same after a round trip through JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import DatasetConfig
from sound_pipeline.datasets.splits import SplitConfig
from sound_pipeline.errors import UserError
from sound_pipeline.features.config import (
    FeatureConfig,
    SpectrogramConfig,
    WindowConfig,
    read_features,
)
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system.json_config import from_json, from_mapping, to_json

RUN = RunConfig(
    dataset=DatasetConfig(dataset="csv", data_dir="sounds", manifest="sounds.csv"),
    split=SplitConfig(evaluate="holdout", test_folds=(2, 4), seed=7),
    features=FeatureConfig(
        windows=WindowConfig(seconds=0.96),
        spectrogram=SpectrogramConfig(mel_bands=64, max_hz=7999.5),
        pieces=(1, 3),
    ),
    extractor="gabor",
    head=HeadConfig(l2=1 / 3, mixup=0.4, tune=True),
    image_size=224,
    max_bad_clips=0.05,
    augmented_copies=2,
    augmentation=AugmentationConfig(kinds=("noise", "mask"), max_snr_db=30.0),
)


def message_of(kind: type, **values: Any) -> str:
    with pytest.raises(UserError) as caught:
        kind(**values)
    return str(caught.value)


@pytest.mark.parametrize(
    "config", [RUN, RUN.features, RUN.head, RUN.split, RUN.dataset, RUN.augmentation]
)
def test_json_round_trip(config: Any) -> None:
    text = to_json(config)
    assert text.endswith("}\n")
    rebuilt = from_json(type(config), text)
    assert rebuilt == config
    assert type(rebuilt) is type(config)
    assert to_json(rebuilt) == text


def test_the_parts_of_a_run_are_rebuilt_as_they_were() -> None:
    rebuilt = from_json(RunConfig, to_json(RUN))
    for field in dataclasses.fields(RunConfig):
        assert type(getattr(rebuilt, field.name)) is type(getattr(RUN, field.name))
    assert rebuilt.split.test_folds == (2, 4)
    assert hash(rebuilt.features) == hash(RUN.features)


def test_what_the_file_leaves_out_is_the_default() -> None:
    assert from_mapping(FeatureConfig, {"spectrogram": {"mel_bands": 40}}) == FeatureConfig(
        spectrogram=SpectrogramConfig(mel_bands=40)
    )


@pytest.mark.parametrize("place", ["", "features", "head", "split", "dataset", "augmentation"])
def test_an_unknown_field_is_named(place: str) -> None:
    values = json.loads(to_json(RUN))
    (values[place] if place else values)["window_minutes"] = 1
    with pytest.raises(UserError, match="no field window_minutes") as caught:
        from_mapping(RunConfig, values)
    assert "\n" not in str(caught.value)


def test_a_bad_value_in_a_file_is_refused() -> None:
    values = json.loads(to_json(RUN))
    values["features"]["spectrogram"]["mel_bands"] = 3
    with pytest.raises(UserError, match="--mel_bands=3"):
        from_mapping(RunConfig, values)


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"sample_rate_hz": 999}, "spectrogram.sample_rate_hz=999"),
        ({"sample_rate_hz": 384_001}, "spectrogram.sample_rate_hz=384001"),
        ({"hop_seconds": 0.0}, "spectrogram.hop_seconds=0"),
        ({"hop_seconds": 0.2, "frame_seconds": 0.1}, "spectrogram.frame_seconds=0.1"),
        ({"frame_seconds": 1.1}, "spectrogram.frame_seconds=1.1"),
        ({"mel_bands": 7}, "--mel_bands=7"),
        ({"mel_bands": 513}, "--mel_bands=513"),
        ({"min_hz": -1.0}, "spectrogram.min_hz=-1"),
        ({"min_hz": 500.0, "max_hz": 500.0}, "spectrogram.max_hz=500"),
        ({"max_hz": 11026.0}, "spectrogram.max_hz=11026"),
        ({"max_hz": math.nan}, "spectrogram.max_hz=nan"),
        ({"floor_db": 0.0}, "--floor_db=0"),
        ({"floor_db": -201.0}, "--floor_db=-201"),
        ({"floor_db": math.nan}, "--floor_db=nan"),
        ({"reference_floor_db": -math.inf}, "spectrogram.reference_floor_db=-inf"),
        ({"reference_floor_db": math.nan}, "spectrogram.reference_floor_db=nan"),
    ],
)
def test_spectrogram_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    message = message_of(SpectrogramConfig, **values)
    assert flag in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"seconds": 0.09}, "--window_seconds=0.09"),
        ({"seconds": 61.0}, "--window_seconds=61"),
        ({"seconds": math.nan}, "--window_seconds=nan"),
        ({"overlap": -0.1}, "--window_overlap=-0.1"),
        ({"overlap": 1.0}, "--window_overlap=1"),
        ({"quiet_db": 0.0}, "windows.quiet_db=0"),
    ],
)
def test_window_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    assert flag in message_of(WindowConfig, **values)


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"pieces": ()}, "--pieces="),
        ({"pieces": (0, 1)}, "--pieces=0,1"),
        ({"pieces": (2, 1)}, "--pieces=2,1"),
        ({"pieces": (1, 41)}, "--pieces=41"),
        ({"beginning_seconds": (0.5, 0.2)}, "--beginning_seconds=0.5,0.2"),
    ],
)
def test_feature_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    assert flag in message_of(FeatureConfig, **values)


def test_features_of_version_0_1_are_read() -> None:
    flat = {"window_seconds": 2.0, "window_overlap": 0.25, "quiet_window_db": -20.0}
    flat |= {"mel_bands": 40, "beginning_seconds": [0.2], "pieces": [1, 2], "colormap": "gray"}
    flat |= {"image_channels": "multi"}
    expected = FeatureConfig(
        windows=WindowConfig(seconds=2.0, overlap=0.25, quiet_db=-20.0),
        spectrogram=SpectrogramConfig(mel_bands=40, colormap="gray"),
        beginning_seconds=(0.2,),
        pieces=(1, 2),
    )
    assert read_features(flat) == expected
    assert read_features(json.loads(to_json(expected))) == expected
    with pytest.raises(UserError, match="no field window_minutes"):
        read_features({"window_minutes": 1})


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"l2": -1.0}, "--l2=-1"),
        ({"l2": math.inf}, "--l2=inf"),
        ({"label_smoothing": 1.0}, "--label_smoothing=1"),
        ({"label_smoothing": -0.1}, "--label_smoothing=-0.1"),
        ({"mixup": -0.1}, "--mixup=-0.1"),
        ({"mixup": math.nan}, "--mixup=nan"),
        ({"epochs": 0}, "head.epochs=0"),
        ({"class_weights": "Balanced"}, "--class_weights=Balanced"),
    ],
)
def test_head_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    message = message_of(HeadConfig, **values)
    assert message.startswith(flag)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"image_size": 31}, "--image_size=31"),
        ({"image_size": -1}, "--image_size=-1"),
        ({"image_size": 1025}, "--image_size=1025"),
        ({"max_bad_clips": -0.1}, "--max_bad_clips=-0.1"),
        ({"max_bad_clips": 1.1}, "--max_bad_clips=1.1"),
        ({"max_bad_clips": math.nan}, "--max_bad_clips=nan"),
        ({"augmented_copies": -1}, "--augmented_copies=-1"),
        ({"augmented_copies": 101}, "--augmented_copies=101"),
        ({"fine_tune": FineTuneConfig()}, "--fine_tune: a network is trained on whole windows"),
    ],
)
def test_run_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError) as caught:
        dataclasses.replace(RUN, **values)
    assert str(caught.value).startswith(flag)
    assert "\n" not in str(caught.value)


def test_the_edges_of_the_ranges_are_taken() -> None:
    FeatureConfig(
        windows=WindowConfig(seconds=0.1, overlap=0.0),
        spectrogram=SpectrogramConfig(mel_bands=8, floor_db=-200.0),
    )
    FeatureConfig(
        windows=WindowConfig(seconds=60.0, overlap=0.95),
        spectrogram=SpectrogramConfig(mel_bands=512, max_hz=11025.0),
    )
    HeadConfig(l2=0.0, label_smoothing=0.0, epochs=1, class_weights="none")
    dataclasses.replace(RUN, image_size=0, max_bad_clips=1.0)


def test_the_reference_is_librosas_default() -> None:
    config = FeatureConfig()
    assert (config.spectrogram.frame_length, config.spectrogram.bins, config.frames) == (
        2048,
        1025,
        173,
    )
    assert config.windows.hop_seconds == 2.0


@pytest.mark.parametrize(
    ("window_seconds", "hop_seconds", "frames"),
    [(1.0, 0.01, 101), (0.3, 0.1, 4), (0.7, 0.05, 15), (1.0, 0.3, 4)],
)
def test_frames_of_hops_that_floats_cannot_hold(
    window_seconds: float, hop_seconds: float, frames: int
) -> None:
    config = FeatureConfig(
        windows=WindowConfig(seconds=window_seconds),
        spectrogram=SpectrogramConfig(hop_seconds=hop_seconds, frame_seconds=0.5),
    )
    assert config.frames == frames
