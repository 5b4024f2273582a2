"""Recordings in a folder that are not read: in other formats, or without a recording's ending."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from sound_pipeline.audio.formats import HEAD_BYTES, format_of
from sound_pipeline.system.filesystem import is_remote, open_binary

OTHER_AUDIO_SUFFIXES = (
    ".3g2", ".3gp", ".8svx", ".aa3", ".aac", ".ac3", ".amr", ".ape", ".asf", ".avi", ".avr", ".awb",
    ".ds2", ".dsf", ".dss", ".dts", ".eac3", ".flv", ".htk", ".ircam", ".m4a", ".m4b", ".m4r",
    ".mka", ".mkv", ".mov", ".mp2", ".mp4", ".mpc", ".nist", ".oma", ".paf", ".pvf", ".qcp", ".ra",
    ".rm", ".spx", ".sph", ".svx", ".tta", ".voc", ".webm", ".wma", ".wmv", ".wv", ".xi",
)  # fmt: skip
"""Endings, in lower case, of other files that hold sound."""

# What is beside recordings, and never one: not opened to be looked at.
_NO_SOUND = (
    ".aup3", ".bmp", ".cfg", ".csv", ".doc", ".docx", ".gif", ".html", ".ini", ".jpeg", ".jpg",
    ".json", ".log", ".md", ".npy", ".npz", ".pdf", ".pkl", ".png", ".py", ".reapeaks", ".rtf",
    ".tsv", ".txt", ".wav.asd", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip",
)  # fmt: skip


class PassedOver:
    """Files that hold sound and are not read, of those that `files_below` lists."""

    def __init__(self) -> None:
        """Starts with none."""
        self._others: Counter[str] = Counter()
        self._unnamed: Counter[str] = Counter()
        self._first = self._first_unnamed = ""

    def add(self, path: str, recordings: Sequence[str]) -> None:
        """Looks at a file that is not a recording by its ending.

        Args:
          path: of the file.
          recordings: names of those in its folder: one of the same name is what it was made into.
        """
        stem, suffix = os.path.splitext(path)
        suffix = suffix.lower()
        if suffix in OTHER_AUDIO_SUFFIXES:
            if not any(os.path.splitext(name)[0] == os.path.basename(stem) for name in recordings):
                self._others[suffix] += 1
                self._first = min(self._first or path, path)
        elif suffix not in _NO_SOUND and (name := _format_name(path)):
            self._unnamed[name] += 1
            self._first_unnamed = min(self._first_unnamed or path, path)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to say, a line each."""
        remarks = []
        if self._others:
            remarks.append(
                f"{self._others.total()} recordings are passed over, as their formats are not read "
                f"({_counts(self._others)}; the first is {self._first}): convert them, each for "
                f"example by: ffmpeg -i NAME{min(self._others)} NAME.wav"
            )
        if self._unnamed:
            remarks.append(
                f"{self._unnamed.total()} files are passed over that hold sound by their content, "
                f"but don't end as recordings do ({_counts(self._unnamed)}; the first is "
                f"{self._first_unnamed}): rename them"
            )
        return tuple(remarks)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def _format_name(path: str) -> str:
    """Format of a file by its content; '' where it is no sound, or can't be looked at."""
    if is_remote(path):
        return ""  # to look would be a request for each file
    try:
        with open_binary(path) as file:
            found = format_of(file.read(HEAD_BYTES))
    except OSError:
        return ""
    return found.name if found else ""
