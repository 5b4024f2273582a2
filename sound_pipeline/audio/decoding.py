"""The bytes of a recording to its waveform, whatever they hold.

Two decoders stand behind one answer. The graph's own (WAV in core ops; Vorbis and MP3 by
tensorflow-io) runs on any machine that TensorFlow sends the graph to. What it doesn't know, or
finds damaged, goes to libsndfile, in Python.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio import libsndfile
from sound_pipeline.audio.reader import open_recording
from sound_pipeline.audio.vorbis_mp3 import decode_compressed, is_compressed
from sound_pipeline.audio.wav import DecodedAudio, decode_wav, is_wav
from sound_pipeline.system.filesystem import read_bytes

# Where only the graph runs, this is what a user can do about it.
_CONVERT = "; python -m sound_pipeline.convert makes a plain WAV file of it"


def decode_audio(contents: tf.Tensor) -> DecodedAudio:
    """Decodes one recording to mono in-graph, told apart by its content, not its file's name.

    Args:
      contents: string scalar, the whole file.

    Returns:
      The waveform and its rate, or the reason why there is none, with `unsupported_encoding` set
      where `decode_bytes` may still know what to do.

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


def decode_file_by_libsndfile(path: tf.Tensor) -> DecodedAudio:
    """Reads and decodes a file by libsndfile, as an op, which never raises.

    The op calls Python, so it can't be exported, nor run on another machine.

    Args:
      path: string scalar.
    """
    return _decode_file(path, libsndfile.decode)


def decode_file(path: tf.Tensor) -> DecodedAudio:
    """Reads and decodes a file by whichever decoder can, as an op, which never raises.

    For those who need every recording in its place: one that the graph can't decode costs no
    second pass. The op calls Python, see `decode_file_by_libsndfile`.

    Args:
      path: string scalar.
    """
    return _decode_file(path, decode_bytes)


def _decode_file(
    path: tf.Tensor, decode: Callable[[bytes], tuple[npt.NDArray[np.float32], int, str]]
) -> DecodedAudio:
    def read(path: bytes) -> tuple[npt.NDArray[np.float32], np.int32, bytes]:
        try:
            waveform, rate, reason = decode(read_bytes(path.decode()))
        except OSError as error:
            waveform, rate, reason = np.zeros(0, np.float32), 0, str(error.strerror)
        return waveform, np.int32(rate), reason.encode()

    waveform, rate, reason = tf.numpy_function(read, [path], [tf.float32, tf.int32, tf.string])
    return DecodedAudio(
        tf.ensure_shape(waveform, [None]),
        tf.ensure_shape(rate, []),
        tf.ensure_shape(reason, []),
        tf.constant(False),
    )


def decode_bytes(contents: bytes) -> tuple[npt.NDArray[np.float32], int, str]:
    """Decodes one recording to mono by whichever decoder can.

    Args:
      contents: the whole file.

    Returns:
      waveform: float32 [samples]; empty where there is a reason.
      sample_rate_hz: 0 where there is a reason.
      reason: why it can't be decoded, one line; empty where it could.
    """
    try:
        waveform, rate, reason, unsupported = _decode_in_graph(tf.constant(contents))
    except tf.errors.OpError:
        return libsndfile.decode(contents)
    if unsupported:
        return libsndfile.decode(contents)
    return waveform.numpy(), int(rate), reason.numpy().decode()


def read_recording(path: str) -> tuple[npt.NDArray[np.float32], int]:
    """Reads and decodes one recording to mono.

    Returns:
      waveform: float32 [samples].
      sample_rate_hz: its rate.

    Raises:
      UnreadableError: it can't be read; the message names it and the reason.
    """
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks)), recording.sample_rate_hz


def _unknown(contents: tf.Tensor) -> DecodedAudio:
    empty = tf.equal(tf.strings.length(contents), 0)
    return DecodedAudio(
        waveform=tf.zeros([0]),
        sample_rate_hz=tf.constant(0),
        reason=tf.where(empty, "the file is empty", "the format is not decoded in-graph"),
        unsupported_encoding=~empty,
    )
