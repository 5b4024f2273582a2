"""WAV files of every encoding, rate, number of channels and order of chunks that is decoded."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from sound_pipeline.audio.wav_header import MAX_CHUNKS
from tests.helpers import wav_files as wf

FRAMES = 50


def by_libsndfile(container: str, subtype: str, rate_hz: int, channels: int) -> bytes:
    stream = io.BytesIO()
    frames = np.random.default_rng(channels).uniform(-1, 1, (FRAMES, channels))
    soundfile.write(stream, frames, rate_hz, format=container, subtype=subtype)
    return stream.getvalue()


def written_by_libsndfile() -> dict[str, bytes]:
    shapes = {"WAV": [(44100, 1), (48000, 2)], "WAVEX": [(16000, 1), (96000, 6)]}
    shapes["RF64"] = [(22050, 1), (44100, 2)]
    subtypes = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")
    matrix = [
        (container, subtype, *shape)
        for container, of_container in shapes.items()
        for subtype in subtypes
        for shape in of_container
    ]
    extremes = [
        ("WAV", subtype, rate_hz, channels)
        for subtype, rate_hz, channels in (
            ("PCM_16", 1000, 1),
            ("PCM_16", 384000, 1),
            ("PCM_16", 44100, 32),
            ("PCM_24", 44100, 32),
            ("PCM_24", 192000, 3),
            ("FLOAT", 8000, 32),
            ("DOUBLE", 11025, 5),
            ("ULAW", 8000, 32),
            ("PCM_U8", 8000, 7),
        )
    ]
    return {"-".join(map(str, case)): by_libsndfile(*case) for case in matrix + extremes}


def written_by_hand() -> dict[str, tuple[bytes, bytes]]:
    """Files by name, each with one that libsndfile reads and that holds the same recording."""
    data16 = wf.samples(wf.PCM, 16, 2 * FRAMES)
    body16 = wf.chunk(b"data", data16)
    plain = wf.riff(wf.fmt(), body16)
    info = wf.chunk(b"LIST", b"INFOISFT\x05\0\0\0odd!\0")
    junk = wf.chunk(b"JUNK", bytes(28))
    bext = wf.chunk(b"bext", bytes(602))
    bits24 = [0x800000, 0x800001, 0xFFFFFF, 0, 1, 0x7FFFFF, 0x00FF00, 0xFF00FF]
    edges24 = b"".join(value.to_bytes(3, "little") for value in bits24)
    edges16 = np.array([-32768, -32767, -1, 0, 1, 32767], "<i2").tobytes()
    edges32 = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**24 + 1, 2**31 - 1], "<i4").tobytes()
    codes = wf.chunk(b"data", bytes(range(256)))
    stereo = wf.riff(wf.fmt(channels=2), body16)

    same = {
        "JUNK first": wf.riff(junk, wf.fmt(), body16),
        "JUNK of no bytes": wf.riff(wf.chunk(b"JUNK", b""), wf.fmt(), body16),
        "odd LIST between": wf.riff(wf.fmt(), info, body16),
        "odd LIST first and last": wf.riff(info, wf.fmt(), body16, info),
        "bext, JUNK, LIST before and after": wf.riff(bext, junk, wf.fmt(), info, body16, bext),
        "fmt of 18 bytes": wf.riff(wf.fmt(tail=b"\0\0"), body16),
        "fmt of 40 bytes, not EXTENSIBLE": wf.riff(wf.fmt(tail=bytes(24)), body16),
        "bytes after RIFF": plain + b"ID3" + bytes(range(99)),
        "odd data, padded": wf.riff(wf.fmt(bits=8), wf.chunk(b"data", data16[:33]), info),
        "odd data, not padded": wf.riff(wf.fmt(bits=8), wf.chunk(b"data", data16[:33], pad=False)),
        "8-bit of all values": wf.riff(wf.fmt(bits=8), codes),
        "A-law of all codes": wf.riff(wf.fmt(wf.A_LAW, bits=8), codes),
        "mu-law of all codes": wf.riff(wf.fmt(wf.MU_LAW, bits=8), codes),
        "16-bit edges": wf.riff(wf.fmt(), wf.chunk(b"data", edges16)),
        "24-bit edges": wf.riff(wf.fmt(bits=24), wf.chunk(b"data", edges24)),
        "32-bit edges": wf.riff(wf.fmt(bits=32), wf.chunk(b"data", edges32)),
        "12 bits in 2 bytes": wf.riff(wf.fmt(bits=12), body16),
        "half a frame at the end": wf.riff(wf.fmt(channels=2), wf.chunk(b"data", data16[:-2])),
        "data truncated": plain[:-51],
        "data declares 2 GiB": wf.riff(wf.fmt(), wf.chunk(b"data", data16, declared=0x7FFFFFFE)),
        "streamed: sizes of all ones": wf.riff(
            wf.fmt(), wf.chunk(b"data", data16, declared=0xFFFFFFFF), declared=0xFFFFFFFF
        ),
        "RIFF size 0": b"RIFF\0\0\0\0" + plain[8:],
        "32 channels at 384 kHz": wf.riff(
            wf.fmt(bits=24, channels=32, rate_hz=384000),
            wf.chunk(b"data", wf.samples(wf.PCM, 24, 32 * FRAMES)),
        ),
        "1 kHz": wf.riff(wf.fmt(rate_hz=1000), body16),
        "RF64 with a table": wf.riff(
            wf.ds64(0, len(data16), table=b"LIST" + bytes(8)),
            wf.fmt(),
            wf.chunk(b"data", data16, declared=0xFFFFFFFF),
            magic=b"RF64",
            declared=0xFFFFFFFF,
        ),
        "RF64 with a 32-bit data size": wf.riff(
            wf.ds64(0, len(data16)), wf.fmt(), body16, magic=b"RF64", declared=0xFFFFFFFF
        ),
    }
    for tag, bits, valid_bits in (
        (wf.PCM, 8, 8),
        (wf.PCM, 16, 16),
        (wf.PCM, 16, 12),
        (wf.PCM, 24, 24),
        (wf.PCM, 24, 20),
        (wf.PCM, 32, 32),
        (wf.PCM, 32, 24),
        (wf.FLOAT, 32, 32),
        (wf.FLOAT, 64, 64),
        (wf.A_LAW, 8, 8),
        (wf.MU_LAW, 8, 8),
    ):
        header = wf.extensible(tag, channels=2, bits=bits, valid_bits=valid_bits)
        samples = wf.samples(tag, bits, 2 * FRAMES, seed=bits)
        name = f"EXTENSIBLE of tag {tag}, {valid_bits} of {bits} bits"
        same[name] = wf.riff(header, wf.chunk(b"data", samples))
    alike = {
        # libsndfile doesn't skip the padding of odd chunks in RF64.
        "RF64 with JUNK and odd LIST": (wf.rf64(junk, info, wf.fmt(), data=data16), plain),
        "BW64": (wf.rf64(wf.fmt(), data=data16, magic=b"BW64"), plain),
        "data before fmt": (wf.riff(body16, info, wf.fmt()), plain),
        "second fmt and data": (
            wf.riff(wf.fmt(), body16, wf.fmt(rate_hz=8000), wf.chunk(b"data", b"\1\1")),
            plain,
        ),
        "second fmt before data": (wf.riff(wf.fmt(channels=2), wf.fmt(), body16), stereo),
        "stopped: both sizes 0": (
            wf.riff(wf.fmt(), wf.chunk(b"data", data16, declared=0), declared=0),
            plain,
        ),
        "stopped: RIFF size of the header": (
            wf.riff(wf.fmt(), wf.chunk(b"data", data16, declared=0), declared=36),
            plain,
        ),
        "streamed: RIFF of all ones, data 0": (
            wf.riff(wf.fmt(), wf.chunk(b"data", data16, declared=0), declared=0xFFFFFFFF),
            plain,
        ),
        "RF64 stopped: ds64 of zeros": (
            wf.riff(
                wf.ds64(0, 0),
                wf.fmt(),
                wf.chunk(b"data", data16, declared=0xFFFFFFFF),
                magic=b"RF64",
                declared=0xFFFFFFFF,
            ),
            plain,
        ),
        "RF64 declares 2**62 bytes": (wf.rf64(wf.fmt(), data=data16, data_size=2**62), plain),
        "as many chunks as are looked at": (
            wf.riff(*[wf.chunk(b"JUNK", b"")] * (MAX_CHUNKS - 2), wf.fmt(), body16),
            plain,
        ),
    }
    return {name: (contents, contents) for name, contents in same.items()} | alike


def written_by_sox() -> dict[str, bytes]:
    """A third writer, where it is installed: none of these has the header of the other two."""
    if not shutil.which("sox"):
        return {}
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for encoding, bits in (
            ("unsigned-integer", 8),
            ("signed-integer", 16),
            ("signed-integer", 24),
            ("signed-integer", 32),
            ("floating-point", 32),
            ("floating-point", 64),
            ("a-law", 8),
            ("u-law", 8),
        ):
            for channels, rate_hz in ((1, 8000), (2, 44100), (6, 192000)):
                path = Path(folder, "tone.wav")
                form = ["-e", encoding, "-b", str(bits), "-c", str(channels), "-r", str(rate_hz)]
                sound = ["synth", f"{FRAMES}s", "sine", "440", "vol", "0.7"]
                command = ["sox", "-R", "-V1", "-n", *form, str(path), *sound]
                subprocess.run(command, check=True, timeout=20)
                files[f"sox {encoding} {bits} {channels} {rate_hz}"] = path.read_bytes()
    return files


WRITTEN = written_by_libsndfile() | written_by_sox()
FILES = {name: (contents, contents) for name, contents in WRITTEN.items()} | written_by_hand()
"""By name: a file, and one that libsndfile reads that holds the same samples."""
