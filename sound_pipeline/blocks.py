"""A recording read block by block, however long it is.

WAV is decoded by the steps of `sound_pipeline.wav`, from slices of the file; everything else, and
the encodings of WAV that those don't know, by libsndfile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline import sndfile, wav_header
from sound_pipeline.errors import UnreadableError
from sound_pipeline.wav import (
    WavHeader,
    decode_frames,
    decode_wav,
    is_wav,
    not_finite_reason,
    read_header,
)

Floats = npt.NDArray[np.float32]

BLOCK_BYTES = 1 << 22
"""Of a WAV file that are read at a time; a shorter one is a block of its own."""


class Recording:
    """An open recording. As a context it closes the file at its end.

    Attributes:
      path: the file.
      sample_rate_hz: its rate.
      size_bytes: the file's length.
      blocks: float32 [n] each, n > 0: the mean over the channels, -1..1 for integer encodings.
        Raises UnreadableError where the rest can't be decoded, or some sample was no number.
    """

    def __init__(self, path: str, block_bytes: int = BLOCK_BYTES) -> None:
        """Opens the file and decodes its first block.

        Args:
          path: a recording, told apart by content.
          block_bytes: how much is read at a time, about.

        Raises:
          UnreadableError: it can't be opened or decoded.
        """
        self.path = path
        try:
            path.encode()
            self._file = open(path, "rb")  # noqa: SIM115
        except UnicodeEncodeError as error:
            raise UnreadableError(repr(path), "the file name is not UTF-8: rename it") from error
        except OSError as error:
            raise UnreadableError(path, error.strerror or str(error)) from error
        try:
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            decoded = self._reported(_decoded(self._file, self.size_bytes, block_bytes))
            first, self.sample_rate_hz = next(decoded)
        except BaseException:
            self._file.close()
            raise
        self.blocks: Iterator[Floats] = self._blocks(first, decoded)

    @property
    def position_bytes(self) -> int:
        """How far into the file the decoder is."""
        return self._file.tell()

    def __enter__(self) -> Recording:
        """The recording itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _reported(self, decoded: Iterator[tuple[Floats, int]]) -> Iterator[tuple[Floats, int]]:
        try:
            yield from decoded
        except sndfile.UndecodableError as error:
            raise UnreadableError(self.path, str(error)) from error
        except OSError as error:
            raise UnreadableError(self.path, error.strerror or str(error)) from error

    @staticmethod
    def _blocks(first: Floats, decoded: Iterator[tuple[Floats, int]]) -> Iterator[Floats]:
        yield first
        for samples, _ in decoded:
            yield samples


def open_recording(path: str, block_bytes: int = BLOCK_BYTES) -> Recording:
    """Opens a recording; see `Recording`."""
    return Recording(path, block_bytes)


# Op by op, the walk through a file's chunks would take several times as long.
_decode_whole = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])
_decode_slice = tf.function(decode_frames)


def _decoded(file: BinaryIO, length: int, block_bytes: int) -> Iterator[tuple[Floats, int]]:
    """Blocks and their rate, by whichever decoder can; raises UndecodableError."""
    head = file.read(12)
    if not head:
        raise sndfile.UndecodableError("the file is empty")
    file.seek(0)
    in_graph = None
    if is_wav(tf.constant(head)):
        in_graph = _whole(file) if length <= block_bytes else _sliced(file, length, block_bytes)
    if in_graph is None:
        file.seek(0)
        in_graph = sndfile.mono_blocks(file)
    yield from in_graph


def _whole(file: BinaryIO) -> Iterator[tuple[Floats, int]] | None:
    """A WAV file as one block; None where its encoding is not decoded in-graph."""
    waveform, rate, reason, unsupported = _decode_whole(tf.constant(file.read()))
    if unsupported.numpy():
        return None
    _check(reason)
    return iter([(waveform.numpy(), int(rate))])


def _sliced(file: BinaryIO, length: int, block_bytes: int) -> Iterator[tuple[Floats, int]] | None:
    """A WAV file as many blocks; None where its encoding is not decoded in-graph."""
    header = read_header(_reader(file), tf.constant(length, tf.int64))
    if header.unsupported_encoding.numpy():
        return None
    _check(header.reason)
    return _slices(file, header, block_bytes)


def _slices(file: BinaryIO, header: WavHeader, block_bytes: int) -> Iterator[tuple[Floats, int]]:
    rate, frame_bytes = int(header.fmt.sample_rate_hz), int(header.fmt.frame_bytes)
    frames_left, at_once = int(header.frames), max(1, block_bytes // frame_bytes)
    not_finite = 0
    file.seek(int(header.start))
    while frames_left:
        contents = file.read(min(at_once, frames_left) * frame_bytes)
        frames = len(contents) // frame_bytes
        if not frames:
            raise sndfile.UndecodableError("the file became shorter while it was read")
        frames_left -= frames
        samples, bad = _decode_slice(
            tf.constant(contents[: frames * frame_bytes]), header.fmt, header.encoding
        )
        # They are counted to the end: the reason is that of the whole file.
        not_finite += int(bad)
        if not not_finite:
            yield samples.numpy(), rate
    if not_finite:
        _check(not_finite_reason(tf.constant(not_finite)))


def _check(reason: tf.Tensor) -> None:
    if text := reason.numpy():  # asked of NumPy: an op would take ten times as long
        raise sndfile.UndecodableError(text.decode())


def _reader(file: BinaryIO) -> wav_header.Read:
    def read(at: tf.Tensor | int, size: int) -> tf.Tensor:
        file.seek(int(at))
        return tf.constant(file.read(size))

    return read
