"""Encodings of a WAV file's samples: their names, and decoders of core TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from sound_pipeline.audio import g711, wav_header

_PCM, _FLOAT, _A_LAW, _MU_LAW = 0x0001, 0x0003, 0x0006, 0x0007

_NAMES = {
    _PCM: "PCM",
    0x0002: "Microsoft ADPCM",
    _FLOAT: "IEEE float",
    _A_LAW: "A-law",
    _MU_LAW: "mu-law",
    0x0010: "OKI ADPCM",
    0x0011: "IMA ADPCM",
    0x0014: "G.723 ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x0064: "G.726 ADPCM",
    0x0092: "AC-3",
    0x00FF: "AAC",
    0x0161: "Windows Media Audio",
    0x674F: "Vorbis",
    0xF1AC: "FLAC",
}


def name_encoding(fmt: wav_header.WavFormat) -> tf.Tensor:
    """Says that the samples are in an encoding without a decoder, and in which."""
    tag_names = tf.where(
        tf.equal(tf.constant(list(_NAMES), tf.int64), fmt.tag),
        [f" ({name})" for name in _NAMES.values()],
        "",
    )
    tag = tf.strings.join(["format tag 0x", _hex(fmt.tag), tf.strings.reduce_join(tag_names)])
    tags = tf.constant([tag for tag, _ in DECODERS], tf.int64)
    bits = tf.strings.format(" with {} bits", fmt.sample_bits)
    tag = tf.strings.join([tag, tf.where(tf.reduce_any(tf.equal(tags, fmt.tag)), bits, "")])
    # A GUID is written as one long and two short numbers, then eight bytes in their order.
    swapped = fmt.guid_words % 256 * 256 + fmt.guid_words // 256
    words = [fmt.guid_words[i] for i in (1, 0, 2, 3)] + [swapped[i] for i in (4, 5, 6, 7)]
    guid = [
        tf.strings.join([_hex(word), mark])
        for word, mark in zip(words, ("", "-", "-", "-", "-", "", "", ""), strict=True)
    ]
    what = tf.where(fmt.is_tagged, tag, tf.strings.join(["sub-format ", *guid]))
    return tf.strings.join([what, " is not decoded in-graph"])


def _hex(word: tf.Tensor) -> tf.Tensor:
    """Four hexadecimal digits of an int64 scalar of 16 bits."""
    places = tf.constant([4096, 256, 16, 1], tf.int64)
    return tf.strings.reduce_join(tf.gather(list("0123456789ABCDEF"), word // places % 16))


@tf.autograph.experimental.do_not_convert
def decode_samples(
    data: tf.Tensor, fmt: wav_header.WavFormat, encoding: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes whole frames, all of a recording's or some.

    Args:
        data: string scalar, the bytes of the frames.
        fmt: their format, which is consistent.
        encoding: int64 scalar, the place of their decoder in `DECODERS`.

    Returns:
        samples: float32 [frames * channels], the channels of a frame side by side.
        not_finite: int64 scalar, how many samples of all channels are no numbers.
    """
    samples = tf.switch_case(
        tf.cast(encoding, tf.int32), [partial(decode, data) for decode in DECODERS.values()]
    )
    not_finite = tf.cond(
        tf.equal(fmt.tag, _FLOAT),
        lambda: tf.math.count_nonzero(~tf.math.is_finite(samples)),
        lambda: tf.constant(0, tf.int64),
    )
    return samples, not_finite


def _decode_8_bit(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) * 2.0**-7 - 1.0


def _decode_16_bit(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.int16), tf.float32) * 2.0**-15


def _decode_24_bit(data: tf.Tensor) -> tf.Tensor:
    # Every sum of these is a multiple of 2**-23 below 1, so exact. Not a matrix product: that
    # would be rounded to bfloat16 where automatic mixed precision is on.
    low, middle, high = tf.unstack(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), axis=1)
    return (
        tf.cast(low, tf.float32) * 2.0**-23
        + tf.cast(middle, tf.float32) * 2.0**-15
        + tf.cast(tf.bitcast(high, tf.int8), tf.float32) * 2.0**-7
    )


def _decode_32_bit(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.int32), tf.float32) * 2.0**-31


def _decode_float32(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_raw(data, tf.float32)


def _decode_float64(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.float64), tf.float32)


def _decode_a_law(data: tf.Tensor) -> tf.Tensor:
    return tf.gather(g711.a_law_table(), tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32))


def _decode_mu_law(data: tf.Tensor) -> tf.Tensor:
    return tf.gather(g711.mu_law_table(), tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32))


# By format tag and bytes of a sample.
DECODERS: dict[tuple[int, int], Callable[[tf.Tensor], tf.Tensor]] = {
    (_PCM, 1): _decode_8_bit,
    (_PCM, 2): _decode_16_bit,
    (_PCM, 3): _decode_24_bit,
    (_PCM, 4): _decode_32_bit,
    (_FLOAT, 4): _decode_float32,
    (_FLOAT, 8): _decode_float64,
    (_A_LAW, 1): _decode_a_law,
    (_MU_LAW, 1): _decode_mu_law,
}
