"""Decoding with libsndfile: for what the graph can't decode itself."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from sound_pipeline.audio import channels
from sound_pipeline.audio.durations import MAX_WHOLE_FRAMES, TOO_LONG
from sound_pipeline.audio.formats import HEAD_BYTES, not_decoded_reason
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav_length import WavLength, wav_length
from sound_pipeline.system.arrays import Floats

_BLOCK_SAMPLES = 1 << 20


class DecodedBlock(NamedTuple):
    """Part of a recording.

    Attributes:
      samples: float32 [n], one channel (see `channels`), or [n, channels]; -1..1 for integer
        encodings.
      sample_rate_hz: the same for all of a recording.
      remark: one line for the user on how the recording was decoded that isn't as it should be, the
        same for all; '' usually.
    """

    samples: Floats
    sample_rate_hz: int
    remark: str


class Waveform(NamedTuple):
    """A whole recording, or why there is none.

    Attributes:
      samples: float32 [n], one channel (see `channels`); empty where there is a reason.
      sample_rate_hz: 0 where there is a reason.
      reason: why it can't be decoded, one line; '' where it could.
      remark: as of a `DecodedBlock`.
    """

    samples: Floats
    sample_rate_hz: int
    reason: str
    remark: str


class UndecodableError(ValueError):
    """Why a recording can't be decoded: one line."""


class _Sequential(soundfile.SoundFile):
    """A recording that is read from its start to its end.

    soundfile seeks after each read, where it can: that garbles the next samples of an MP3 and
    fails in DWVW. It can't know what is left to read where it can't seek (GSM 6.10, G.72x), so
    the end is where a read comes back empty; what the header claims is never relied on.
    """

    def seekable(self) -> bool:
        """Keeps soundfile from seeking."""
        return False


class _Forgiving:
    """A file that is sought in where a damaged header says, which may be before its start.

    An exception in soundfile's callback would be printed and go nowhere; libsndfile finds out by
    itself that it isn't where it wanted to be.
    """

    def __init__(self, file: BinaryIO, length: WavLength) -> None:
        self._file = file
        self._size_at, self._size = length.size_at, length.size
        self.tell = file.tell
        self.read = self._corrected if length.size else file.read

    def _corrected(self, size: int = -1) -> bytes:
        """Reads as if a WAV file's header had the true size."""
        at = self.tell()
        read = bytearray(self._file.read(size))
        for place, byte in enumerate(self._size, self._size_at - at):
            if 0 <= place < len(read):
                read[place] = byte
        return bytes(read)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)


def blocks(file: BinaryIO, max_frames: int | None = None) -> Iterator[DecodedBlock]:
    """Decodes a recording in any of libsndfile's formats, in constant memory.

    Args:
      file: open for reading, and stays so.
      max_frames: of a longer recording nothing comes but an error; None for no limit.

    Yields:
      The next of the recording, all channels; at least one block comes.

    Raises:
      UndecodableError: libsndfile fails, the samples are none or not finite, or too many.
    """
    frames_before = 0
    length = wav_length(file)
    try:
        with _Sequential(_Forgiving(file, length)) as recording:
            frames = max(1, _BLOCK_SAMPLES // recording.channels)
            while len(samples := recording.read(frames, dtype="float32", always_2d=True)):
                frames_before += len(samples)
                if max_frames is not None and frames_before > max_frames:
                    raise UndecodableError(TOO_LONG)
                if not np.isfinite(samples).all():
                    raise UndecodableError("the samples are not finite")
                yield DecodedBlock(samples, recording.samplerate, length.remark)
    except soundfile.LibsndfileError as error:
        raise UndecodableError(_named(file) or _reason(error)) from error
    except TypeError as error:
        # Raw samples, which soundfile takes the file for, would need a format from the caller.
        unknown = "libsndfile does not decode it: the format is not recognised"
        raise UndecodableError(_named(file) or unknown) from error
    if not frames_before:
        raise UndecodableError("the file holds no samples")


def mono_blocks(file: BinaryIO, max_frames: int | None = None) -> Iterator[DecodedBlock]:
    """Decodes a recording in any of libsndfile's formats to mono, in constant memory.

    Args:
      file: open for reading, and stays so.
      max_frames: as of `blocks`.

    Yields:
      The next of the recording, one channel of it (see `channels`); at least one block comes.

    Raises:
      UndecodableError: as `blocks`, or the sample rate is out of range.
    """
    decoded = blocks(file, max_frames)
    first = next(decoded)
    rate, count = first.sample_rate_hz, first.samples.shape[1]
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        allowed = f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}"
        raise UndecodableError(f"a sample rate of {rate} Hz is not {allowed}")
    decoded = itertools.chain([first], decoded)
    channel = channels.MEAN
    if count > 1:
        # By all of the recording, which is decoded once more then; one of one channel is not.
        channel = _channel_to_hear(block.samples for block in decoded)
        file.seek(0)
        decoded = blocks(file)
    remark = "; ".join(filter(None, [first.remark, channels.remark(channel, count)]))
    for samples, _, _ in decoded:
        if channel == channels.MEAN:
            yield DecodedBlock(samples.mean(axis=1, dtype=np.float32), rate, remark)
        else:
            yield DecodedBlock(samples[:, channel].copy(), rate, remark)


def _channel_to_hear(parts: Iterable[Floats]) -> int:
    """Channel to take of a recording whose parts are float32 [n, channels]."""
    counted = [(len(part), channels.channel_sums(part)) for part in parts]
    counts, sums = zip(*counted, strict=True)
    return channels.channel_to_hear(sum(counts), np.sum(sums, axis=0))


def decode(contents: bytes) -> Waveform:
    """Decodes a recording in any of libsndfile's formats to mono.

    Args:
      contents: the whole file.

    Returns:
      The waveform and its rate, or the reason why it can't be decoded: more than
      `MAX_WHOLE_FRAMES`, for one.
    """
    try:
        decoded = list(mono_blocks(io.BytesIO(contents), MAX_WHOLE_FRAMES))
    except UndecodableError as error:
        return no_waveform(str(error))
    samples = np.concatenate([block.samples for block in decoded])
    return Waveform(samples, decoded[0].sample_rate_hz, "", decoded[0].remark)


def no_waveform(reason: str) -> Waveform:
    """Says why there is none."""
    return Waveform(np.zeros(0, np.float32), 0, reason, "")


def _named(file: BinaryIO) -> str:
    """Why a file isn't decoded whose format is known to be another; '' where it isn't known."""
    file.seek(0)
    return not_decoded_reason(file.read(HEAD_BYTES))


def _reason(error: soundfile.LibsndfileError) -> str:
    # What libsndfile says of a damaged MP3, as if it had been given a name to look for.
    if "not a regular file" in error.error_string:
        return "libsndfile does not decode it: the file is damaged"
    return f"libsndfile does not decode it: {error.error_string}"
