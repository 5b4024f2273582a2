"""Windows as a network under training takes them: labelled, weighed, in fresh order."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.waveform import augment
from sound_pipeline.features.beginnings import BEGINNINGS_WEIGHT
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.input_pipeline.batches import FILLER, Batch
from sound_pipeline.input_pipeline.read import READ_HERE, WindowReader
from sound_pipeline.input_pipeline.window_graph import Prepare, cut_windows, window_batches
from sound_pipeline.system.arrays import Floats, Ints

# What an assertion says before it names a recording.
_UNREADABLE = "cannot read"


class Labelled(NamedTuple):
    """Some recordings to train on, or to watch.

    Attributes:
      paths: [recordings], audio files that can be read.
      labels: int [recordings], class ids.
      weights: float32 [recordings], how much each counts.
    """

    paths: Sequence[str]
    labels: Ints
    weights: Floats

    def every(self, count: int, first: int) -> Labelled:
        """Every so manieth of them, from the numbered one on."""
        some = slice(first, None, count)
        return Labelled(self.paths[some], self.labels[some], self.weights[some])


class PipelineShare(NamedTuple):
    """Part of each batch that one input pipeline makes.

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


@dataclasses.dataclass(frozen=True)
class ExampleRecipe:
    """Steps from recordings to examples: (prepared [...], label float32 [classes], weight float32).

    Attributes:
      prepare: an extractor's.
      config: how recordings are cut into windows.
      classes: how many.
      reader: reads the recordings.
    """

    prepare: Prepare
    config: FeatureConfig
    classes: int
    reader: WindowReader = READ_HERE


def drawn_windows(
    recordings: Labelled,
    recipe: ExampleRecipe,
    seed: int,
    share: PipelineShare,
    first_epoch: int = 0,
    augmentation: AugmentationConfig | None = None,
) -> tf.data.Dataset:
    """One window of each recording an epoch, drawn at random; epochs without end.

    Every epoch has an order of its own, and draws other windows: one of the beginnings with the
    probability `BEGINNINGS_WEIGHT`, else a whole window. That makes the mean loss over the epochs
    what `head_training.examples` weighs them to be. What a batch is made of depends on `seed` and
    its number alone, not on who makes it: pipelines that share the batches make together what one
    would make alone. The last batch of an epoch is filled up with the epoch's first recordings.

    Batches of a data service come in the order in which they are ready, which isn't quite the
    epoch's, and those of a worker that dies don't come: later ones take their place.

    Args:
      recordings: what to draw from.
      recipe: how they become examples.
      seed: of order, draw and augmentation.
      share: which part of the batches to make.
      first_epoch: the number of the epoch to begin with.
      augmentation: how each recording is changed before it is cut, another way every epoch.

    Returns:
      A data set of (prepared [part_size, ...], label float32 [part_size, classes] one-hot, weight
      float32 [part_size]). It raises what `unreadable` knows where a recording can't be read.

    Raises:
      UserError: the data service can't be reached.
    """
    columns = _columns(recordings)
    return _Draw(columns, len(recordings.paths), recipe, seed, share, augmentation).batches(
        first_epoch
    )


class _Columns(NamedTuple):
    """`Labelled` as tensors: string, int32 and float32 [recordings]."""

    paths: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor


