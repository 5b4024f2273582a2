"""Recordings in the formats that libsndfile writes, whole and damaged."""

from __future__ import annotations

import functools
import io
import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soundfile
import tensorflow as tf

from tests.helpers import sounds


class Format(NamedTuple):
    """A way to write a recording."""

    container: str
    subtype: str
    rate_hz: int
    max_channels: int = 2


FORMATS = (
    Format("FLAC", "PCM_S8", 22050),
    Format("FLAC", "PCM_16", 44100),
    Format("FLAC", "PCM_24", 96000),
    *(Format("OGG", "VORBIS", rate_hz) for rate_hz in (44100, 16000, 8000)),
    *(Format("OGG", "OPUS", rate_hz) for rate_hz in (48000, 16000)),
    *(Format("MP3", "MPEG_LAYER_III", hz) for hz in (48000, 44100, 32000, 22050, 16000, 8000)),
    *(Format("AIFF", subtype, 44100) for subtype in ("PCM_16", "PCM_24", "PCM_U8")),
    # Of these libsndfile makes AIFC.
    *(Format("AIFF", subtype, 22050) for subtype in ("FLOAT", "ULAW", "IMA_ADPCM")),
    Format("AIFF", "GSM610", 8000, 1),
    *(Format("CAF", subtype, 48000) for subtype in ("PCM_16", "ALAC_16", "ALAC_24")),
    *(Format("AU", subtype, 8000) for subtype in ("PCM_16", "ULAW", "FLOAT")),
    *(Format("AU", subtype, 8000, 1) for subtype in ("G721_32", "G723_24")),
    Format("W64", "PCM_24", 44100),
    Format("RF64", "PCM_16", 44100),
    Format("WAV", "PCM_32", 44100),
    Format("WAV", "IMA_ADPCM", 22050),
    Format("WAV", "MS_ADPCM", 11025),
    *(Format("WAV", subtype, 8000, 1) for subtype in ("GSM610", "G721_32", "NMS_ADPCM_24")),
    Format("VOC", "PCM_U8", 22050),
    Format("NIST", "PCM_16", 16000),
    Format("IRCAM", "PCM_16", 44100),
    Format("SVX", "PCM_16", 22050, 1),
)


@functools.cache
def encode(
    container: str,
    subtype: str,
    rate_hz: int = 44100,
    channels: int = 1,
    frames: int = 3000,
    seed: int = 0,
) -> bytes:
    """Noise over a tone, the channels different."""
    samples = sounds.noise(frames * channels, 0.05, seed).reshape(frames, channels)
    samples += sounds.tone(440 + seed, frames, rate_hz, 0.3)[:, None]
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=container, subtype=subtype)
    return stream.getvalue()


def every_format() -> dict[str, bytes]:
    """All of `FORMATS` in one and in two channels, and an MP3 with a tag."""
    written = {
        f"{one.container}-{one.subtype}-{one.rate_hz}-{channels}": encode(*one[:3], channels)
        for one in FORMATS
        for channels in range(1, one.max_channels + 1)
    }
    tagged = tag_id3(encode("MP3", "MPEG_LAYER_III", 22050, 2), 300)
    return written | {"MP3-MPEG_LAYER_III-22050-2-ID3": tagged}


def by_libsndfile(contents: bytes) -> tuple[sounds.Floats, int]:
    """The mean over the channels, float32 [samples], and the rate."""
    frames, rate_hz = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)
    return frames.mean(axis=1, dtype=np.float32), rate_hz


def tag_id3(mp3: bytes, size: int) -> bytes:
    """An MP3 behind an ID3v2 tag of this many bytes, in which there is nothing."""
    sevens = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + sevens + bytes(size) + mp3


def claim_mp3_frames(mp3: bytes, count: int) -> bytes:
    """An MP3 whose first frame says that it has so many."""
    at = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    return mp3[:at] + struct.pack(">I", count) + mp3[at + 4 :]


def claim_flac_samples(flac: bytes, count: int) -> bytes:
    """A FLAC whose header says that it has so many samples."""
    word = int.from_bytes(flac[18:26], "big") >> 36 << 36 | count
    return flac[:18] + word.to_bytes(8, "big") + flac[26:]


def claim_vorbis_samples(vorbis: bytes, count: int) -> bytes:
    """An Ogg Vorbis whose last page says that so many samples end with it."""
    at = vorbis.rfind(b"OggS") + 6
    return repair_ogg(vorbis[:at] + struct.pack("<Q", count) + vorbis[at + 8 :])


def ops(graph: tf.compat.v1.GraphDef) -> set[str]:
    """The names of all ops in a graph and in its functions."""
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def flip(contents: bytes, *places: int) -> bytes:
    """All bits of some bytes turned over."""
    damaged = bytearray(contents)
    for place in places:
        damaged[place] ^= 0xFF
    return bytes(damaged)


def repair_ogg(contents: bytes) -> bytes:
    """Puts the check sums of Ogg's pages right, so that faults behind them are looked at."""
    data = bytearray(contents)
    at = data.find(b"OggS")
    while 0 <= at <= len(data) - 27:
        segments = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(segments) + sum(segments)
        data[at + 22 : at + 26] = bytes(4)
        data[at + 22 : at + 26] = struct.pack("<I", _ogg_sum(bytes(data[at:end])))
        at = data.find(b"OggS", max(end, at + 4))
    return bytes(data)


@functools.cache
def _ogg_sums_of_bytes() -> Sequence[int]:
    sums = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x104C11DB7 if value & 0x80000000 else 0)
        sums.append(value)
    return sums


def _ogg_sum(page: bytes) -> int:
    table = _ogg_sums_of_bytes()
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ table[value >> 24 ^ byte]
    return value


_SIZES = (0, 1, 2, 7, 16, 40, 255, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def mutate(base: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """A file with one to three faults of the kinds that transfers, disks and programs make."""
    data = bytearray(base)
    for _ in range(dice.randint(1, 3)):
        # Half of the faults are in the header, where they tell most.
        span = dice.choice([min(100, len(data)), len(data)])
        at = dice.randrange(span)
        kind = dice.randrange(6)
        if kind == 0:
            for _ in range(dice.randint(1, 8)):
                data[dice.randrange(span)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[max(4, dice.randrange(len(data))) :]
        elif kind == 2:
            del data[max(4, at) : at + dice.randint(1, 200)]
        elif kind == 3:
            other = dice.choice(others)
            start = dice.randrange(len(other))
            data[at:at] = other[start : start + dice.randint(1, 400)]
        elif kind == 4:
            data[at : at + 4] = struct.pack(dice.choice("<>") + "I", dice.choice(_SIZES))
        else:
            end = min(len(data), at + dice.randint(1, 300))
            data[at:end] = bytes([dice.choice([0x00, 0xFF])]) * (end - at)
    mutated = bytes(data)
    return repair_ogg(mutated) if dice.random() < 0.7 else mutated
