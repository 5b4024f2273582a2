"""Recordings decoded block by block: WAV files by the steps of `wav`, all else by libsndfile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from sound_pipeline.audio import channel_ops, libsndfile, wav_header
from sound_pipeline.audio.channels import MEAN, channel_to_hear
from sound_pipeline.audio.libsndfile import DecodedBlock
from sound_pipeline.audio.wav import (
    WavHeader,
    decode_wav,
    is_wav,
    joined,
    not_finite_reason,
    read_header,
)
from sound_pipeline.audio.wav_encodings import decode_samples

_decode_slice = tf.function(decode_samples)
_SAMPLES, _COUNT = tf.TensorSpec([None]), tf.TensorSpec([], tf.int64)
_mono = tf.function(
    channel_ops.mono, input_signature=[_SAMPLES, _COUNT, tf.TensorSpec([], tf.int32)]
)
_sums = tf.function(
    channel_ops.sums_of_channels, input_signature=[_SAMPLES, _COUNT, _COUNT, _COUNT]
)


def decoded_blocks(file: BinaryIO, length: int, block_bytes: int) -> Iterator[DecodedBlock]:
    """Decodes a recording to mono by whichever decoder can, in constant memory.

    Args:
      file: open for reading, at its start, and stays so.
      length: of the file, in bytes.
      block_bytes: how much of a WAV file is read at a time.

    Yields:
      The next of the recording, one channel of it (see `channels`); at least one block comes.

    Raises:
      UndecodableError: it can't be decoded, or some sample was no number.
    """
    head = file.read(12)
    if not head:
        raise libsndfile.UndecodableError("the file is empty")
    file.seek(0)
    in_graph = None
    if is_wav(tf.constant(head)):
        in_graph = _whole(file) if length <= block_bytes else _sliced(file, length, block_bytes)
    if in_graph is None:
        file.seek(0)
        in_graph = libsndfile.mono_blocks(file)
    yield from in_graph


def _whole(file: BinaryIO) -> Iterator[DecodedBlock] | None:
    """A WAV file as one block; None where its encoding is not decoded in-graph."""
    decoded = decode_wav(tf.constant(file.read()))
    if decoded.unsupported_encoding.numpy():
        return None
    _check(decoded.reason)
    samples, rate = decoded.waveform.numpy(), int(decoded.sample_rate_hz)
    return iter([DecodedBlock(samples, rate, decoded.remark.numpy().decode())])


def _sliced(file: BinaryIO, length: int, block_bytes: int) -> Iterator[DecodedBlock] | None:
    """A WAV file as many blocks; None where its encoding is not decoded in-graph."""
    header = read_header(_reader(file), tf.constant(length, tf.int64))
    if header.unsupported_encoding.numpy():
        return None
    _check(header.reason)
    return _slices(file, header, block_bytes)


def _slices(file: BinaryIO, header: WavHeader, block_bytes: int) -> Iterator[DecodedBlock]:
    rate, channels = int(header.fmt.sample_rate_hz), header.fmt.channels
    channel = tf.constant(_channel_to_hear(file, header, block_bytes))
    remark = joined(header.remark, channel_ops.remark(channel, channels)).numpy().decode()
    not_finite = 0
    for samples, bad in _samples(file, header, block_bytes):
        # They are counted to the end: the reason is that of the whole file.
        not_finite += bad
        if not not_finite:
            yield DecodedBlock(_mono(samples, channels, channel).numpy(), rate, remark)
    if not_finite:
        _check(not_finite_reason(tf.constant(not_finite)))


def _samples(
    file: BinaryIO, header: WavHeader, block_bytes: int
) -> Iterator[tuple[tf.Tensor, int]]:
    """Samples of all channels block by block, and how many of them are no numbers."""
    frame_bytes = int(header.fmt.frame_bytes)
    frames_left, at_once = int(header.frames), max(1, block_bytes // frame_bytes)
    file.seek(int(header.start))
    while frames_left:
        contents = file.read(min(at_once, frames_left) * frame_bytes)
        frames = len(contents) // frame_bytes
        if not frames:
            raise libsndfile.UndecodableError("the file became shorter while it was read")
        frames_left -= frames
        whole = tf.constant(contents[: frames * frame_bytes])
        samples, bad = _decode_slice(whole, header.fmt, header.encoding)
        yield samples, int(bad)


def _channel_to_hear(file: BinaryIO, header: WavHeader, block_bytes: int) -> int:
    """Channel to take of a recording, which is read whole for that if it has several."""
    count = int(header.fmt.channels)
    if count == 1:
        return MEAN
    sums, before = np.zeros((2, count + 1)), 0
    for samples, _ in _samples(file, header, block_bytes):
        position = tf.constant(before, tf.int64)
        sums += _sums(samples, header.fmt.channels, position, header.frames).numpy()
        before += len(samples) // count
    return channel_to_hear(int(channel_ops.counted_frames(header.frames)), sums)


def _check(reason: tf.Tensor) -> None:
    if text := reason.numpy():  # asked of NumPy: an op would take ten times as long
        raise libsndfile.UndecodableError(text.decode())


def _reader(file: BinaryIO) -> wav_header.Read:
    def read(at: tf.Tensor | int, size: int) -> tf.Tensor:
        file.seek(int(at))
        return tf.constant(file.read(size))

    return read
