"""Ogg Vorbis and MP3 decoded in-graph by tensorflow-io, where it loads.

tensorflow-io's ops return samples without their rate, so that is read from the headers here.
They raise on a damaged file: a data set that holds them needs `ignore_errors` and another
decoder for what then is missing. What some files do to them is worse than that, so those they
never get: see `_decode_vorbis` and `_decode_mp3`. Its FLAC op is not used at all: it waits
forever for the samples that a file says it has and, where the last frame is damaged, has not.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from sound_pipeline.audio import channel_ops
from sound_pipeline.audio.channels import MEAN
from sound_pipeline.audio.durations import MAX_WHOLE_FRAMES
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import DecodedAudio

_MP3_RATES_HZ = (44100, 48000, 32000, 0)  # MPEG 1; halved in MPEG 2, quartered in MPEG 2.5
# Of MPEG 1 and of the others, layer III; 0 where the frame's header says none.
_MP3_KILOBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
)
_MP3_FRAME_SAMPLES = 1152  # the most
_MP3_MIN_FRAME_BYTES = 24  # 8 kbit/s at 24 kHz
_VORBIS_MAX_PAGE_SAMPLES = 255 * 8192  # the most packets, the longest blocks


@functools.cache
def tensorflow_io_audio() -> Any | None:
    """tensorflow-io's audio ops, or None where it is not installed or doesn't load."""
    try:
        import tensorflow_io

        # The package is imported lazily: only this loads its shared library.
        tensorflow_io.audio.decode_mp3  # noqa: B018
    except (ImportError, NotImplementedError, OSError):
        return None
    return tensorflow_io.audio


def is_compressed(contents: tf.Tensor) -> tf.Tensor:
    """Whether the content is Ogg Vorbis or MP3: bool scalar from a string scalar."""
    return _is_vorbis(contents) | _is_mp3(contents)


def decode_compressed(contents: tf.Tensor) -> DecodedAudio:
    """Decodes Ogg Vorbis or MP3 to mono.

    Args:
      contents: string scalar for which `is_compressed` holds.

    Returns:
      The waveform and its rate, or the reason why there is none, with `unsupported_encoding`
      set where libsndfile may still know what to do.

    Raises:
      tf.errors.OpError: at run time, where the file is damaged.
    """
    ops = tensorflow_io_audio()
    if ops is None:
        return _unsupported("without tensorflow-io the format is not decoded in-graph")
    return tf.cond(
        _is_vorbis(contents),
        lambda: _decode_vorbis(contents, ops),
        lambda: _decode_mp3(contents, ops),
    )


def _is_vorbis(contents: tf.Tensor) -> tf.Tensor:
    # The first Ogg page holds nothing but the identification header, after 28 bytes.
    page = _bytes(contents, 0, 35)
    identified = tf.reduce_all(page[28:] == list(b"\x01vorbis"))
    return tf.equal(_head(contents, 4), b"OggS") & identified


def _is_mp3(contents: tf.Tensor) -> tf.Tensor:
    head = _bytes(contents, 0, 4)
    # Eleven bits of synchronisation, a version and a layer that exist.
    version, layer = head[1] // 8 % 4, head[1] // 2 % 4
    frame = (head[0] == 0xFF) & (head[1] >= 0xE0) & (version != 1) & (layer == 1)
    return tf.equal(_head(contents, 3), b"ID3") | frame


def _decode_vorbis(contents: tf.Tensor, ops: Any) -> DecodedAudio:
    pages = _after_each(contents, b"OggS", 10)
    # Where another stream follows the first and has fewer channels, the op reads memory that
    # isn't its own. The second bit of a page's flags tells where a stream begins.
    streams = tf.reduce_sum(pages[:, 1] // 2 % 2)
    # The op makes room for as many samples as the file says it has, before it reads any.
    positions = _unsigned(pages[:, 2:])
    limit = _VORBIS_MAX_PAGE_SAMPLES * tf.cast(tf.shape(pages)[0], tf.float64)
    rate = tf.reduce_sum(_bytes(contents, 40, 4) * [1, 1 << 8, 1 << 16, 1 << 24])
    return tf.cond(
        tf.equal(streams, 1) & tf.reduce_all(positions <= tf.minimum(limit, MAX_WHOLE_FRAMES)),
        lambda: _mono(ops.decode_vorbis(contents), rate),
        lambda: _unsupported("Ogg other than one stream from its start is not decoded in-graph"),
    )


def _decode_mp3(contents: tf.Tensor, ops: Any) -> DecodedAudio:
    # An ID3 tag ahead of the first frame tells its own size, seven bits a byte.
    size = tf.reduce_sum(_bytes(contents, 6, 4) * [1 << 21, 1 << 14, 1 << 7, 1])
    first = tf.where(tf.equal(_head(contents, 3), b"ID3"), 10 + size, 0)
    frame = _bytes(contents, first, 4)
    synchronised = (frame[0] == 0xFF) & (frame[1] >= 0xE0)
    divisor = tf.gather([4, 1, 2, 1], frame[1] // 8 % 4)
    rate = tf.gather(_MP3_RATES_HZ, frame[2] // 4 % 4) // divisor
    # Here, too, room is made for what the file says it has.
    counts = [_after_each(contents, mark, 8)[:, :3:-1] for mark in (b"Xing", b"Info")]
    frames = _unsigned(tf.concat(counts, axis=0))
    length = tf.cast(tf.strings.length(contents), tf.float64)
    # Where no frames are counted, they are as long as the first.
    is_mpeg1 = tf.equal(divisor, 1)
    kilobits = tf.where(is_mpeg1, _MP3_KILOBITS[0], _MP3_KILOBITS[1])[frame[2] // 16]
    seconds = length * 8 / (1000 * tf.cast(tf.maximum(kilobits, 1), tf.float64))
    samples = tf.where(
        tf.size(frames) > 0,
        tf.reduce_max(tf.concat([frames, [0.0]], axis=0)) * _MP3_FRAME_SAMPLES,
        seconds * tf.cast(rate, tf.float64),
    )
    is_sound = tf.reduce_all(frames <= length / _MP3_MIN_FRAME_BYTES)
    return tf.cond(
        synchronised & (rate > 0) & is_sound & (samples <= MAX_WHOLE_FRAMES),
        lambda: _mono(ops.decode_mp3(contents), rate),
        lambda: _unsupported("MP3 without a sound first frame is not decoded in-graph"),
    )


def _mono(samples: tf.Tensor, rate: tf.Tensor) -> DecodedAudio:
    """[samples, channels] -> one channel, at a rate that the headers tell the truth about."""
    in_range = (rate >= MIN_SAMPLE_RATE_HZ) & (rate <= MAX_SAMPLE_RATE_HZ)
    mean = tf.reduce_mean(samples, axis=1)
    frames, channels = tf.unstack(tf.shape(samples))
    channel = tf.cond(
        (channels > 1) & (frames > 0),
        lambda: channel_ops.channel_to_hear(frames, channel_ops.channel_sums(samples)),
        lambda: tf.constant(MEAN),
    )
    waveform = tf.ensure_shape(channel_ops.one_channel(samples, mean, channel), [None])
    remark = channel_ops.remark(channel, channels)
    return tf.cond(
        in_range & (tf.size(waveform) > 0),
        lambda: DecodedAudio(waveform, rate, tf.constant(""), tf.constant(False), remark),
        lambda: _unsupported("there are no samples, or the sample rate is out of range"),
    )


def _unsupported(reason: str) -> DecodedAudio:
    nothing = tf.zeros([0]), tf.constant(0)
    return DecodedAudio(*nothing, tf.constant(reason), tf.constant(True), tf.constant(""))


def _head(contents: tf.Tensor, count: int) -> tf.Tensor:
    return tf.strings.substr(contents, 0, count)


def _bytes(contents: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """Bytes of a file as int32 [count]; zeros where it ends before."""
    within = tf.minimum(start, tf.strings.length(contents))
    padded = tf.strings.join([tf.strings.substr(contents, within, count), b"\0" * count])
    return tf.cast(tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8), tf.int32)


def _after_each(contents: tf.Tensor, mark: bytes, count: int) -> tf.Tensor:
    """Bytes after every occurrence of a mark: int32 [occurrences, count]."""
    pieces = tf.strings.split(contents, mark)[1:]
    raw = tf.io.decode_raw(pieces, tf.uint8, fixed_length=count)
    return tf.cast(tf.ensure_shape(raw, [None, count]), tf.int32)


def _unsigned(digits: tf.Tensor) -> tf.Tensor:
    """Little-endian numbers: int32 [n, bytes] -> float64 [n]."""
    weights = 256.0 ** np.arange(digits.shape[1])
    return tf.linalg.matvec(tf.cast(digits, tf.float64), weights)