def _columns(recordings: Labelled) -> _Columns:
    return _Columns(
        tf.constant(list(recordings.paths), tf.string),
        tf.constant(recordings.labels, tf.int32),
        tf.constant(recordings.weights, tf.float32),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Draw:
    """Steps of `drawn_windows`."""

    columns: _Columns
    count: int
    recipe: ExampleRecipe
    seed: int
    share: PipelineShare
    augmentation: AugmentationConfig | None

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        # A step's part is what workers share out: one of them makes all of it.
        steps = tf.data.Dataset.range(first_epoch * self._steps, tf.int64.max)
        places = steps.flat_map(self._places)
        dataset = places.map(self._example, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.batch(self.share.part_size, drop_remainder=True).prefetch(2)
        return self.recipe.reader.of_graph(dataset)

    @property
    def _own(self) -> int:
        """Windows of a step that this pipeline makes."""
        return self.share.parts * self.share.part_size

    @property
    def _steps(self) -> int:
        return steps_an_epoch(self.count, self.share.of * self._own)

    def _places(self, step: tf.Tensor) -> tf.data.Dataset:
        """Epoch of a step, and the places in it that this pipeline fills."""
        epoch, within = step // self._steps, step % self._steps
        start = (within * self.share.of + self.share.number) * self._own
        return tf.data.Dataset.range(start, start + self._own).map(lambda place: (epoch, place))

    def _example(
        self, epoch: tf.Tensor, place: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """A window of the recording whose turn it is at a place of an epoch."""
        recipe, columns = self.recipe, self.columns
        order, changes = _forked(tf.constant([self.seed, 0], tf.int64), epoch)
        position = tf.random.experimental.index_shuffle(place % self.count, order, self.count - 1)
        # Two numbers of the recording's own: one draws a window, the other changes the sound.
        draw, change = _forked(changes, place)
        path = columns.paths[position]
        decoded = recipe.reader.decode(path)
        sound = _asserted(path, decoded.reason, decoded.waveform)
        heard = None
        if self.augmentation is not None:
            sound, heard = augment(sound, decoded.sample_rate_hz, change, self.augmentation)
        waveform, rate = cut_windows(decoded._replace(waveform=sound), recipe.config, heard)
        chosen = waveform[_drawn(waveform, draw, recipe.config)][None]
        label = tf.one_hot(columns.labels[position], recipe.classes)
        return recipe.prepare(chosen, rate)[0], label, columns.weights[position]


def all_windows(recordings: Labelled, recipe: ExampleRecipe, batch_size: int) -> tf.data.Dataset:
    """Every window of some recordings, each recording with its total weight; then fillers.

    Windows and beginnings are weighed as by `head_training.examples`. Every window comes once,
    whichever worker of a data service dies.

    Args:
      recordings: which; may be none.
      recipe: how they become examples.
      batch_size: windows in a batch.

    Returns:
      A data set without end, as of `drawn_windows`; what follows the recordings weighs nothing.
    """
    columns = _columns(recordings)
    if recipe.reader.data_service:
        batches = _all_from_workers(recordings.paths, recipe, batch_size)
    else:
        decode = recipe.reader.decode
        batches = window_batches(
            recordings.paths, decode, recipe.prepare, recipe.config, batch_size
        )
    dataset = batches.map(lambda batch: _weighed(batch, columns, recipe))
    nothing = tuple(
        tf.zeros([batch_size, *spec.shape[1:]], spec.dtype) for spec in dataset.element_spec
    )
    fillers = tf.data.Dataset.from_tensors(nothing).repeat()
    return dataset.concatenate(fillers).rebatch(batch_size, drop_remainder=True)


def _weighed(
    batch: dict[str, tf.Tensor], columns: _Columns, recipe: ExampleRecipe
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A batch of windows as examples, without its fillers."""
    begun = BEGINNINGS_WEIGHT if recipe.config.beginnings else 0.0
    real = tf.not_equal(batch["recording"], FILLER)
    rows = Batch(**{name: tf.boolean_mask(batch[name], real) for name in Batch._fields})
    recording, window = rows.recording, rows.window
    whole = rows.windows - len(recipe.config.beginnings)
    share = tf.where(
        window < whole,
        (1.0 - begun) / tf.cast(whole, tf.float32),
        begun / max(len(recipe.config.beginnings), 1),
    )
    weight = share * tf.gather(columns.weights, recording)
    paths = tf.gather(columns.paths, recording)
    prepared = _asserted(paths, rows.reason, rows.prepared)
    label = tf.one_hot(tf.gather(columns.labels, recording), recipe.classes)
    return prepared, label, weight


def unreadable(error: tf.errors.OpError) -> str | None:
    """Explains which recording can't be read, if that is what ended one of these data sets."""
    found = re.search(rf"{_UNREADABLE}: (.*)\]", str(error))
    # TensorFlow escapes what it asserts, byte by byte.
    return found and found[1].encode().decode("unicode_escape").encode("latin-1").decode()


def _asserted(paths: tf.Tensor, reasons: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Value, unless there is a reason why one of some recordings (or the only one) has none."""
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
    paths: Sequence[str], recipe: ExampleRecipe, batch_size: int
) -> tf.data.Dataset:
    """Yields what `WindowReader.read` does, whole even from workers that die."""

    def read() -> Iterator[dict[str, Any]]:
        for batch in recipe.reader.read(paths, recipe.prepare, recipe.config, batch_size):
            yield batch._asdict()

    of_windows = (tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32))
    prepared = tf.function(recipe.prepare).get_concrete_function(*of_windows).outputs[0]
    numbers, texts = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.string)
    signature = Batch(
        prepared=tf.TensorSpec(prepared.shape, prepared.dtype),
        recording=numbers,
        window=numbers,
        windows=numbers,
        reason=texts,
        remark=texts,
    )
    return tf.data.Dataset.from_generator(read, output_signature=signature._asdict())


def _drawn(waveform: tf.Tensor, seed: tf.Tensor, config: FeatureConfig) -> tf.Tensor:
    """Draws one of a recording's windows [windows, samples] to train on: int32 scalar."""
    whole = tf.shape(waveform)[0] - len(config.beginnings)
    kind, which = tf.unstack(tf.random.stateless_uniform([2], seed))
    begins = kind < (BEGINNINGS_WEIGHT if config.beginnings else 0.0)
    start = tf.where(begins, whole, 0)
    count = tf.where(begins, len(config.beginnings), whole)
    place = tf.cast(which * tf.cast(count, tf.float32), tf.int32)
    return start + tf.minimum(place, count - 1)
