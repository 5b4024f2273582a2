"""Windows for a network under training: fresh order, fair draws, the right weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.features.beginnings import BEGINNINGS_WEIGHT, split_beginnings
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.fine_tuning.examples import (
    ExampleRecipe,
    Labelled,
    PipelineShare,
    all_windows,
    drawn_windows,
    steps_an_epoch,
    unreadable,
)
from tests.helpers.sound_folders import RATE_HZ
from tests.helpers.sounds import noise, write_wav

pytestmark = pytest.mark.slow

# Whole windows alone: a recording of 0.5 s has one, of 1 s three.
WHOLE = FeatureConfig(windows=WindowConfig(seconds=0.5, overlap=0.5), beginning_seconds=())
BEGUN = dataclasses.replace(WHOLE, beginning_seconds=(0.1, 0.2))
CLASSES = 3
COUNT = 7
SIZE = 4


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """Noise; how loud it is tells which recording, and where in it."""
    directory = tmp_path_factory.mktemp("recordings")
    paths = []
    for number in range(COUNT):
        seconds = 1.0 if number % 2 else 0.5
        ramp = np.linspace(1.0, 1.2, round(seconds * RATE_HZ), dtype=np.float32)
        path = directory / f"{number}.wav"
        write_wav(path, noise(len(ramp), 0.05 * 1.4**number, number) * ramp, RATE_HZ)
        paths.append(str(path))
    return Labelled(paths, np.arange(COUNT) % CLASSES, np.linspace(1, 2, COUNT, dtype="f4"))


def level(waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """What stands for an image: [windows, samples] -> [windows, 1]."""
    return tf.sqrt(tf.reduce_mean(tf.square(waveform), axis=1, keepdims=True))


def steps_of(
    recordings: Labelled,
    count: int,
    config: FeatureConfig = WHOLE,
    seed: int = 0,
    share: PipelineShare = PipelineShare(0, 1, SIZE, 1),  # noqa: B008
    first_epoch: int = 0,
    augmentation: AugmentationConfig | None = None,
) -> np.ndarray:
    """Rows of [level, label, weight]: [batches, windows, 3]."""
    recipe = ExampleRecipe(level, config, CLASSES)
    dataset = drawn_windows(recordings, recipe, seed, share, first_epoch, augmentation)
    batches = []
    for prepared, label, weight in dataset.take(count):
        assert prepared.shape == [share.part_size, 1] and label.shape == [share.part_size, CLASSES]
        assert label.numpy().sum(axis=1).tolist() == [1.0] * share.part_size
        label = tf.cast(tf.argmax(label, axis=1), tf.float32)
        batches.append(tf.stack([prepared[:, 0], label, weight], axis=1).numpy())
    return np.stack(batches)


def positions(rows: np.ndarray) -> list[int]:
    """Which recording each row is of, by its weight, with the label that goes with it."""
    found = np.round((rows[..., 2] - 1) * (COUNT - 1)).astype(int).ravel()
    assert (rows[..., 1].ravel() == found % CLASSES).all()
    return found.tolist()


def test_an_epoch_has_every_recording(recordings: Labelled) -> None:
    assert steps_an_epoch(COUNT, SIZE) == 2
    rows = steps_of(recordings, 6)
    epochs = [positions(rows[start : start + 2]) for start in (0, 2, 4)]
    for epoch in epochs:
        assert sorted(epoch[:COUNT]) == list(range(COUNT))
        # Filled up from its own beginning.
        assert epoch[COUNT:] == epoch[:1]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_seed_decides(recordings: Labelled) -> None:
    first = steps_of(recordings, 4)
    np.testing.assert_array_equal(first, steps_of(recordings, 4))
    assert positions(first) != positions(steps_of(recordings, 4, seed=1))


def test_going_on_gives_what_would_have_come(recordings: Labelled) -> None:
    whole = steps_of(recordings, 6, BEGUN)
    np.testing.assert_array_equal(whole[4:], steps_of(recordings, 2, BEGUN, first_epoch=2))


def test_fewer_recordings_than_a_batch_fill_it(recordings: Labelled) -> None:
    few = Labelled(recordings.paths[:3], recordings.labels[:3], recordings.weights[:3])
    assert sorted(positions(steps_of(few, 1, share=PipelineShare(0, 1, 6, 1)))) == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]


@pytest.mark.parametrize(("pipelines", "parts"), [(2, 1), (1, 2), (2, 2)])
def test_shares_make_together_what_one_makes(
    recordings: Labelled, pipelines: int, parts: int
) -> None:
    alone = steps_of(recordings, 3, BEGUN, share=PipelineShare(0, 1, 4, 1))
    size = 4 // (pipelines * parts)
    shares = [
        steps_of(recordings, 3 * parts, BEGUN, share=PipelineShare(number, pipelines, size, parts))
        for number in range(pipelines)
    ]
    together = np.concatenate([share.reshape(3, -1, 3) for share in shares], axis=1)
    np.testing.assert_array_equal(together, alone)


def test_all_windows_are_drawn_and_beginnings_by_their_weight(recordings: Labelled) -> None:
    one = Labelled(recordings.paths[1:2], recordings.labels[1:2], recordings.weights[1:2])
    drawn = steps_of(one, 100, BEGUN, share=PipelineShare(0, 1, SIZE, 1))[..., 0].ravel()
    values, counts = np.unique(drawn.round(4), return_counts=True)
    assert len(values) == 5  # three windows, two beginnings
    waveform = noise(RATE_HZ, 0.07, 1) * np.linspace(1.0, 1.2, RATE_HZ, dtype=np.float32)
    begun = level(split_beginnings(waveform, tf.constant(RATE_HZ), BEGUN), RATE_HZ).numpy()
    is_begun = np.isclose(values[:, None], begun.ravel(), atol=2e-4).any(axis=1)
    assert is_begun.sum() == 2
    # Of 400 draws, four deviations to each side.
    assert 0.2 < counts[is_begun].sum() / 400 < 0.4
    assert abs(BEGINNINGS_WEIGHT - 0.3) < 1e-9
    assert counts.min() > 30


def test_augmentation_is_another_every_time_and_the_same_again(recordings: Labelled) -> None:
    one = Labelled(recordings.paths[:1], recordings.labels[:1], recordings.weights[:1])
    augmentation = AugmentationConfig(("noise",), min_snr_db=0.0, max_snr_db=6.0)
    plain = steps_of(one, 3)[..., 0]
    changed = steps_of(one, 3, augmentation=augmentation)[..., 0]
    factors = (changed / plain).ravel()
    assert len(np.unique(factors.round(5))) == len(factors)
    assert factors.min() > 1.0 and factors.max() < 2.0
    again = steps_of(one, 1, augmentation=augmentation, first_epoch=2)[..., 0]
    np.testing.assert_array_equal(again, changed[2:])


def test_a_recording_that_has_become_unreadable_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "it's [1] brøken.wav"
    path.write_bytes(b"broken")
    broken = Labelled([str(path)], np.zeros(1, int), np.ones(1, "f4"))
    watched = all_windows(broken, ExampleRecipe(level, WHOLE, CLASSES), SIZE)
    for read in (lambda: steps_of(broken, 1), lambda: list(watched.take(1))):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            read()
        reason = unreadable(caught.value)
        assert reason and reason.startswith(f"{path}: ") and len(reason) > len(f"{path}: ")


def test_other_errors_are_not_of_recordings() -> None:
    assert unreadable(tf.errors.InvalidArgumentError(None, None, "shapes [1] and [2]")) is None


@pytest.mark.parametrize("config", [WHOLE, BEGUN])
def test_all_windows_have_the_weight_of_their_recording(
    recordings: Labelled, config: FeatureConfig
) -> None:
    windows = sum(3 if number % 2 else 1 for number in range(COUNT))
    windows += COUNT * len(config.beginnings)
    recipe = ExampleRecipe(level, config, CLASSES)
    batches = list(all_windows(recordings, recipe, SIZE).take(12))
    prepared, labels, weights = (np.concatenate(column) for column in zip(*batches, strict=True))
    assert prepared.shape == (12 * SIZE, 1)
    assert (weights > 0).sum() == windows and (weights[:windows] > 0).all()
    by_class = weights @ labels
    expected = [recordings.weights[label::CLASSES].sum() for label in range(CLASSES)]
    np.testing.assert_allclose(by_class, expected, rtol=1e-5)
    if config.beginnings:
        # The first recording has one window and two beginnings.
        np.testing.assert_allclose(weights[:3], [0.7, 0.15, 0.15], rtol=1e-5)


def test_none_at_all_are_fillers_only() -> None:
    nothing = Labelled([], np.zeros(0, int), np.zeros(0, "f4"))
    recipe = ExampleRecipe(level, WHOLE, CLASSES)
    for _, _, weight in all_windows(nothing, recipe, SIZE).take(2):
        assert weight.numpy().tolist() == [0.0] * SIZE
