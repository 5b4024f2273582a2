"""Tf.data graph from recordings on disk to batches of prepared windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from sound_pipeline.audio.resampling_ops import resample
from sound_pipeline.audio.wav import DecodedAudio
from sound_pipeline.augmentation.copies import Plan
from sound_pipeline.augmentation.waveform import Augmented, augment
from sound_pipeline.datasets.texts import ERRORS
from sound_pipeline.features.beginnings import split_beginnings
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.windows import split_windows
from sound_pipeline.input_pipeline.batches import FILLER

Decode = Callable[[tf.Tensor], DecodedAudio]
Prepare = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# AutoGraph would only make tracing take longer.
_graph_code = tf.autograph.experimental.do_not_convert


def cut_windows(
    decoded: DecodedAudio, config: FeatureConfig, heard: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Windows of one recording that a classifier is trained on.

    Args:
      decoded: the recording, or why there is none.
      config: gives the window's length and hop.
      heard: float32 [samples], what decides which of its windows are audible, if not itself.

    Returns:
      waveform: float32 [windows, samples], the audible windows, then one for each of
        `config.beginnings`; one of silence where the recording can't be read.
      sample_rate_hz: int32 scalar, theirs.
    """
    readable = tf.equal(decoded.reason, "")
    rate = tf.where(readable, decoded.sample_rate_hz, config.spectrogram.sample_rate_hz)
    # Not the waveform itself where nothing was mixed in: its windows would be cut twice.
    batch_heard = None if heard is None else heard[None]
    windows = split_windows(decoded.waveform[None], rate, config, batch_heard)
    audible = tf.boolean_mask(windows.waveform, windows.audible)
    beginnings = split_beginnings(decoded.waveform, rate, config, heard)[
        : tf.where(readable, len(config.beginnings), 0)
    ]
    return tf.concat([audible, beginnings], axis=0), rate


def window_batches(
    paths: Sequence[str],
    decode: Decode,
    prepare: Prepare,
    config: FeatureConfig,
    batch_size: int,
    plan: Plan | None = None,
) -> tf.data.Dataset:
    """Graph: recordings side by side and ahead of the consumer.

    Nothing is resampled, so windows are prepared with others of their own recording, at most
    `batch_size` of them at once; that also makes a window's numbers independent of what else is
    read. What is prepared has one shape at every rate, and goes into batches in the order of the
    recordings. The last batch is filled up: an extractor always sees one shape. A recording whose
    decoder raises is left out.

    Args:
      paths: audio files.
      decode: a path, string scalar, to a recording.
      prepare: see `WindowReader.read`.
      config: see `WindowReader.read`.
      batch_size: windows in a batch.
      plan: see `WindowReader.read`.

    Returns:
      A data set of dictionaries of the columns of `Batch`, where `recording` is the position in
      `paths`, and of `unsupported`, bool [batch_size], whether another decoder may do better.
    """
    return _WindowGraph(decode, prepare, config, batch_size, plan).batches(paths)


@dataclasses.dataclass(frozen=True)
class _WindowGraph:
    """Steps of `window_batches`; `recording` and so on are the columns of some windows."""

    decode: Decode
    prepare: Prepare
    config: FeatureConfig
    batch_size: int
    plan: Plan | None

    def batches(self, paths: Sequence[str]) -> tf.data.Dataset:
        names = [path.encode(errors=ERRORS) for path in paths]
        files = (tf.range(len(paths)), tf.constant(names, tf.string))
        dataset = tf.data.Dataset.from_tensor_slices(files)
        dataset = dataset.map(self._cut, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        dataset = dataset.flat_map(self._parts)
        dataset = dataset.map(self._prepared, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.rebatch(self.batch_size).map(self._filled).prefetch(2)

    @_graph_code
    def _cut(self, position: tf.Tensor, path: tf.Tensor) -> dict[str, tf.Tensor]:
        """Windows of one recording."""
        decoded = self.decode(path)
        heard = None
        if self.plan is not None:
            decoded, heard = _augmented(decoded, position, path, self.plan, self.decode)
        waveform, rate = cut_windows(decoded, self.config, heard)
        count = tf.shape(waveform)[0]
        return {
            "waveform": waveform,
            "sample_rate_hz": tf.fill([count], rate),
            "recording": tf.fill([count], position),
            "window": tf.range(count),
            "windows": tf.fill([count], count),
            "reason": tf.fill([count], decoded.reason),
            "remark": tf.fill([count], decoded.remark),
            "unsupported": tf.fill([count], decoded.unsupported_encoding),
        }

    @_graph_code
    def _parts(self, recording: dict[str, tf.Tensor]) -> tf.data.Dataset:
        """At most `batch_size` windows of a recording at once."""
        count = tf.cast(recording["windows"][0], tf.int64)
        starts = tf.data.Dataset.range(0, count, self.batch_size)
        return starts.map(
            lambda start: {
                name: column[start : start + self.batch_size] for name, column in recording.items()
            }
        )

    @_graph_code
    def _prepared(self, part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        waveform, rate = part.pop("waveform"), part.pop("sample_rate_hz")[0]
        return {"prepared": self.prepare(waveform, rate), **part}

    @_graph_code
    def _filled(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A batch with fillers at its end."""
        missing = self.batch_size - tf.shape(batch["recording"])[0]
        full = {}
        for name, column in batch.items():
            value = FILLER if name == "recording" else tf.zeros([], column.dtype)
            paddings = [[0, missing]] + [[0, 0]] * (column.shape.rank - 1)
            padded = tf.pad(column, paddings, constant_values=value)
            full[name] = tf.ensure_shape(padded, [self.batch_size, *column.shape[1:]])
        return full


def _augmented(
    decoded: DecodedAudio, position: tf.Tensor, path: tf.Tensor, plan: Plan, decode: Decode
) -> tuple[DecodedAudio, tf.Tensor]:
    """A decoded recording as the plan wants the one at a position, and what is `heard` of it.

    An unreadable one stays as it is.
    """
    rate, unsupported = decoded.sample_rate_hz, decoded.unsupported_encoding
    background = None
    if any(plan.backgrounds):
        named = tf.gather(tf.constant(list(plan.backgrounds), tf.string), position)
        is_named = tf.not_equal(named, "")
        beside = decode(tf.where(is_named, named, path))
        samples = tf.where(is_named, tf.size(beside.waveform), 0)
        background = _at_rate(beside.waveform[:samples], beside.sample_rate_hz, rate)
        # Where this decoder doesn't read the background, the next will, and the recording too.
        unsupported |= beside.unsupported_encoding
    seed = tf.gather(tf.constant(plan.seeds), position)
    changed = tf.cond(
        tf.equal(decoded.reason, ""),
        lambda: augment(decoded.waveform, rate, seed, plan.config, background),
        lambda: Augmented(decoded.waveform, decoded.waveform),
    )
    return decoded._replace(waveform=changed.sound, unsupported_encoding=unsupported), changed.heard


@tf.autograph.experimental.do_not_convert
def _at_rate(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, new_rate_hz: tf.Tensor) -> tf.Tensor:
    """Sound float32 [samples] at another rate; none stays none."""
    seconds = tf.size(waveform) / tf.maximum(sample_rate_hz, 1)
    samples = tf.cast(seconds * tf.cast(new_rate_hz, tf.float64), tf.int32)
    return tf.cond(
        tf.equal(tf.size(waveform), 0) | tf.equal(sample_rate_hz, new_rate_hz),
        lambda: waveform,
        lambda: resample(waveform[None], sample_rate_hz, new_rate_hz, samples)[0],
    )
