"""Windows as a network under training takes them: labelled, weighed, in fresh order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio import decode_file
from sound_pipeline.augmentation import augment
from sound_pipeline.augmentation_config import AugmentationConfig
from sound_pipeline.beginnings import BEGINNINGS_WEIGHT
from sound_pipeline.config import FeatureConfig
from sound_pipeline.input_pipeline import FILLER, Prepare, cut_windows, window_batches

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float32]


class Labelled(NamedTuple):
    """Some recordings to learn from, or to watch.

    Attributes:
      paths: [recordings], audio files that can be read.
      labels: int [recordings], class ids.
      weights: float32 [recordings], how much each counts.
    """

    paths: Sequence[str]
    labels: Ints
    weights: Floats


class Share(NamedTuple):
    """The part of each batch that one input pipeline makes.

    Attributes:
      number: this pipeline's.
      of: pipelines that make parts of the same size.
      part_size: windows in a part.
      parts: parts of a step that this pipeline makes, one after the other.
    """

    number: int
    of: int
    part_size: int
    parts: int


def steps_an_epoch(recordings: int, batch_size: int) -> int:
    """Batches in which every recording comes at least once."""
    return -(-recordings // batch_size)


def drawn_windows(
    recordings: Labelled,
    prepare: Prepare,
    config: FeatureConfig,
    classes: int,
    seed: int,
    share: Share,
    first_epoch: Callable[[], int],
    augmentation: AugmentationConfig | None = None,
) -> tf.data.Dataset:
    """One window of each recording an epoch, drawn at random; epochs without end.

    Every epoch has an order of its own, and draws other windows: one of the beginnings with the
    probability `BEGINNINGS_WEIGHT`, else a whole window. That makes the mean loss over the epochs
    what `head_training.examples` weighs them to be. What an epoch is made of depends on `seed` and
    its number alone, not on who makes it: pipelines that share the batches make together what one
    would make alone. The last batch is filled up with the epoch's first recordings.

    Args:
      recordings: what to draw from.
      prepare: an extractor's.
      config: how recordings are cut into windows.
      classes: how many.
      seed: of order, draw and augmentation.
      share: which part of the batches to make.
      first_epoch: the number of the epoch to begin with, asked when the first batch is made.
      augmentation: how each recording is changed before it is cut, another way every epoch.

    Returns:
      A data set of (prepared [part_size, ...], label float32 [part_size, classes] one-hot, weight
      float32 [part_size]).
    """
    batch_size = share.of * share.parts * share.part_size
    steps = steps_an_epoch(len(recordings.paths), batch_size)

    def drawn() -> Iterator[tuple[int, Ints]]:
        epoch = first_epoch()
        while True:
            random = np.random.default_rng([seed, epoch])
            order = np.resize(random.permutation(len(recordings.paths)), steps * batch_size)
            seeds = random.integers(0, 2**31, [len(order), 2]).astype(np.int32)
            own = np.arange(len(order)).reshape(steps, share.of, -1)[:, share.number].ravel()
            for place in own:
                yield int(order[place]), seeds[place]
            epoch += 1

    paths = tf.constant(list(recordings.paths))
    labels = tf.constant(recordings.labels, tf.int32)
    weights = tf.constant(recordings.weights, tf.float32)

    def read(position: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        path = paths[position]
        # Two numbers of the recording's own seed: one draws a window, the other changes the sound.
        draw, change = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        decoded = decode_file(path)
        readable = tf.debugging.Assert(tf.equal(decoded.reason, ""), [path, decoded.reason])
        with tf.control_dependencies([readable]):
            sound = tf.identity(decoded.waveform)
        if augmentation is not None:
            sound = augment(sound, decoded.sample_rate_hz, change, augmentation)
        waveform, rate = cut_windows(decoded._replace(waveform=sound), config)
        prepared = prepare(waveform[_drawn(waveform, draw, config)][None], rate)[0]
        return prepared, tf.one_hot(labels[position], classes), weights[position]

    signature = (tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32))
    dataset = tf.data.Dataset.from_generator(drawn, output_signature=signature)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(share.part_size, drop_remainder=True).prefetch(2)


def all_windows(
    recordings: Labelled, prepare: Prepare, config: FeatureConfig, classes: int, batch_size: int
) -> tf.data.Dataset:
    """Every window of some recordings, each recording with its total weight; then fillers.

    Windows and beginnings are weighed as by `head_training.examples`.

    Args:
      recordings: which; may be none.
      prepare: an extractor's.
      config: how recordings are cut into windows.
      classes: how many.
      batch_size: windows in a batch.

    Returns:
      A data set without end, as of `drawn_windows`; what follows the recordings weighs nothing.
    """
    labels = tf.constant(recordings.labels, tf.int32)
    weights = tf.constant(recordings.weights, tf.float32)
    begun = BEGINNINGS_WEIGHT if config.beginnings else 0.0

    def weighed(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        filler = tf.equal(batch["recording"], FILLER)
        recording = tf.where(filler, 0, batch["recording"])
        whole = batch["windows"] - len(config.beginnings)
        share = tf.where(
            batch["window"] < whole,
            (1.0 - begun) / tf.cast(whole, tf.float32),
            begun / max(len(config.beginnings), 1),
        )
        weight = tf.where(filler, 0.0, share * tf.gather(weights, recording))
        return batch["prepared"], tf.one_hot(tf.gather(labels, recording), classes), weight

    batches = window_batches(recordings.paths, decode_file, prepare, config, batch_size)
    dataset = batches.map(weighed)
    nothing = tuple(
        tf.zeros([batch_size if size is None else size for size in spec.shape], spec.dtype)
        for spec in dataset.element_spec
    )
    return dataset.concatenate(tf.data.Dataset.from_tensors(nothing).repeat())


def _drawn(waveform: tf.Tensor, seed: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Which of a recording's windows [windows, samples] is learned from: int32 scalar."""
    whole = tf.shape(waveform)[0] - len(config.beginnings)
    kind, which = tf.unstack(tf.random.stateless_uniform([2], seed))
    begins = kind < (BEGINNINGS_WEIGHT if config.beginnings else 0.0)
    start = tf.where(begins, whole, 0)
    count = tf.where(begins, len(config.beginnings), whole)
    place = tf.cast(which * tf.cast(count, tf.float32), tf.int32)
    return start + tf.minimum(place, count - 1)
