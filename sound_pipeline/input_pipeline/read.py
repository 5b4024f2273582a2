"""Recordings on disk to batches that an extractor takes: the tf.data graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio.decoding import decode_file, decode_file_in_graph
from sound_pipeline.audio.resampling_ops import resample
from sound_pipeline.audio.wav import DecodedAudio
from sound_pipeline.augmentation.copies import Plan
from sound_pipeline.augmentation.waveform import augment
from sound_pipeline.errors import UserError
from sound_pipeline.features.beginnings import split_beginnings
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.windows import split_windows
from sound_pipeline.input_pipeline.batches import FILLER, Batch, DeliveryTracker
from sound_pipeline.input_pipeline.data_service import from_workers, until_stalled

logger = logging.getLogger(__name__)

Decode = Callable[[tf.Tensor], DecodedAudio]
Prepare = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# AutoGraph would only make tracing take longer.
_graph_code = tf.autograph.experimental.do_not_convert


def read_windows(
    paths: Sequence[str],
    prepare: Prepare,
    config: FeatureConfig,
    batch_size: int,
    plan: Plan | None = None,
    data_service: str = "",
) -> Iterator[Batch]:
    """Reads, decodes, cuts and prepares recordings, whatever their encoding.

    Each is read once. What workers of a data service lose is read again until all has come once:
    by them, and at last here, where libsndfile decodes what is damaged.

    Args:
      paths: audio files.
      prepare: an extractor's `prepare`: windows float32 [batch, samples] and their rate to
        what the extractor takes.
      config: gives the window's length and hop.
      batch_size: windows in a batch.
      plan: how each recording is augmented before it is cut; None for the recordings as they are.
      data_service: the dispatcher whose workers do this, such as grpc://host:5050; they must see
        the files under the same paths. Empty: this process does.

    Yields:
      Every recording's audible windows and beginnings, or one row with the reason why it can't
      be read, in no particular order.

    Raises:
      UserError: the data service can't be reached, or a recording is in an encoding that its
        workers don't decode.
    """
    sieve = DeliveryTracker(len(paths))
    # Only a graph without Python can be sent to workers.
    decode = decode_file_in_graph if data_service else decode_file
    missing = sieve.missing
    while len(missing):
        some = [paths[position] for position in missing]
        dataset = window_batches(some, decode, prepare, config, batch_size, _part(plan, missing))
        elements = _from_workers(dataset, data_service) if data_service else dataset
        for batch, unsupported in _batches(elements, missing):
            if data_service and len(unsupported):
                first, reason = unsupported[0]
                raise UserError(
                    f"--data_service: {paths[first]}: {reason}: only libsndfile may decode it, "
                    "which workers don't have; convert it with python -m sound_pipeline.convert"
                )
            yield sieve.sift(batch)
            if sieve.is_done:
                # Where a worker has died, the end would not come.
                break
        before, missing = len(missing), sieve.missing
        if not data_service or len(missing) == before:
            break
    # Of a data service: what can't be read, or is damaged, raised inside an op, and never arrived.
    if len(missing):
        if data_service:
            logger.warning(
                "%d of %d recordings didn't come from the workers of --data_service=%s and are "
                "read here: they are damaged, or the workers don't see them under the same paths; "
                "the first is %s",
                len(missing),
                len(paths),
                data_service,
                paths[missing[0]],
            )
        others = [paths[position] for position in missing]
        part = _part(plan, missing)
        dataset = window_batches(others, decode_file, prepare, config, batch_size, part)
        for batch, _ in _batches(dataset, missing):
            yield sieve.sift(batch)


def cut_windows(decoded: DecodedAudio, config: FeatureConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """The windows of one recording that a classifier learns from.

    Args:
      decoded: the recording, or why there is none.
      config: gives the window's length and hop.

    Returns:
      waveform: float32 [windows, samples], the audible windows, then one for each of
        `config.beginnings`; one of silence where the recording can't be read.
      sample_rate_hz: int32 scalar, theirs.
    """
    readable = tf.equal(decoded.reason, "")
    rate = tf.where(readable, decoded.sample_rate_hz, config.spectrogram.sample_rate_hz)
    windows = split_windows(decoded.waveform[None], rate, config)
    audible = tf.boolean_mask(windows.waveform, windows.audible)
    beginnings = split_beginnings(decoded.waveform, rate, config)[
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
    """The graph: recordings side by side and ahead of the consumer.

    Nothing is resampled, so windows are prepared with others of their own recording, at most
    `batch_size` of them at once; that also makes a window's numbers independent of what else is
    read. What is prepared has one shape at every rate, and goes into batches in the order of the
    recordings. The last batch is filled up: an extractor always sees one shape. A recording whose
    decoder raises is left out.

    Args:
      paths: audio files.
      decode: a path, string scalar, to a recording.
      prepare: see `read_windows`.
      config: see `read_windows`.
      batch_size: windows in a batch.
      plan: see `read_windows`.

    Returns:
      A data set of dictionaries of the columns of `Batch`, where `recording` is the position in
      `paths`, and of `unsupported`, bool [batch_size], whether another decoder may do better.
    """

    @_graph_code
    def cut(position: tf.Tensor, path: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded = decode(path)
        if plan is not None:
            decoded = _augmented(decoded, position, path, plan, decode)
        waveform, rate = cut_windows(decoded, config)
        count = tf.shape(waveform)[0]
        return {
            "waveform": waveform,
            "sample_rate_hz": tf.fill([count], rate),
            "recording": tf.fill([count], position),
            "window": tf.range(count),
            "windows": tf.fill([count], count),
            "reason": tf.fill([count], decoded.reason),
            "unsupported": tf.fill([count], decoded.unsupported_encoding),
        }

    @_graph_code
    def parts(recording: dict[str, tf.Tensor]) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(0, tf.cast(recording["windows"][0], tf.int64), batch_size)
        return starts.map(
            lambda start: {
                name: column[start : start + batch_size] for name, column in recording.items()
            }
        )

    @_graph_code
    def prepared(part: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        waveform, rate = part.pop("waveform"), part.pop("sample_rate_hz")[0]
        return {"prepared": prepare(waveform, rate), **part}

    @_graph_code
    def filled(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        missing = batch_size - tf.shape(batch["recording"])[0]
        full = {}
        for name, column in batch.items():
            value = FILLER if name == "recording" else tf.zeros([], column.dtype)
            paddings = [[0, missing]] + [[0, 0]] * (column.shape.rank - 1)
            padded = tf.pad(column, paddings, constant_values=value)
            full[name] = tf.ensure_shape(padded, [batch_size, *column.shape[1:]])
        return full

    positions = tf.range(len(paths))
    dataset = tf.data.Dataset.from_tensor_slices((positions, tf.constant(list(paths), tf.string)))
    dataset = dataset.map(cut, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    dataset = dataset.flat_map(parts).map(prepared, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.rebatch(batch_size).map(filled).prefetch(2)


def _from_workers(dataset: tf.data.Dataset, address: str) -> Iterator[dict[str, tf.Tensor]]:
    """What workers make of `window_batches`; ends without what was lost with one of them."""
    nothing = {
        name: tf.fill(spec.shape, tf.cast(FILLER, spec.dtype))
        if name == "recording"
        else tf.zeros(spec.shape, spec.dtype)
        for name, spec in dataset.element_spec.items()
    }
    # The last to be handed out: where it comes from, somebody is at work, though all is damaged.
    last = tf.data.Dataset.from_tensors(nothing)
    return until_stalled(from_workers(dataset.concatenate(last), address))


def _batches(
    dataset: Iterable[dict[str, tf.Tensor]], positions: npt.NDArray[np.int32]
) -> Iterator[tuple[Batch, list[tuple[int, str]]]]:
    """Batches that name recordings by `positions`.

    What a decoder doesn't support is a filler, and comes with its position and the reason.
    """
    for columns in dataset:
        prepared = columns.pop("prepared")
        arrays = {name: column.numpy() for name, column in columns.items()}
        recording = arrays.pop("recording")
        named = np.where(recording == FILLER, FILLER, positions[recording])
        dropped = arrays.pop("unsupported")
        unsupported = [
            (int(named[row]), arrays["reason"][row].decode()) for row in np.flatnonzero(dropped)
        ]
        named = np.where(dropped, FILLER, named).astype(np.int32)
        yield Batch(prepared=prepared, recording=named, **arrays), unsupported


def _part(plan: Plan | None, positions: npt.NDArray[np.int32]) -> Plan | None:
    return None if plan is None else plan.of(positions)


def _augmented(
    decoded: DecodedAudio, position: tf.Tensor, path: tf.Tensor, plan: Plan, decode: Decode
) -> DecodedAudio:
    """A decoded recording as the plan wants the one at a position; an unreadable one as it is."""
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
    return decoded._replace(
        waveform=tf.cond(
            tf.equal(decoded.reason, ""),
            lambda: augment(decoded.waveform, rate, seed, plan.config, background),
            lambda: decoded.waveform,
        ),
        unsupported_encoding=unsupported,
    )


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
