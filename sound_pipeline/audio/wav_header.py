"""Chunks of a WAV file, read inside the TensorFlow graph with core ops alone.

The formats are those of the RIFF specification ("Multimedia Programming Interface and Data
Specifications 1.0", IBM and Microsoft, 1991), of WAVE_FORMAT_EXTENSIBLE ("Multiple channel audio
data and WAVE files", Microsoft, 2001) and of RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from sound_pipeline.audio import wav_length
from sound_pipeline.audio.wav_length import LEAST_PART_OF_A_SECOND, MAX_CHUNKS, NO_SIZE

Read = Callable[[tf.Tensor | int, int], tf.Tensor]
"""Bytes of a file: from a position (0..length) on, so many, fewer at its end; string scalar."""

_EXTENSIBLE = 0xFFFE

# A sub-format GUID is a format tag followed by these 14 bytes, here as little-endian words.
_GUID_TAIL = (0x0000, 0x0000, 0x0010, 0x0080, 0xAA00, 0x3800, 0x719B)


class Chunks(NamedTuple):
    """Places of the two chunks that a recording needs: the first `fmt ` and the first `data`.

    Attributes:
        starts: int64 [2], the byte at which the body of each starts; 0 where there is none.
        sizes: int64 [2], the declared sizes of the bodies, bytes.
        gave_up: bool scalar, whether the walk ended at MAX_CHUNKS with more to look at.
    """

    starts: tf.Tensor
    sizes: tf.Tensor
    gave_up: tf.Tensor


class WavFormat(NamedTuple):
    """The `fmt ` chunk: int64 scalars where nothing else is said.

    Attributes:
        tag: the format tag; that of the sub-format where the chunk is EXTENSIBLE.
        channels: how many.
        sample_rate_hz: 0..2**32-1.
        frame_bytes: the block alignment: one sample of each channel.
        sample_bits: bits of one sample.
        sample_bytes: the whole bytes that hold them.
        guid_words: [8], the GUID of the sub-format; without meaning unless EXTENSIBLE.
        is_whole: bool, whether the chunk is as long as its tag asks for.
        is_tagged: bool, False where the GUID of the sub-format is not one that wraps a tag.
    """

    tag: tf.Tensor
    channels: tf.Tensor
    sample_rate_hz: tf.Tensor
    frame_bytes: tf.Tensor
    sample_bits: tf.Tensor
    sample_bytes: tf.Tensor
    guid_words: tf.Tensor
    is_whole: tf.Tensor
    is_tagged: tf.Tensor


class WavData(NamedTuple):
    """Part of the `data` chunk that is in the file.

    Attributes:
        start: int64 scalar, the byte at which the samples start.
        size: int64 scalar, bytes; at most those from there to the end of the file.
        declared: int64 scalar, bytes as of the header.
        is_open: bool scalar, whether they reach to the end of the file, whatever is declared.
        is_known: bool scalar, False where an RF64 file has no usable ds64 chunk.
    """

    start: tf.Tensor
    size: tf.Tensor
    declared: tf.Tensor
    is_open: tf.Tensor
    is_known: tf.Tensor


def is_wav(contents: tf.Tensor) -> tf.Tensor:
    """Whether files start as WAV files do: RIFF, RF64 or BW64, a size, WAVE.

    Args:
        contents: string of any shape, whole files or at least their first 12 bytes.

    Returns:
        bool of the same shape.
    """
    return tf.strings.regex_full_match(
        tf.strings.substr(contents, 0, 12), r"(RIFF|RF64|BW64)\C{4}WAVE"
    )


def bytes_of(contents: tf.Tensor) -> Read:
    """Reads a file that is held whole: string scalar."""
    return lambda at, size: tf.strings.substr(contents, at, size)


def find_chunks(read: Read, length: tf.Tensor) -> Chunks:
    """Walks the chunks until both that a recording needs are found, in whatever order.

    Args:
        read: reads the file; nothing is found in one that is not `is_wav`.
        length: int64 scalar, its bytes.

    Returns:
        The chunks, of which either may be missing.
    """
    wanted = tf.constant([_chunk_id(b"fmt "), _chunk_id(b"data")])

    def goes_on(at: tf.Tensor, starts: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
        del sizes
        return (at + 8 <= length) & tf.reduce_any(tf.equal(starts, 0))

    def look(
        at: tf.Tensor, starts: tf.Tensor, sizes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        chunk_id, size = tf.unstack(_numbers(read, at, tf.int32, 2))
        size = _unsigned(size)
        body = at + 8
        is_found = tf.equal(wanted, chunk_id) & tf.equal(starts, 0)
        starts, sizes = tf.where(is_found, body, starts), tf.where(is_found, size, sizes)
        # A chunk of odd size is followed by a byte that its size doesn't count.
        return body + size + size % 2, starts, sizes

    first = tf.where(is_wav(read(0, 12)), tf.constant(12, tf.int64), length)
    none = tf.zeros([2], tf.int64)
    at, starts, sizes = tf.while_loop(
        goes_on, look, (first, none, none), maximum_iterations=MAX_CHUNKS
    )
    return Chunks(starts, sizes, gave_up=goes_on(at, starts, sizes))


def read_format(read: Read, length: tf.Tensor, chunks: Chunks) -> WavFormat:
    """Reads the `fmt ` chunk; the result has no meaning where there is none.

    Args:
        read: reads the file.
        length: int64 scalar, its bytes.
        chunks: where its chunks are.
    """
    start, declared = chunks.starts[0], chunks.sizes[0]
    words = tf.cast(_numbers(read, start, tf.uint16, 20), tf.int64)
    is_extensible = tf.equal(words[0], _EXTENSIBLE)
    least_bytes = tf.where(is_extensible, tf.constant(40, tf.int64), 16)
    return WavFormat(
        tag=tf.where(is_extensible, words[12], words[0]),
        channels=words[1],
        sample_rate_hz=words[2] + words[3] * 65536,
        frame_bytes=words[6],
        sample_bits=words[7],
        sample_bytes=(words[7] + 7) // 8,
        guid_words=words[12:],
        is_whole=tf.minimum(declared, length - start) >= least_bytes,
        is_tagged=~is_extensible | tf.reduce_all(tf.equal(words[13:], _GUID_TAIL)),
    )


def find_data(read: Read, length: tf.Tensor, chunks: Chunks, second_bytes: tf.Tensor) -> WavData:
    """Finds the `data` chunk; the result has no meaning where there is none.

    A declared size beyond the end of the file means what the file has. A declared size of 0 is
    what a writer leaves behind that streamed or was stopped, and then the samples reach to the
    end of the file; unless the RIFF size, which the same writer would fill in at the same time,
    ends in the file and after the header of the data chunk: then the chunk is truly empty, and
    other chunks follow it. They reach to the end, too, where the file goes on and what comes is
    neither chunks nor tags: 32 bits can't count more than 4 GiB, and not every recorder that is
    stopped leaves a 0.

    Args:
        read: reads the file.
        length: int64 scalar, its bytes.
        chunks: where its chunks are.
        second_bytes: int64 scalar, bytes of a second of sound.
    """
    magic, riff_size, _, second_id, second_size = tf.unstack(_numbers(read, 0, tf.int32, 5))
    riff_size, second_size = _unsigned(riff_size), _unsigned(second_size)
    # ds64 comes first in the file, and in it the sizes of RIFF and of data.
    has_ds64 = tf.equal(second_id, _chunk_id(b"ds64")) & (second_size >= 24)
    riff_size_64, data_size_64 = tf.unstack(
        _numbers(read, tf.clip_by_value(length, 0, 20), tf.int64, 2)
    )
    start, declared = chunks.starts[1], chunks.sizes[1]
    is_riff = tf.equal(magic, _chunk_id(b"RIFF"))
    asks_ds64 = ~is_riff & tf.equal(declared, NO_SIZE)
    declared = tf.where(asks_ds64, data_size_64, declared)
    riff_size = tf.where(~is_riff & tf.equal(riff_size, NO_SIZE), riff_size_64, riff_size)

    riff_end = 8 + riff_size
    # A padding byte at the end of the file is often missing though the RIFF size counts it.
    is_empty = tf.equal(declared, 0) & (riff_end > start) & (riff_end <= length + 1)
    available = length - start
    # Less than a tenth of a second is what fills up a block of a disk, or nothing at all.
    goes_on = (available - declared) * LEAST_PART_OF_A_SECOND >= second_bytes
    is_open = (tf.equal(declared, 0) & ~is_empty) | (is_riff & tf.equal(declared, NO_SIZE))
    end = start + tf.maximum(declared, 0)
    is_open |= tf.cond(
        goes_on & ~is_empty,
        # The byte that makes an odd size even may be missing.
        lambda: ~(_is_chunks(read, length, end) | _is_chunks(read, length, end + declared % 2)),
        lambda: tf.constant(False),
    )
    return WavData(
        start=start,
        size=tf.where(is_open, available, tf.minimum(declared, available)),
        declared=declared,
        is_open=is_open,
        is_known=~asks_ds64 | (has_ds64 & (data_size_64 >= 0)),
    )


def length_remark(data: WavData, frame_bytes: tf.Tensor) -> tf.Tensor:
    """What to say of a header that doesn't give the length: string scalar, '' if it does."""
    is_cut = data.declared - data.size >= tf.maximum(frame_bytes, 2)
    return tf.where(data.is_open, wav_length.OPEN, tf.where(is_cut, wav_length.CUT_OFF, ""))


