"""Whole recordings to waveforms, whatever they hold: as ops, and in Python.

Two decoders stand behind one answer. The graph's own (WAV in core ops; Vorbis and MP3 by
tensorflow-io) runs on any machine that TensorFlow sends the graph to. What it doesn't know, or
finds damaged, goes to libsndfile, in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from sound_pipeline.audio import libsndfile
from sound_pipeline.audio.durations import MAX_WHOLE_BYTES, TOO_LONG
from sound_pipeline.audio.libsndfile import Waveform
from sound_pipeline.audio.vorbis_mp3 import decode_compressed, is_compressed
from sound_pipeline.audio.wav import DecodedAudio, decode_wav, is_wav
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.filesystem import read_bytes, stamp

# Where only the graph runs, this is what a user can do about it.
_CONVERT = "; python -m sound_pipeline.convert makes a plain WAV file of it"


def decode_audio(contents: tf.Tensor) -> DecodedAudio:
    """Decodes one recording to mono in-graph, told apart by its content, not its file's name.

    Args:
      contents: string scalar, the whole file.

    Returns:
      The waveform and its rate, or the reason why there is none, with `unsupported_encoding` set
      where `decode_file` and `decode_whole` may still know what to do.

    Raises:
      tf.errors.OpError: at run time, where Vorbis or MP3 is damaged.
    """
    decoded = tf.case(
        [
            (is_wav(contents), lambda: decode_wav(contents)),
            (is_compressed(contents), lambda: decode_compressed(contents)),
        ],
        default=lambda: _unknown(contents),
    )
    advice = tf.where(decoded.unsupported_encoding, _CONVERT, "")
    return decoded._replace(reason=tf.strings.join([decoded.reason, advice]))


# Op by op, the walk through a file's chunks would take several times as long.
_decode_in_graph = tf.function(
    decode_audio, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


def decode_file_in_graph(path: tf.Tensor) -> DecodedAudio:
    """Reads and decodes a file by ops that run on any machine.

    Args:
      path: string scalar.

    Raises:
      tf.errors.OpError: at run time, as `decode_audio`, and where there is no such file.
    """
    return decode_audio(tf.io.read_file(path))


def decode_file(path: tf.Tensor) -> DecodedAudio:
    """Reads a file once and decodes it by whichever decoder can, as an op, which never raises.

    No op of TensorFlow's says, without raising, that a file can't be read, so Python reads it; WAV
    is then decoded in the graph. Python decodes the rest: the ops of tensorflow-io raise on damaged
    files, and that can't be caught in a graph. So the op can't be exported, nor run on another
    machine.

    Args:
      path: string scalar.

    Returns:
      The waveform and its rate, or the reason why there is none; `unsupported_encoding` is never
      set.
    """
    contents, unread = tf.numpy_function(
        lambda path: _read(_plain(path)), [path], [tf.string, tf.string]
    )
    contents, unread = tf.ensure_shape(contents, []), tf.ensure_shape(unread, [])
    decoded = decode_wav(contents)
    is_decoded = is_wav(contents) & ~decoded.unsupported_encoding
    return tf.cond(is_decoded, lambda: decoded, lambda: _decode_in_python(contents, unread))


def decode_whole(recording: str | bytes) -> Waveform:
    """Decodes one recording to mono by whichever decoder can.

    Args:
      recording: its path, or the whole contents of its file.

    Returns:
      The waveform and its rate, or the reason why it can't be read or decoded.
    """
    if isinstance(recording, str):
        recording, unread = _read(recording.encode(errors="surrogateescape"))
        if unread:
            return libsndfile.no_waveform(unread.decode())
    try:
        decoded = _decode_in_graph(tf.constant(recording))
    except tf.errors.OpError:
        return libsndfile.decode(recording)
    if decoded.unsupported_encoding:
        return libsndfile.decode(recording)
    return Waveform(
        decoded.waveform.numpy(),
        int(decoded.sample_rate_hz),
        decoded.reason.numpy().decode(),
        decoded.remark.numpy().decode(),
    )


def _read(path: bytes) -> tuple[bytes, bytes]:
    """Contents of a file, or, in one line, why there are none."""
    name = path.decode(errors="surrogateescape")
    try:
        if stamp(name)[0] > MAX_WHOLE_BYTES:
            return b"", TOO_LONG.encode()
        return read_bytes(name), b""
    except OSError as error:
        return b"", (error.strerror or str(error)).encode()


def _decode_in_python(contents: tf.Tensor, unread: tf.Tensor) -> DecodedAudio:
    """Decodes contents, or returns nothing with the reason why they can't be read."""

    def decode(contents: Any, unread: Any) -> tuple[Floats, np.int32, bytes, bytes]:
        if _plain(unread):
            decoded = libsndfile.no_waveform(_plain(unread).decode())
        else:
            decoded = decode_whole(_plain(contents))
        waveform, rate, reason, remark = decoded
        return waveform, np.int32(rate), reason.encode(), remark.encode()

    types = [tf.float32, tf.int32, tf.string, tf.string]
    waveform, rate, reason, remark = tf.numpy_function(decode, [contents, unread], types)
    return DecodedAudio(
        tf.ensure_shape(waveform, [None]),
        tf.ensure_shape(rate, []),
        tf.ensure_shape(reason, []),
        tf.constant(False),
        tf.ensure_shape(remark, []),
    )


def _plain(value: Any) -> bytes:
    """A string as `tf.numpy_function` hands it over: in a graph bytes, eagerly an array of one."""
    plain: bytes = value.item() if isinstance(value, np.ndarray) else value
    return plain


def _unknown(contents: tf.Tensor) -> DecodedAudio:
    empty = tf.equal(tf.strings.length(contents), 0)
    return DecodedAudio(
        waveform=tf.zeros([0]),
        sample_rate_hz=tf.constant(0),
        reason=tf.where(empty, "the file is empty", "the format is not decoded in-graph"),
        unsupported_encoding=~empty,
        remark=tf.constant(""),
    )
