"""Events kept on disk: each one's sound and image, and a line in events.jsonl.

Everything is written aside (see atomic_files.py), and seen when it is whole.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from sound_pipeline.errors import UserError
from sound_pipeline.events.cut_names import clock_name, cut_name
from sound_pipeline.events.event import Event
from sound_pipeline.events.text import json_line
from sound_pipeline.live.event_audio import MOST_SECONDS
from sound_pipeline.live.output import event_record
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside

EVENTS_FILE = "events.jsonl"

# Some hundred seconds of sound: with less room, the first events already would not fit.
_LEAST_FREE_BYTES = 16 * 2**20
_RESERVED = ".reserved"


DrawImage = Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.uint8]]


def prepare_folder(directory: Path) -> None:
    """Makes sure that a folder can be written, with some room on its disk.

    Args:
      directory: made where it doesn't exist; may hold earlier events.

    Raises:
      UserError: it can't be written, or its disk is full.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _end_last_line(directory / EVENTS_FILE)
        remove_abandoned(directory)
        free = shutil.disk_usage(directory).free
    except OSError as error:
        reason = error.strerror or error
        message = f"--save_events={directory}: can't be written: {reason}; give another folder"
        raise UserError(message) from error
    if free < _LEAST_FREE_BYTES:
        raise UserError(
            f"--save_events={directory}: only {free / 2**20:.0f} MiB are free on its disk; "
            "make room, or give another folder"
        )


class EventSaver:
    """Writes events to a folder: NAME.wav, NAME.png and a line in events.jsonl for each.

    The image is what the model sees of the sound's first window; a model that draws none leaves
    NAME.png out. NAME is the start and the label: `20251103T130307.120Z_dog_bark` by the clock
    (UTC, which has no hour twice), or `yard_000012.340_dog_bark` within the recording yard.wav.
    Names sort by time; where one is taken, the next is `..._dog_bark-2`.
    """

    def __init__(
        self, directory: Path, image: DrawImage | None, notice: Callable[[str], None]
    ) -> None:
        """Makes sure that the folder can be written.

        Args:
          directory: made where it doesn't exist; may hold earlier events.
          image: float32 [n] and its rate in Hz to uint8 [height, width, 3]; None to save none.
          notice: takes what the person should know. A full disk later on ends nothing: events
            are not saved until there is room again.

        Raises:
          UserError: the folder can't be written, or its disk is full.
        """
        self._directory = directory
        self._image = image
        self._notice = notice
        self._unsaved = 0
        self._is_late = False
        prepare_folder(directory)

    def save(
        self,
        event: Event,
        samples: npt.NDArray[np.float32] | None,
        sample_rate_hz: int,
        source: str,
        time: datetime | None = None,
    ) -> bool:
        """Writes an event: 16-bit WAV, PNG and record.

        Args:
          event: it.
          samples: float32 [n], -1..1, its sound, or the beginning of that; beyond is clipped. None
            where its label came too late for that: it is not saved.
          sample_rate_hz: the sound's rate.
          source: the recording's path, or the microphone's name.
          time: the clock's time at the event's start, with its zone; None without a clock.

        Returns:
          Whether that succeeded; if not, a notice says why, once until it succeeds again.
        """
        if samples is None:
            if not self._is_late:
                self._notice(
                    f"--save_events: {event.label} at {event.start_seconds:.1f} s is not saved: "
                    f"its label came over {MOST_SECONDS:g} s after its sound, which is gone"
                )
            self._is_late = True
            return False
        self._is_late = False
        sound = io.BytesIO()
        soundfile.write(sound, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
        image = self._image and _png(self._image(samples, sample_rate_hz))
        try:
            self._write(event, source, time, sound.getvalue(), image)
        except OSError as error:
            if not self._unsaved:
                self._notice(
                    f"--save_events={self._directory}: {error.strerror or error}; "
                    "events are not saved until that is mended"
                )
            self._unsaved += 1
            return False
        if self._unsaved:
            self._notice(f"events are saved again; not saved: {self._unsaved}")
            self._unsaved = 0
        return True

    def _write(
        self, event: Event, source: str, time: datetime | None, sound: bytes, image: bytes | None
    ) -> None:
        """Writes the files and the record, or nothing."""
        name, reserved = self._reserve(_name(event, source, time))
        sound_file, image_file = (self._directory / f"{name}{end}" for end in (".wav", ".png"))
        record = {
            **event_record(event, source, time),
            "audio": sound_file.name,
            "picture": None if image is None else image_file.name,
        }
        try:
            # Neither is seen before both are written; the image is first.
            with written_aside(sound_file, "wb") as file, contextlib.ExitStack() as images:
                file.write(sound)
                if image is not None:
                    images.enter_context(written_aside(image_file, "wb")).write(image)
            self._append(json_line(record).encode("ascii"))
        except BaseException:
            for path in (sound_file, image_file):
                path.unlink(missing_ok=True)
            raise
        finally:
            reserved.unlink(missing_ok=True)

    def _reserve(self, name: str) -> tuple[str, Path]:
        """First free form of a name, and the file that keeps it from others meanwhile."""
        for number in itertools.count(1):
            numbered = name if number == 1 else f"{name}-{number}"
            reserved = self._directory / f".{numbered}{_RESERVED}"
            try:
                # Whoever makes this file, of several programs even, has the name.
                reserved.touch(exist_ok=False)
            except FileExistsError:
                continue
            if not any((self._directory / f"{numbered}{end}").exists() for end in (".wav", ".png")):
                return numbered, reserved
            reserved.unlink()
        raise AssertionError("numbers don't end")

    def _append(self, line: bytes) -> None:
        """Appends a line, or nothing: half a line would spoil the next one too."""
        with (self._directory / EVENTS_FILE).open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[file.write(line) :]
            except BaseException:
                file.truncate(size)
                raise


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    # Here, because it takes a third of a second, and most sessions save nothing.
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, image, format="png")
    return file.getvalue()


def _name(event: Event, source: str, time: datetime | None) -> str:
    if time is None:
        return cut_name(Path(source).stem, event.start_seconds, event.label)
    return clock_name(time, event.label)


def _end_last_line(path: Path) -> None:
    """Makes the file where there is none; ends its last line where a crash has cut that short."""
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
