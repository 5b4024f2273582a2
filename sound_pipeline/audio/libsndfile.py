"""Decoding with libsndfile: for what the graph can't decode itself."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from sound_pipeline.audio import channels
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.system.arrays import Floats

_BLOCK_SAMPLES = 1 << 20


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

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read = file.read
        self.tell = file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)


def blocks(file: BinaryIO) -> Iterator[tuple[Floats, int]]:
    """Decodes a recording in any of libsndfile's formats, in constant memory.

    Args:
      file: open for reading, and stays so.

    Yields:
      samples: float32 [n, channels], the next of the recording; -1..1 for integer encodings.
      sample_rate_hz: the same for all; at least one block comes.

    Raises:
      UndecodableError: libsndfile fails, or the samples are none or not finite.
    """
    empty = True
    try:
        with _Sequential(_Forgiving(file)) as recording:
            frames = max(1, _BLOCK_SAMPLES // recording.channels)
            while len(samples := recording.read(frames, dtype="float32", always_2d=True)):
                if not np.isfinite(samples).all():
                    raise UndecodableError("the samples are not finite")
                empty = False
                yield samples, recording.samplerate
    except soundfile.LibsndfileError as error:
        raise UndecodableError(_reason(error)) from error
    except TypeError as error:
        # Raw samples, which soundfile takes the file for, would need a format from the caller.
        raise UndecodableError(
            "libsndfile does not decode it: the format is not recognised"
        ) from error
    if empty:
        raise UndecodableError("the file holds no samples")


def mono_blocks(file: BinaryIO) -> Iterator[tuple[Floats, int]]:
    """Decodes a recording in any of libsndfile's formats to mono, in constant memory.

    Args:
      file: open for reading, and stays so.

    Yields:
      samples: float32 [n], one channel of the next of the recording (see `channels`).
      sample_rate_hz: the same for all; at least one block comes.

    Raises:
      UndecodableError: as `blocks`, or the sample rate is out of range.
    """
    decoded = blocks(file)
    first, rate = next(decoded)
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        allowed = f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}"
        raise UndecodableError(f"a sample rate of {rate} Hz is not {allowed}")
    decoded = itertools.chain([(first, rate)], decoded)
    channel = channels.MEAN
    if first.shape[1] > 1:
        # By all of the recording, which is decoded once more then; one of one channel is not.
        channel = _channel_to_hear(samples for samples, _ in decoded)
        file.seek(0)
        decoded = blocks(file)
    for samples, rate in decoded:
        if channel == channels.MEAN:
            yield samples.mean(axis=1, dtype=np.float32), rate
        else:
            yield samples[:, channel].copy(), rate


def _channel_to_hear(parts: Iterable[Floats]) -> int:
    """Channel to take of a recording whose parts are float32 [n, channels]."""
    counted = [(len(part), channels.channel_sums(part)) for part in parts]
    counts, sums = zip(*counted, strict=True)
    return channels.channel_to_hear(sum(counts), np.sum(sums, axis=0))


def decode(contents: bytes) -> tuple[Floats, int, str]:
    """Decodes a recording in any of libsndfile's formats to mono.

    Args:
      contents: the whole file.

    Returns:
      waveform: float32 [samples], one channel (see `channels`); empty where there is a reason.
      sample_rate_hz: 0 where there is a reason.
      reason: why it can't be decoded, one line; empty where it could.
    """
    try:
        waveforms, rates = zip(*mono_blocks(io.BytesIO(contents)), strict=True)
    except UndecodableError as error:
        return np.zeros(0, np.float32), 0, str(error)
    return np.concatenate(waveforms), rates[0], ""


def _reason(error: soundfile.LibsndfileError) -> str:
    # What libsndfile says of a damaged MP3, as if it had been given a name to look for.
    if "not a regular file" in error.error_string:
        return "libsndfile does not decode it: the file is damaged"
    return f"libsndfile does not decode it: {error.error_string}"
