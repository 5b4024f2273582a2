"""Windows as a network under training takes them: labelled, weighed, in fresh order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from sound_pipeline.audio.decoding import decode_file, decode_file_in_graph
from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.waveform import augment
from sound_pipeline.features.beginnings import BEGINNINGS_WEIGHT
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.input_pipeline.batches import FILLER, Batch
from sound_pipeline.input_pipeline.data_service import from_workers
from sound_pipeline.input_pipeline.read import Prepare, cut_windows, read_windows, window_batches
from sound_pipeline.system.arrays import Floats, Ints

# What an assertion says before it names a recording.
_UNREADABLE = "cannot read"


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


class PipelineShare(NamedTuple):
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
    share: PipelineShare,
    first_epoch: int = 0,
    augmentation: AugmentationConfig | None = None,
    data_service: str = "",
) -> tf.data.Dataset:
    """One window of each recording an epoch, drawn at random; epochs without end.

    Every epoch has an order of its own, and draws other windows: one of the beginnings with the
    probability `BEGINNINGS_WEIGHT`, else a whole window. That makes the mean loss over the epochs
    what `head_training.examples` weighs them to be. What a batch is made of depends on `seed` and
    its number alone, not on who makes it: pipelines that share the batches make together what one
    would make alone. The last batch of an epoch is filled up with the epoch's first recordings.

    Args:
      recordings: what to draw from.
      prepare: an extractor's.
      config: how recordings are cut into windows.
      classes: how many.
      seed: of order, draw and augmentation.
      share: which part of the batches to make.
      first_epoch: the number of the epoch to begin with.
      augmentation: how each recording is changed before it is cut, another way every epoch.
      data_service: the dispatcher whose workers make the batches, such as grpc://host:5050. They
        then come in the order in which they are ready, which isn't quite the epoch's, and those of
        a worker that dies don't come: later ones take their place. Empty: this process makes them.

    Returns:
      A data set of (prepared [part_size, ...], label float32 [part_size, classes] one-hot, weight
      float32 [part_size]). It raises what `unreadable` knows where a recording can't be read.

    Raises:
      UserError: the data service can't be reached.
    """
    count = len(recordings.paths)
    own = share.parts * share.part_size
    steps = steps_an_epoch(count, share.of * own)
    paths = tf.constant(list(recordings.paths))
    labels = tf.constant(recordings.labels, tf.int32)
    weights = tf.constant(recordings.weights, tf.float32)
    # Only a graph without Python can be sent to workers.
    decode = decode_file_in_graph if data_service else decode_file

    def places(step: tf.Tensor) -> tf.data.Dataset:
        epoch, within = step // steps, step % steps
        start = (within * share.of + share.number) * own
        return tf.data.Dataset.range(start, start + own).map(lambda place: (epoch, place))

    def read(epoch: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        order, changes = _forked(tf.constant([seed, 0], tf.int64), epoch)
        position = tf.random.experimental.index_shuffle(place % count, order, count - 1)
        # Two numbers of the recording's own: one draws a window, the other changes the sound.
        draw, change = _forked(changes, place)
        path = paths[position]
        decoded = decode(path)
        sound = _asserted(path, decoded.reason, decoded.waveform)
        if augmentation is not None:
            sound = augment(sound, decoded.sample_rate_hz, change, augmentation)
        waveform, rate = cut_windows(decoded._replace(waveform=sound), config)
        prepared = prepare(waveform[_drawn(waveform, draw, config)][None], rate)[0]
        return prepared, tf.one_hot(labels[position], classes), weights[position]

    # A step's part is what workers share out: one of them makes all of it.
    dataset = tf.data.Dataset.range(first_epoch * steps, tf.int64.max).flat_map(places)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(share.part_size, drop_remainder=True).prefetch(2)
    return from_workers(dataset, data_service) if data_service else dataset


def all_windows(
    recordings: Labelled,
    prepare: Prepare,
    config: FeatureConfig,
    classes: int,
    batch_size: int,
    data_service: str = "",
) -> tf.data.Dataset:
    """Every window of some recordings, each recording with its total weight; then fillers.

    Windows and beginnings are weighed as by `head_training.examples`.

    Args:
      recordings: which; may be none.
      prepare: an extractor's.
      config: how recordings are cut into windows.
      classes: how many.
      batch_size: windows in a batch.
      data_service: as of `read_windows`: every window comes once, whoever dies.

    Returns:
      A data set without end, as of `drawn_windows`; what follows the recordings weighs nothing.
    """
    paths = tf.constant(list(recordings.paths), tf.string)
    labels = tf.constant(recordings.labels, tf.int32)
    totals = tf.constant(recordings.weights, tf.float32)
    begun = BEGINNINGS_WEIGHT if config.beginnings else 0.0

    def weighed(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        real = tf.not_equal(batch["recording"], FILLER)
        prepared, recording, window, windows, reason = (
            tf.boolean_mask(batch[name], real) for name in Batch._fields
        )
        whole = windows - len(config.beginnings)
        share = tf.where(
            window < whole,
            (1.0 - begun) / tf.cast(whole, tf.float32),
            begun / max(len(config.beginnings), 1),
        )
        weight = share * tf.gather(totals, recording)
        prepared = _asserted(tf.gather(paths, recording), reason, prepared)
        return prepared, tf.one_hot(tf.gather(labels, recording), classes), weight

    if data_service:
        batches = _all_from_workers(recordings.paths, prepare, config, batch_size, data_service)
    else:
        batches = window_batches(recordings.paths, decode_file, prepare, config, batch_size)
    dataset = batches.map(weighed)
    nothing = tuple(
        tf.zeros([batch_size, *spec.shape[1:]], spec.dtype) for spec in dataset.element_spec
    )
    fillers = tf.data.Dataset.from_tensors(nothing).repeat()
    return dataset.concatenate(fillers).rebatch(batch_size, drop_remainder=True)


def unreadable(error: tf.errors.OpError) -> str | None:
    """Which recording can't be read and why, if that is what ended one of these data sets."""
    found = re.search(rf"{_UNREADABLE}: (.*)\]", str(error))
    # TensorFlow escapes what it asserts, byte by byte.
    return found and found[1].encode().decode("unicode_escape").encode("latin-1").decode()


