"""WAV files written byte by byte, for the layouts that no library writes."""

from __future__ import annotations

import struct

import numpy as np

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
AMBISONIC_PCM_GUID = bytes.fromhex("010000002107d3118644c8c1ca000000")


def chunk(name: bytes, body: bytes, declared: int | None = None, pad: bool = True) -> bytes:
    """One chunk, padded to an even size; `declared` is the size it claims to have."""
    size = len(body) if declared is None else declared
    return name + struct.pack("<I", size) + body + (b"\0" if pad and len(body) % 2 else b"")


def fmt(
    tag: int = PCM,
    channels: int = 1,
    rate_hz: int = 44100,
    bits: int = 16,
    frame_bytes: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """A `fmt ` chunk of 16 bytes and a tail."""
    frame = channels * ((bits + 7) // 8) if frame_bytes is None else frame_bytes
    byte_rate = (rate_hz * frame) & 0xFFFFFFFF
    head = struct.pack("<HHIIHH", tag, channels, rate_hz, byte_rate, frame & 0xFFFF, bits)
    return chunk(b"fmt ", head + tail)


def extensible(
    tag: int = PCM,
    channels: int = 1,
    rate_hz: int = 44100,
    bits: int = 16,
    valid_bits: int | None = None,
    guid: bytes | None = None,
) -> bytes:
    """A `fmt ` chunk of WAVE_FORMAT_EXTENSIBLE, its sub-format a tag or any other GUID."""
    sub_format = struct.pack("<H", tag) + GUID_TAIL if guid is None else guid
    valid = bits if valid_bits is None else valid_bits
    tail = struct.pack("<HHI", 22, valid, 0) + sub_format
    return fmt(EXTENSIBLE, channels, rate_hz, bits, tail=tail)


def riff(*chunks: bytes, magic: bytes = b"RIFF", declared: int | None = None) -> bytes:
    """A whole file; `declared` is the RIFF size it claims to have."""
    body = b"WAVE" + b"".join(chunks)
    size = len(body) if declared is None else declared
    return magic + struct.pack("<I", size) + body


def ds64(riff_size: int, data_size: int, samples: int = 0, table: bytes = b"") -> bytes:
    """The chunk with the 64-bit sizes of RF64 and BW64."""
    sizes = struct.pack("<qqq", riff_size, data_size, samples)
    return chunk(b"ds64", sizes + struct.pack("<I", len(table) // 12) + table)


def rf64(
    *chunks: bytes, data: bytes, magic: bytes = b"RF64", data_size: int | None = None
) -> bytes:
    """A whole RF64 file: ds64, the chunks, then the data with its sizes in ds64."""
    size = len(data) if data_size is None else data_size
    rest = b"".join(chunks) + chunk(b"data", data, declared=0xFFFFFFFF)
    total = len(b"WAVE" + ds64(0, 0) + rest)
    return riff(ds64(total, size), rest, magic=magic, declared=0xFFFFFFFF)


def samples(tag: int, bits: int, count: int, seed: int = 0) -> bytes:
    """`count` random samples that use all of the range of their encoding."""
    random = np.random.default_rng(seed)
    if tag == FLOAT:
        return random.uniform(-1, 1, count).astype(f"<f{bits // 8}").tobytes()
    return random.bytes(count * ((bits + 7) // 8))
