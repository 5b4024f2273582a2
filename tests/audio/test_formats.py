"""Formats told by first bytes, against files that libraries wrote and the specifications' marks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.audio.decoding import decode_whole
from sound_pipeline.audio.formats import HEAD_BYTES, format_of
from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.errors import UnreadableError

HEADS = {
    "M4A": (b"\0\0\0\x20ftypM4A \0\0\x02\0", "MP4 or M4A (AAC)"),
    "3GP": (b"\0\0\0\x18ftyp3gp4\0\0\0\0", "3GP (AMR or AAC)"),
    "QuickTime": (b"\0\0\0\x14ftypqt  \0\0\0\0", "QuickTime"),
    "WebM": (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", "WebM or Matroska"),
    "AMR": (b"#!AMR\n<\x08", "AMR"),
    "AMR-WB": (b"#!AMR-WB\n\x04", "AMR"),
    "WMA": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "Windows Media (WMA)"),
    "ADTS, MPEG-4": (b"\xff\xf1\x50\x80\x04\x3f\xfc", "AAC"),
    "ADTS, MPEG-2": (b"\xff\xf9\x50\x80\x04\x3f\xfc", "AAC"),
    "Monkey's Audio": (b"MAC \x96\x0f", "Monkey's Audio"),
    "WavPack": (b"wvpk\x20\0\0\0", "WavPack"),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_is_not_decoded_is_named_by_every_way_in(tmp_path: Path, name: str) -> None:
    head, called = HEADS[name]
    contents = head + bytes(range(256)) * 8
    expected = f"{called} is not decoded: convert it, for example by: ffmpeg -i IN OUT.wav"
    assert decode_whole(contents).reason == expected
    path = tmp_path / "a.wav"  # whatever it is called
    path.write_bytes(contents)
    for tensorflow in (True, False):
        with pytest.raises(UnreadableError) as error:
            AudioReader(str(path), tensorflow=tensorflow)
        assert error.value.reason == expected


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU", "W64", "RF64"])
def test_what_is_decoded_is_known(kind: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000), 8000, format=kind)
    found = format_of(file.getvalue()[:HEAD_BYTES])
    assert found is not None and found.is_decoded


@pytest.mark.parametrize(
    "content", [b"", b"R", b"text and more", b"\xff", b"\x89PNG\r\n", bytes(64)]
)
def test_what_is_no_sound(content: bytes) -> None:
    assert format_of(content) is None
