"""One recording of a data set, as it is on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

import soundfile

from sound_pipeline.audio.durations import MAX_WHOLE_BYTES, MAX_WHOLE_FRAMES, TOO_LONG
from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.errors import UnreadableError
from sound_pipeline.system.filesystem import open_binary

UNKNOWN = "unknown"

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class CheckedFile:
    """One recording, as it is on disk.

    Attributes:
      path: where it is, or was to be.
      label: the name of its class.
      fold: its cross-validation fold, or None.
      group: its source recording.
      missing: whether there is no such file.
      reason: why training can't use it; '' if it can.
      remark: how it is decoded, if it isn't as it should be: see `audio.wav.DecodedAudio`.
      sha256: of its content, hexadecimal; '' where it can't be opened.
      encoding: libsndfile's names of its format and of the encoding in it; UNKNOWN where
        libsndfile doesn't know it (the package's own decoder may).
      sample_rate_hz: 0 where it is not known.
      channels: 0 where they are not known.
      seconds: its duration as decoded; 0 where it can't be.
    """

    path: str
    label: str
    fold: int | None
    group: str
    missing: bool = False
    reason: str = ""
    remark: str = ""
    sha256: str = ""
    encoding: str = UNKNOWN
    sample_rate_hz: int = 0
    channels: int = 0
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether training can use it."""
        return not self.reason


def check_file(recording: Recording) -> CheckedFile:
    """Reads one file, block by block.

    Args:
      recording: names it; it need not exist.
    """
    listed = recording.path, recording.label, recording.fold, recording.group
    try:
        with open_binary(recording.path) as file:
            sha256, encoding, rate, channels = _looked_at(file)
            length = file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return CheckedFile(*listed, missing=True, reason="the file is missing")
    except OSError as error:
        return CheckedFile(*listed, reason=error.strerror or str(error))
    frames, reason, remark = 0, "", ""
    try:
        with AudioReader(recording.path) as reader:
            rate, remark = reader.sample_rate_hz, reader.remark
            frames = sum(map(len, reader.blocks))
    except UnreadableError as error:
        frames, reason = 0, error.reason
    if frames > MAX_WHOLE_FRAMES or length > MAX_WHOLE_BYTES:
        reason = reason or TOO_LONG
    return CheckedFile(
        *listed,
        reason=reason,
        remark=remark,
        sha256=sha256,
        encoding=encoding,
        sample_rate_hz=rate,
        channels=channels,
        seconds=frames / rate if rate else 0.0,
    )


def _looked_at(file: BinaryIO) -> tuple[str, str, int, int]:
    """SHA-256 of a file, its encoding, sample rate and channels."""
    digest = hashlib.sha256()
    while block := file.read(_READ_BYTES):
        digest.update(block)
    sha256 = digest.hexdigest()
    file.seek(0)
    try:
        header = soundfile.info(file)
    except (soundfile.LibsndfileError, TypeError):  # the latter for what it takes for raw samples
        return sha256, UNKNOWN, 0, 0
    return sha256, f"{header.format} {header.subtype}", header.samplerate, header.channels