def _asserted(paths: tf.Tensor, reasons: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The value, unless there is a reason why one of some recordings (or the only one) has none."""
    paths, reasons = tf.reshape(paths, [-1]), tf.reshape(reasons, [-1])
    broken = tf.not_equal(reasons, "")
    names = tf.boolean_mask(tf.strings.join([_UNREADABLE, ": ", paths, ": ", reasons]), broken)
    with tf.control_dependencies([tf.debugging.Assert(~tf.reduce_any(broken), [names[:1]])]):
        return tf.identity(value)


def _forked(seed: tf.Tensor, number: tf.Tensor) -> list[tf.Tensor]:
    """Two seeds for the numbered one of many that a seed int64 [2] is for."""
    own = tf.random.experimental.stateless_fold_in(seed, number)
    return tf.unstack(tf.random.experimental.stateless_split(own, 2))


def _all_from_workers(
    paths: Sequence[str],
    prepare: Prepare,
    config: FeatureConfig,
    batch_size: int,
    data_service: str,
) -> tf.data.Dataset:
    """What `read_windows` yields, which comes whole from workers that die."""

    def read() -> Iterator[dict[str, Any]]:
        for batch in read_windows(paths, prepare, config, batch_size, data_service=data_service):
            yield batch._asdict()

    of_windows = (tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32))
    prepared = tf.function(prepare).get_concrete_function(*of_windows).outputs[0]
    numbers = tf.TensorSpec([None], tf.int32)
    columns = (
        tf.TensorSpec(prepared.shape, prepared.dtype),
        *(numbers, numbers, numbers, tf.TensorSpec([None], tf.string)),
    )
    signature = dict(zip(Batch._fields, columns, strict=True))
    return tf.data.Dataset.from_generator(read, output_signature=signature)


def _drawn(waveform: tf.Tensor, seed: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Which of a recording's windows [windows, samples] is learned from: int32 scalar."""
    whole = tf.shape(waveform)[0] - len(config.beginnings)
    kind, which = tf.unstack(tf.random.stateless_uniform([2], seed))
    begins = kind < (BEGINNINGS_WEIGHT if config.beginnings else 0.0)
    start = tf.where(begins, whole, 0)
    count = tf.where(begins, len(config.beginnings), whole)
    place = tf.cast(which * tf.cast(count, tf.float32), tf.int32)
    return start + tf.minimum(place, count - 1)