def _is_chunks(read: Read, length: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Whether all from a byte on is chunks, or starts as a tag does: bool scalar."""

    def goes_on(at: tf.Tensor, is_chunks: tf.Tensor) -> tf.Tensor:
        return is_chunks & (at + 8 <= length)

    def look(at: tf.Tensor, is_chunks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = _unsigned(_numbers(read, at + 4, tf.int32, 1)[0])
        after = at + 8 + size + size % 2
        is_named = tf.strings.regex_full_match(read(at, 4), wav_length.CHUNK_NAME.decode())
        return after, is_chunks & is_named & (after <= length + 1)

    _, is_chunks = tf.while_loop(
        goes_on, look, (start, tf.constant(True)), maximum_iterations=MAX_CHUNKS
    )
    tags = b"|".join(wav_length.TAGS).decode()
    head = read(tf.minimum(start, length), 4)
    return is_chunks | tf.strings.regex_full_match(head, rf"({tags})\C*")


def _chunk_id(name: bytes) -> int:
    return int.from_bytes(name, "little", signed=True)


def _unsigned(number: tf.Tensor) -> tf.Tensor:
    """Int64 of an int32 whose bits are those of an unsigned number."""
    return tf.bitwise.bitwise_and(tf.cast(number, tf.int64), 0xFFFFFFFF)


def _numbers(read: Read, at: tf.Tensor | int, dtype: tf.DType, count: int) -> tf.Tensor:
    """`count` little-endian numbers from byte `at` (0..length) on; zeros beyond the file's end."""
    size = count * dtype.size
    padded = tf.strings.join([read(at, size), b"\0" * size])
    return tf.ensure_shape(tf.io.decode_raw(tf.strings.substr(padded, 0, size), dtype), [count])
