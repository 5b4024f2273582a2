"""WAV files decoded inside the TensorFlow graph, with core ops alone.

The chunks of the file are walked in a `tf.while_loop` and its samples read with
`tf.io.decode_raw`, so the same function works eagerly, in `tf.data` and `tf.map_fn`, and in a
SavedModel that is loaded where this package is not installed. It never raises: bytes that can't
be decoded come back with the reason in words. Sample values are those of libsndfile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from sound_pipeline.audio import channel_ops, wav_header
from sound_pipeline.audio.durations import MAX_WHOLE_FRAMES, TOO_LONG
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav_encodings import DECODERS, decode_samples, name_encoding
from sound_pipeline.audio.wav_header import is_wav

__all__ = [
    "MAX_CHANNELS",
    "DecodedAudio",
    "WavHeader",
    "decode_wav",
    "is_wav",
    "not_finite_reason",
    "read_header",
    "read_whole_header",
]

MAX_CHANNELS = 32


class DecodedAudio(NamedTuple):
    """One recording, or why there is none.

    Attributes:
        waveform: float32 [samples], the mean over the channels (see `channels` for where it is
            one of them), -1..1 for integer encodings; empty where there is a reason. TensorFlow
            flushes subnormal floats to zero.
        sample_rate_hz: int32 scalar; 0 where there is a reason.
        reason: string scalar, one line for the user; '' where the recording was decoded.
        unsupported_encoding: bool scalar, True where the reason is only that the samples are in
            an encoding that is not decoded in-graph, so that another decoder may read them.
        remark: string scalar, one line for the user on how a recording was decoded that isn't as
            it should be; '' usually.
    """

    waveform: tf.Tensor
    sample_rate_hz: tf.Tensor
    reason: tf.Tensor
    unsupported_encoding: tf.Tensor
    remark: tf.Tensor


class _Check(NamedTuple):
    """A condition for decoding, and what to say where it fails."""

    holds: tf.Tensor
    message: Callable[[], tf.Tensor]
    is_of_encoding: bool = False


class WavHeader(NamedTuple):
    """Format and place of a WAV file's samples, or the reason why they can't be decoded.

    Attributes:
        fmt: their format; without meaning where there is a reason.
        encoding: int64 scalar, which of the decoders is theirs.
        start: int64 scalar, the byte at which they start.
        frames: int64 scalar, how many whole frames the file has.
        reason: string scalar, one line for the user; '' where they can be decoded.
        unsupported_encoding: bool scalar, as in `DecodedAudio`.
        remark: string scalar, as in `DecodedAudio`, on the length in the header.
    """

    fmt: wav_header.WavFormat
    encoding: tf.Tensor
    start: tf.Tensor
    frames: tf.Tensor
    reason: tf.Tensor
    unsupported_encoding: tf.Tensor
    remark: tf.Tensor


# Everything below is graph code already: AutoGraph could only slow its tracing down. This one is
# traced once in a process, however many graphs it is part of.
@partial(tf.function, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def decode_wav(contents: tf.Tensor) -> DecodedAudio:
    """Decodes one WAV file to mono.

    Read are integer PCM of 8 (unsigned), 16, 24 and 32 bits, floats of 32 and 64 bits, A-law and
    mu-law, of 1 to 32 channels and 1 to 384 kHz, by format tag or by the sub-format GUID of
    EXTENSIBLE, in RIFF, RF64 and BW64 files, up to `MAX_WHOLE_FRAMES` and below 2 GiB. Samples of
    fewer bits than the bytes that hold them are left-justified, as the specification has them. The
    sizes in the file are never trusted: see `wav_header.find_data` for a cut-off or streamed file.

    Args:
        contents: string scalar, the whole file.

    Returns:
        The recording, or the reason why there is none; no contents raise an error.
    """
    # The bytes are in host memory: where there is a GPU, no step of the walk should hop to it.
    with tf.name_scope("decode_wav"), tf.device("/device:CPU:0"):
        contents = tf.ensure_shape(tf.convert_to_tensor(contents, tf.string), [])
        header = read_whole_header(contents)
        is_long = tf.equal(header.reason, "") & (header.frames > MAX_WHOLE_FRAMES)
        header = header._replace(reason=tf.where(is_long, f"WAV: {TOO_LONG}", header.reason))

        def decode() -> DecodedAudio:
            size = header.frames * header.fmt.frame_bytes
            data = tf.strings.substr(contents, header.start, size)
            samples, not_finite = decode_samples(data, header.fmt, header.encoding)
            channel = channel_ops.channel_of_whole(samples, header.fmt.channels)
            waveform = channel_ops.mono(samples, header.fmt.channels, channel)
            is_fit = tf.equal(not_finite, 0)
            return DecodedAudio(
                waveform=waveform[: tf.where(is_fit, tf.size(waveform), 0)],
                sample_rate_hz=tf.where(is_fit, tf.cast(header.fmt.sample_rate_hz, tf.int32), 0),
                reason=tf.where(is_fit, "", not_finite_reason(not_finite)),
                unsupported_encoding=tf.constant(False),
                remark=joined(header.remark, channel_ops.remark(channel, header.fmt.channels)),
            )

        def explain() -> DecodedAudio:
            return DecodedAudio(
                waveform=tf.zeros([0]),
                sample_rate_hz=tf.constant(0),
                reason=header.reason,
                unsupported_encoding=header.unsupported_encoding,
                remark=tf.constant(""),
            )

        decoded = DecodedAudio(*tf.cond(tf.equal(header.reason, ""), decode, explain))
        decoded.waveform.set_shape([None])
        return decoded


def read_whole_header(contents: tf.Tensor) -> WavHeader:
    """Reads the header of a WAV file, string scalar, that is held whole."""
    # Not a tf.function: in a multi-worker strategy, TensorFlow can't run one inside `decode_wav`.
    # tf.strings.length counts in int32 and wraps: there may be bytes beyond what it says.
    length = tf.cast(tf.strings.length(contents), tf.int64)
    is_short = tf.equal(tf.strings.substr(contents, tf.maximum(length, 0), 1), "")
    header = read_header(wav_header.bytes_of(contents), tf.where(is_short, length, 0))
    too_long = tf.constant("WAV: files of 2 GiB or more are not decoded")
    return header._replace(reason=tf.where(is_short, header.reason, too_long))


@tf.autograph.experimental.do_not_convert
def read_header(read: wav_header.Read, length: tf.Tensor) -> WavHeader:
    """Reads all of a WAV file but its samples, in-graph or eagerly.

    Args:
        read: reads the file.
        length: int64 scalar, its bytes.
    """
    chunks = wav_header.find_chunks(read, length)
    fmt = wav_header.read_format(read, length, chunks)
    second_bytes = fmt.sample_rate_hz * fmt.frame_bytes
    data = wav_header.find_data(read, length, chunks, second_bytes)
    frames = data.size // tf.maximum(fmt.frame_bytes, 1)
    is_decoder = tf.equal(
        tf.constant([tag * 65536 + size for tag, size in DECODERS], tf.int64),
        fmt.tag * 65536 + fmt.sample_bytes,
    )
    # In the order in which the messages make sense: the first that fails is the one told.
    checks = [
        *_file_checks(read, length, chunks),
        *_format_checks(fmt, tf.reduce_any(is_decoder)),
        _Check(data.is_known, lambda: tf.constant("the ds64 chunk is missing or broken")),
        _Check(frames > 0, lambda: tf.constant("the data chunk holds no audio frame")),
    ]
    holds = tf.stack([check.holds for check in checks])
    first = tf.argmin(tf.cast(holds, tf.int32))

    def explain() -> tuple[tf.Tensor, tf.Tensor]:
        reason = "WAV: " + tf.stack([check.message() for check in checks])[first]
        return reason, tf.constant([check.is_of_encoding for check in checks])[first]

    reason, unsupported = tf.cond(
        tf.reduce_all(holds), lambda: (tf.constant(""), tf.constant(False)), explain
    )
    encoding = tf.argmax(tf.cast(is_decoder, tf.int32))
    remark = wav_header.length_remark(data, fmt.frame_bytes)
    return WavHeader(fmt, encoding, data.start, frames, reason, unsupported, remark)


def joined(*remarks: tf.Tensor) -> tf.Tensor:
    """Remarks, some of them empty, as one: string scalar."""
    both = tf.stack(remarks)
    return tf.strings.reduce_join(tf.boolean_mask(both, tf.not_equal(both, "")), separator="; ")


def not_finite_reason(count: tf.Tensor) -> tf.Tensor:
    """Why a recording with so many samples that are no numbers is not decoded."""
    return tf.strings.format("WAV: {} sample(s) are not finite", count)


def _file_checks(
    read: wav_header.Read, length: tf.Tensor, chunks: wav_header.Chunks
) -> list[_Check]:
    def missing_chunk() -> tf.Tensor:
        name = tf.where(tf.equal(chunks.starts[0], 0), "fmt", "data")
        limit = f" among the first {wav_header.MAX_CHUNKS}"
        return tf.strings.join(
            ["there is no ", name, " chunk", tf.where(chunks.gave_up, limit, "")]
        )

    return [
        _Check(tf.not_equal(length, 0), lambda: tf.constant("the file is empty")),
        _Check(
            length >= 12,
            lambda: tf.strings.format("a file of {} bytes is too short for a header", length),
        ),
        _Check(is_wav(read(0, 12)), lambda: tf.constant("no RIFF, RF64 or BW64 WAVE header")),
        _Check(tf.reduce_all(chunks.starts > 0), missing_chunk),
    ]


def _format_checks(fmt: wav_header.WavFormat, has_decoder: tf.Tensor) -> list[_Check]:
    return [
        _Check(fmt.is_whole, lambda: tf.constant("the fmt chunk is truncated")),
        _Check(has_decoder & fmt.is_tagged, lambda: name_encoding(fmt), is_of_encoding=True),
        _Check(
            (fmt.channels >= 1) & (fmt.channels <= MAX_CHANNELS),
            lambda: tf.strings.format(f"{{}} channels are not 1 to {MAX_CHANNELS}", fmt.channels),
        ),
        _Check(
            (fmt.sample_rate_hz >= MIN_SAMPLE_RATE_HZ) & (fmt.sample_rate_hz <= MAX_SAMPLE_RATE_HZ),
            lambda: tf.strings.format(
                f"a sample rate of {{}} Hz is not {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}",
                fmt.sample_rate_hz,
            ),
        ),
        _Check(
            tf.equal(fmt.frame_bytes, fmt.channels * fmt.sample_bytes),
            lambda: tf.strings.format(
                "a block alignment of {} bytes is not {} channel(s) of {} bits",
                (fmt.frame_bytes, fmt.channels, fmt.sample_bits),
            ),
        ),
    ]
