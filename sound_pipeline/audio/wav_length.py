"""Length of a WAV file's sound where its header doesn't give it, for decoders without TensorFlow.

The rule is that of `wav_header.find_data`, which reads headers inside a graph.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, NamedTuple

OPEN = "its header gives no length, or a wrong one: it is read to the end of the file"
CUT_OFF = "it ends before the length in its header: it was cut off, or never completed"

MAX_CHUNKS = 4096
"""Chunks looked at before the walk gives up: a file of nothing but tiny chunks must end too."""

NO_SIZE = 0xFFFFFFFF
"""Size that means "see ds64" in RF64, and "not known yet" from a streaming writer."""

LEAST_PART_OF_A_SECOND = 10
"""Sound beyond the declared size counts from a tenth of a second on."""

CHUNK_NAME = rb"[ -~]{4}"
TAGS = (b"TAG", b"ID3", b"APET")
"""Starts of the tags that other programs append: ID3v1, ID3v2 and APE."""

_DS64_DATA_SIZE_AT = 28


class WavLength(NamedTuple):
    """What a header says of the length of its sound, and how far that is true.

    Attributes:
      size_at: where in the file the size of the sound is.
      size: bytes to read there instead, for a decoder that goes by it; empty where it is right.
      remark: one line for the user; '' where it is right.
    """

    size_at: int = 0
    size: bytes = b""
    remark: str = ""


_RIGHT = WavLength()


def wav_length(file: BinaryIO) -> WavLength:
    """Compares a WAV file's declared length with the file; of any other file nothing is said.

    Args:
      file: open for reading, and left where it was.
    """
    before = file.tell()
    try:
        return _compared(file)
    finally:
        file.seek(before)


def _compared(file: BinaryIO) -> WavLength:
    length = file.seek(0, os.SEEK_END)
    head = _read(file, 0, 12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return _RIGHT
    at, second_bytes, frame_bytes = 12, 0, 1
    for _ in range(MAX_CHUNKS):
        if at + 8 > length:
            return _RIGHT
        name, size = struct.unpack("<4sI", _read(file, at, 8))
        if name == b"data":
            break
        if name == b"fmt " and not second_bytes and len(fmt := _read(file, at + 8, 14)) == 14:
            _, _, rate_hz, _, frame_bytes = struct.unpack("<HHIIH", fmt)
            second_bytes = rate_hz * frame_bytes
        at += 8 + size + size % 2
    else:
        return _RIGHT
    start, riff_size, size_at = at + 8, struct.unpack("<I", head[4:8])[0], at + 4
    available, open_size = length - start, struct.pack("<I", NO_SIZE)
    if head[:4] != b"RIFF" and size == NO_SIZE:
        ds64 = _read(file, 20, 16)
        riff_size, size = struct.unpack("<qq", ds64.ljust(16, b"\0"))
        size_at, open_size = _DS64_DATA_SIZE_AT, struct.pack("<q", available)
    elif size == NO_SIZE:
        size = 0
    riff_end = 8 + riff_size
    is_empty = size == 0 and start < riff_end <= length + 1
    goes_on = (available - size) * LEAST_PART_OF_A_SECOND >= second_bytes
    beyond = goes_on and not any(
        _is_chunks(file, length, start + size + pad) for pad in (0, size % 2)
    )
    if not is_empty and (size == 0 or beyond):
        return WavLength(size_at, open_size, OPEN)
    return WavLength(remark=CUT_OFF if size - available >= max(frame_bytes, 2) else "")


def _is_chunks(file: BinaryIO, length: int, at: int) -> bool:
    """Whether all from a byte on is chunks, or starts as a tag does."""
    if _read(file, at, 4).startswith(TAGS):
        return True
    for _ in range(MAX_CHUNKS):
        if at + 8 > length:
            return True
        name, size = struct.unpack("<4sI", _read(file, at, 8))
        at += 8 + size + size % 2
        if not re.fullmatch(CHUNK_NAME, name) or at > length + 1:
            return False
    return True


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
