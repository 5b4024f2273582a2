"""Recordings on disk to batches that an extractor takes: the tf.data graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio import decode_audio, decode_file_by_libsndfile
from sound_pipeline.beginnings import split_beginnings
from sound_pipeline.config import FeatureConfig
from sound_pipeline.wav import DecodedAudio
from sound_pipeline.windows import split_windows

Decode = Callable[[tf.Tensor], DecodedAudio]
Prepare = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Position given to the rows that only fill a batch up.
FILLER = -1


class Batch(NamedTuple):
    """Windows of several recordings, ready for an extractor.

    Attributes:
      prepared: [batch, ...], what the extractor takes.
      recording: int32 [batch], position of the recording; FILLER in rows without meaning.
      window: int32 [batch], which of the recording's windows: the audible ones, then one for each
        of `config.beginnings`.
      windows: int32 [batch], how many the recording has.
      reason: object [batch] of bytes, why the recording can't be read; empty where it can. Such a
        recording comes as one window of silence.
    """

    prepared: tf.Tensor
    recording: npt.NDArray[np.int32]
    window: npt.NDArray[np.int32]
    windows: npt.NDArray[np.int32]
    reason: npt.NDArray[np.object_]


def read_windows(
    paths: Sequence[str], prepare: Prepare, config: FeatureConfig, batch_size: int
) -> Iterator[Batch]:
    """Reads, decodes, cuts and prepares recordings, whatever their encoding.

    First come those that the graph decodes, then the others, by libsndfile.

    Args:
      paths: audio files.
      prepare: an extractor's `prepare`: windows float32 [batch, samples] and their rate to
        what the extractor takes.
      config: gives the window's length and hop.
      batch_size: windows in a batch.

    Yields:
      Every recording's audible windows and beginnings, or one row with the reason why it can't
      be read, in no particular order.
    """
    everything = np.arange(len(paths), dtype=np.int32)
    left = np.ones(len(paths), bool)
    for batch in _batches(paths, everything, _decode_file, prepare, config, batch_size):
        left[batch.recording[batch.recording != FILLER]] = False
        yield batch
    # Among them what is damaged: it raised inside an op of tensorflow-io, and never arrived.
    rest = everything[left]
    if len(rest):
        others = [paths[position] for position in rest]
        yield from _batches(others, rest, decode_file_by_libsndfile, prepare, config, batch_size)


def window_batches(
    paths: Sequence[str], decode: Decode, prepare: Prepare, config: FeatureConfig, batch_size: int
) -> tf.data.Dataset:
    """The graph: recordings side by side and ahead of the consumer.

    Windows are batched with others of their own sample rate (nothing is resampled), so
    recordings come out of order. Every batch is filled up to the full size: an extractor then
    always sees one shape, and a window's embedding does not depend on how many came with it.
    A recording whose decoder raises is left out.

    Args:
      paths: audio files.
      decode: a path, string scalar, to a recording.
      prepare: see `read_windows`.
      config: see `read_windows`.
      batch_size: windows in a batch.

    Returns:
      A data set of dictionaries of the columns of `Batch`, where `recording` is the position in
      `paths`, and of `unsupported`, bool [batch_size], whether another decoder may do better.
    """

    def cut(position: tf.Tensor, path: tf.Tensor) -> dict[str, tf.Tensor]:
        decoded = decode(path)
        readable = tf.equal(decoded.reason, "")
        rate = tf.where(readable, decoded.sample_rate_hz, config.sample_rate_hz)
        windows = split_windows(decoded.waveform[None], rate, config)
        audible = tf.boolean_mask(windows.waveform, windows.audible)
        beginnings = split_beginnings(decoded.waveform, rate, config)[
            : tf.where(readable, len(config.beginnings), 0)
        ]
        waveform = tf.concat([audible, beginnings], axis=0)
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

    def prepared(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        waveform, rate = batch.pop("waveform"), batch.pop("sample_rate_hz")[0]
        missing = batch_size - tf.shape(waveform)[0]
        fillers = {
            "recording": FILLER,
            "window": 0,
            "windows": 0,
            "reason": "",
            "unsupported": False,
        }
        filled = {
            name: tf.concat([column, tf.fill([missing], fillers[name])], axis=0)
            for name, column in batch.items()
        }
        filled["prepared"] = prepare(tf.pad(waveform, [[0, missing], [0, 0]]), rate)
        return {
            name: tf.ensure_shape(column, [batch_size, *column.shape[1:]])
            for name, column in filled.items()
        }

    positions = tf.range(len(paths))
    dataset = tf.data.Dataset.from_tensor_slices((positions, tf.constant(list(paths), tf.string)))
    dataset = dataset.map(cut, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    dataset = dataset.unbatch()
    dataset = dataset.group_by_window(
        key_func=lambda window: tf.cast(window["sample_rate_hz"], tf.int64),
        reduce_func=lambda _, windows: windows.batch(batch_size),
        window_size=batch_size,
    )
    return dataset.map(prepared, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _batches(
    paths: Sequence[str],
    positions: npt.NDArray[np.int32],
    decode: Decode,
    prepare: Prepare,
    config: FeatureConfig,
    batch_size: int,
) -> Iterator[Batch]:
    """Batches that name recordings by `positions`; those a decoder doesn't support are fillers."""
    for columns in window_batches(paths, decode, prepare, config, batch_size):
        prepared = columns.pop("prepared")
        arrays = {name: column.numpy() for name, column in columns.items()}
        recording = arrays.pop("recording")
        dropped = arrays.pop("unsupported") | (recording == FILLER)
        recording = np.where(dropped, FILLER, positions[recording])
        yield Batch(prepared=prepared, recording=recording, **arrays)


def _decode_file(path: tf.Tensor) -> DecodedAudio:
    return decode_audio(tf.io.read_file(path))
