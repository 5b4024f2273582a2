"""Converts recordings to plain WAV, which needs no decoder but this package's own.

    python -m sound_pipeline.convert IN OUT

IN is a recording in any of libsndfile's formats (FLAC, Ogg Vorbis, Opus, MP3, AIFF, CAF, ADPCM
WAV, ...) or a folder of them; OUT the WAV file or folder to write. Sample rate, channels and the
folders below IN stay as they are, and files that aren't audio (but no hidden ones) are copied
along, so a data set in the layout of UrbanSound8K, ESC-50 or a folder a class can be loaded from
OUT. Audio files keep their names up to the ending, which becomes .wav; a CSV that names other
endings has to be edited.

What OUT holds already is left where it is newer than its input: a run that was killed goes on
where it stopped. A recording that can't be decoded is named, and the exit status is then 1.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import errno
import itertools
import logging
import os
import shutil
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from absl import flags
from tqdm import tqdm

from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.datasets import AUDIO_SUFFIXES
from sound_pipeline.datasets.folders import files_below
from sound_pipeline.datasets.passed_over import OTHER_AUDIO_SUFFIXES
from sound_pipeline.errors import UnreadableError, UserError
from sound_pipeline.system import program
from sound_pipeline.system.arrays import Floats
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside
from sound_pipeline.system.filesystem import no_such

logger = logging.getLogger("sound_pipeline.convert")

BITS = (16, 24)

_MAX_WAV_BYTES = 2**32 - 2**10

CONVERTED, CLIPPED, COPIED = "converted", "converted and clipped", "copied"
KEPT, FAILED = "there already", "not converted"


@dataclass(frozen=True)
class Conversion:
    """One file to write.

    Attributes:
      source: the file to read.
      target: the file to write.
      is_audio: whether to convert rather than to copy it.
    """

    source: str
    target: str
    is_audio: bool


def plan(source: str, target: str) -> list[Conversion]:
    """Lists the files to write, whether or not some of them are there already.

    Args:
      source: a recording or a folder.
      target: where to.

    Raises:
      UserError: there is nothing to convert, or `target` doesn't go with `source`.
    """
    if os.path.isdir(source):
        return _plan_folder(source, target)
    if not os.path.exists(source):
        raise UserError(f"{source}: {no_such(source)}")
    if os.path.isdir(target):
        target = os.path.join(target, Path(source).stem + ".wav")
    elif not target.lower().endswith(".wav"):
        raise UserError(f"{target}: name a file that ends in .wav, or a folder that exists")
    if os.path.exists(target) and os.path.samefile(source, target):
        raise UserError(f"{target} is the recording itself: name another file or folder")
    return [Conversion(source, target, is_audio=True)]


def _plan_folder(source: str, target: str) -> list[Conversion]:
    if os.path.exists(target) and not os.path.isdir(target):
        raise UserError(f"{target} is a file, but {source} a folder: name a folder to write to")
    inner, outer = Path(target).resolve(), Path(source).resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError(
            f"{target} and {source} must not hold one another: name a folder to write to elsewhere"
        )
    jobs = []
    first: dict[str, str] = {}
    for path in sorted(files_below(source, ("",))):
        written = os.path.join(target, os.path.relpath(path, source))
        # What libsndfile doesn't decode is named as impossible, and never copied along.
        is_audio = path.lower().endswith(AUDIO_SUFFIXES + OTHER_AUDIO_SUFFIXES)
        if is_audio:
            written = os.path.splitext(written)[0] + ".wav"
            # Names that differ in letter case alone are one file on some systems.
            before = first.setdefault(written.casefold(), path)
            if before != path:
                raise UserError(
                    f"{before} and {path} would both become {written}: rename one of them"
                )
        jobs.append(Conversion(path, written, is_audio))
    if not any(job.is_audio for job in jobs):
        raise UserError(f"{source}: no audio file below this folder ({', '.join(AUDIO_SUFFIXES)})")
    return jobs


def pcm(samples: Floats, bits: int) -> bytes:
    """Encodes samples as little-endian integers, as WAV holds them.

    Args:
      samples: float32 [n, channels]; what is beyond -1..1 is clipped.
      bits: 16 or 24.
    """
    full_scale = 2 ** (bits - 1)
    nearest = np.clip(np.rint(samples * full_scale), -full_scale, full_scale - 1)
    four_bytes: npt.NDArray[np.uint8] = nearest.astype("<i4").reshape(-1, 1).view(np.uint8)
    return four_bytes[:, : bits // 8].tobytes()


def write_wav(source: str, target: str, bits: int) -> int:
    """Converts one recording, in constant memory.

    Args:
      source: a recording in any of libsndfile's formats.
      target: the WAV file to write; its folder is made. It appears when it is complete.
      bits: a sample, 16 or 24.

    Returns:
      How many samples were beyond -1..1, and clipped.

    Raises:
      UnreadableError: `source` can't be read or decoded, or is too long for WAV.
      UserError: `target` can't be written.
    """
    with AudioReader(source, mono=False) as recording:
        recording.log_remark()
        clipped = 0
        first = next(recording.blocks)
        with _target(target) as file, wave.open(file, "wb") as wav:
            wav.setnchannels(first.shape[1])
            wav.setsampwidth(bits // 8)
            wav.setframerate(recording.sample_rate_hz)
            for samples in itertools.chain([first], recording.blocks):
                encoded = pcm(samples, bits)
                if file.tell() + len(encoded) > _MAX_WAV_BYTES:
                    raise UnreadableError(
                        source,
                        "it is longer than the 4 GiB that a WAV file can hold: cut it in parts",
                    )
                wav.writeframesraw(encoded)
                clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
    return clipped


def run(job: Conversion, bits: int) -> tuple[str, str]:
    """Does one job, if it hasn't been done.

    Args:
      job: what to do.
      bits: a sample, 16 or 24.

    Returns:
      CONVERTED, CLIPPED, COPIED, KEPT or FAILED, and what is to be said about it.

    Raises:
      UserError: the target can't be written.
    """
    try:
        if _is_done(job, bits):
            return KEPT, ""
        if job.is_audio:
            clipped = write_wav(job.source, job.target, bits)
            if clipped:
                return CLIPPED, f"{clipped} samples are louder than full scale, and were clipped"
            return CONVERTED, ""
        with _opened(job.source) as source, _target(job.target) as target:
            shutil.copyfileobj(source, target)
        return COPIED, ""
    except UnreadableError as error:
        return FAILED, error.reason


def convert(jobs: Sequence[Conversion], bits: int) -> Counter[str]:
    """Does all jobs, side by side, with a progress bar; names on the log what fails or is clipped.

    Args:
      jobs: what to do.
      bits: a sample, 16 or 24.

    Returns:
      How many files were CONVERTED, CLIPPED, COPIED, KEPT and FAILED.

    Raises:
      UserError: a target can't be written.
    """
    outcomes: Counter[str] = Counter()
    for folder in {os.path.dirname(job.target) or os.curdir for job in jobs}:
        remove_abandoned(Path(folder))
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm(total=len(jobs), desc="convert", unit="file") as progress,
    ):
        futures = {threads.submit(run, job, bits): job for job in jobs}
        try:
            for future in as_completed(futures):
                outcome, reason = future.result()
                outcomes[outcome] += 1
                if reason:
                    logger.warning("%s: %s", futures[future].source, reason)
                progress.update()
        except BaseException:
            # Those that run are waited for: they end with a whole file each.
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _is_done(job: Conversion, bits: int) -> bool:
    try:
        if os.path.getmtime(job.target) < os.path.getmtime(job.source):
            return False
        if not job.is_audio:
            return os.path.getsize(job.target) == os.path.getsize(job.source)
        with wave.open(job.target, "rb") as wav:
            return wav.getsampwidth() * 8 == bits
    except (OSError, EOFError, wave.Error):
        return False


def _opened(source: str) -> BinaryIO:
    try:
        return open(source, "rb")
    except OSError as error:
        raise UnreadableError(source, error.strerror or str(error)) from error


@contextmanager
def _target(target: str) -> Iterator[BinaryIO]:
    """`written_aside` in a folder that is made; the errors are the user's."""
    try:
        os.makedirs(os.path.dirname(target) or os.curdir, exist_ok=True)
        with written_aside(Path(target), "wb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENAMETOOLONG:
            raise UnreadableError(target, f"{reason}: rename it") from error
        raise UserError(
            f"{target} cannot be written ({reason}): mend that and run again, to go on from here"
        ) from error


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "bits",
        str(BITS[0]),
        list(map(str, BITS)),
        "Bits of a sample. 24 keeps what recordings of more than 16 hold, in files half as large "
        "again.",
    )


def main(arguments: list[str]) -> int:
    """Converts what the command line names."""
    if len(arguments) != 3:
        raise UserError(
            "name what to convert and where to: python -m sound_pipeline.convert IN OUT"
        )
    jobs = plan(*arguments[1:])
    outcomes = convert(jobs, int(flags.FLAGS.bits))
    done = [f"{outcomes[outcome]} {outcome}" for outcome in (CONVERTED, COPIED, KEPT)]
    if outcomes[CLIPPED]:
        done.insert(1, f"{outcomes[CLIPPED]} {CLIPPED}")
    program.say(f"{len(jobs)} files: {', '.join(done)}")
    if outcomes[FAILED]:
        logger.warning("%d of %d files can't be converted", outcomes[FAILED], len(jobs))
    return program.EXIT_ERROR if outcomes[FAILED] else 0


if __name__ == "__main__":
    define_flags()
    program.run(main)
