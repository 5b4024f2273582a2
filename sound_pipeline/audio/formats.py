"""Formats of sound told by a file's first bytes, and those that aren't decoded."""

from __future__ import annotations

from typing import NamedTuple

HEAD_BYTES = 64
"""Bytes of a file that tell its format."""

CONVERT = "convert it, for example by: ffmpeg -i IN OUT.wav"


class Format(NamedTuple):
    """A format.

    Attributes:
      name: what people call it.
      is_decoded: whether some decoder of this package knows it.
    """

    name: str
    is_decoded: bool = False


# By the bytes from a position on.
_MARKS: tuple[tuple[int, bytes, Format], ...] = (
    (8, b"WAVE", Format("WAV", True)),
    (0, b"fLaC", Format("FLAC", True)),
    (28, b"Speex", Format("Ogg Speex")),
    (0, b"OggS", Format("Ogg", True)),
    (8, b"AIFF", Format("AIFF", True)),
    (8, b"AIFC", Format("AIFF", True)),
    (0, b"caff", Format("CAF", True)),
    (0, b".snd", Format("AU", True)),
    (0, b"riff", Format("Wave64", True)),
    (0, b"ID3", Format("MP3", True)),
    (4, b"ftyp3g", Format("3GP (AMR or AAC)")),
    (4, b"ftypqt", Format("QuickTime")),
    (4, b"ftyp", Format("MP4 or M4A (AAC)")),
    (0, b"\x1aE\xdf\xa3", Format("WebM or Matroska")),
    (0, b"#!AMR", Format("AMR")),
    (0, b"0&\xb2u\x8ef\xcf\x11", Format("Windows Media (WMA)")),
    (0, b"ADIF", Format("AAC")),
    (8, b"AVI ", Format("AVI")),
    (0, b".RMF", Format("RealMedia")),
    (0, b".ra\xfd", Format("RealAudio")),
    (0, b"MAC ", Format("Monkey's Audio")),
    (0, b"wvpk", Format("WavPack")),
    (0, b"MPCK", Format("Musepack")),
    (0, b"MP+", Format("Musepack")),
    (0, b"TTA1", Format("True Audio")),
    (0, b"DSD ", Format("DSF")),
    (0, b"FRM8", Format("DSDIFF")),
    (0, b"\x0bw", Format("AC-3")),
    (0, b"\x02dss", Format("DSS")),
    (0, b"\x03ds2", Format("DS2")),
)


def format_of(head: bytes) -> Format | None:
    """Format of a file by its first `HEAD_BYTES`; None where they are no sound's that is known."""
    for at, mark, found in _MARKS:
        if head[at : at + len(mark)] == mark:
            return found
    # Bits that synchronise, then the layer: I, II, III, or none, which is AAC's (ADTS). No files
    # are of layer I, but text in UTF-16 starts alike.
    layer = head[1] & 0x06 if len(head) > 1 else -1
    if head[:1] == b"\xff" and head[1:2] >= b"\xe0" and layer in (2, 4):
        return Format("MP3" if layer == 2 else "MP2", True)
    return Format("AAC") if head[:1] == b"\xff" and head[1:2] >= b"\xf0" and not layer else None


def not_decoded_reason(head: bytes) -> str:
    """Why a file of such first bytes is not decoded: one line; '' where its format isn't known."""
    found = format_of(head)
    return f"{found.name} is not decoded: {CONVERT}" if found and not found.is_decoded else ""
