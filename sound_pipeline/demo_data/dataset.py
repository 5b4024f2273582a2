"""Synthetic data set: city sounds in the layout of UrbanSound8K."""

from __future__ import annotations

import csv
import json
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from sound_pipeline.demo_data.sounds import CLASS_NAMES, child_seed, synthesise
from sound_pipeline.errors import UserError
from sound_pipeline.system.atomic_files import put_in_place

Samples = npt.NDArray[np.float32]

CSV_COLUMNS = (
    "slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class",
)  # fmt: skip
_PARAMETERS_FILE = "demo.json"
# Of the sounds, not of this file's code: raise it whenever the same seed gives other samples.
_GENERATOR_VERSION = 1
_FIRST_FS_ID = 100_000
_LAYOUT, _RECORDINGS, _HELDOUT = range(3)

_SLICE_SECONDS = 4.0
# Events that UrbanSound8K cuts short; the other classes mostly fill their slice.
_BRIEF_CLASSES = ("car_horn", "dog_bark", "gun_shot")
_SAMPLE_RATES_HZ = {44100: 0.34, 22050: 0.35, 16000: 0.18, 48000: 0.11, 96000: 0.02}
_STEREO_SHARE = 0.25
_MICROPHONES_APART_SECONDS = 0.0002

_WAVE_PCM, _WAVE_FLOAT, _WAVE_EXTENSIBLE = 1, 3, 0xFFFE
# How often a WAV file has which (format tag, bits per sample).
_ENCODINGS = {
    (_WAVE_PCM, 16): 0.62,
    (_WAVE_PCM, 24): 0.12,
    (_WAVE_EXTENSIBLE, 24): 0.1,
    (_WAVE_PCM, 8): 0.06,
    (_WAVE_PCM, 32): 0.05,
    (_WAVE_FLOAT, 32): 0.05,
}
_CENTRE_SPEAKER, _LEFT_AND_RIGHT_SPEAKER = 0x4, 0x3
# What follows the format tag in the sub-format of an EXTENSIBLE header.
_PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True)
class DemoConfig:
    """Size and seed of the data set; each field is the flag of the same name.

    Attributes:
      seed: of everything random; the same seed gives the same bytes (another version of NumPy
        may round a sample differently).
      folds: number of cross-validation folds.
      clips_per_class: clips of each class, over all folds; at least one for each fold.
      heldout_per_class: recordings of each class that are in no fold.
    """

    seed: int = 0
    folds: int = 10
    clips_per_class: int = 40
    heldout_per_class: int = 2

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        if self.seed < 0:
            raise UserError(f"--seed={self.seed}: give 0 or more")
        if not 2 <= self.folds <= 100:
            raise UserError(f"--folds={self.folds}: give a number from 2 to 100")
        if self.clips_per_class < self.folds:
            raise UserError(
                f"--clips_per_class={self.clips_per_class}: give at least --folds={self.folds}, "
                "so that every fold has every class"
            )
        if self.heldout_per_class < 0:
            raise UserError(f"--heldout_per_class={self.heldout_per_class}: give 0 or more")


@dataclass(frozen=True)
class _Source:
    """One source recording and the slices cut from it."""

    seed: np.random.SeedSequence
    class_id: int
    fold: int
    fs_id: int
    slices: int


@dataclass(frozen=True)
class _Format:
    sample_rate_hz: int
    channels: int
    tag: int
    bits: int


def _sources(config: DemoConfig) -> Iterator[_Source]:
    """Yields the source recordings of all folds."""
    root = np.random.SeedSequence(config.seed)
    fs_id = _FIRST_FS_ID
    for class_id in range(len(CLASS_NAMES)):
        for fold in range(1, config.folds + 1):
            wanted, extra_folds = divmod(config.clips_per_class, config.folds)
            wanted += fold <= extra_folds
            rng = np.random.default_rng(child_seed(root, _LAYOUT, class_id, fold))
            index = 0
            while wanted:
                slices = min(wanted, int(rng.integers(1, 4)))
                seed = child_seed(root, _RECORDINGS, class_id, fold, index)
                yield _Source(seed, class_id, fold, fs_id, slices)
                wanted -= slices
                fs_id += 1
                index += 1


def _draw_format(rng: np.random.Generator) -> _Format:
    rate = rng.choice(list(_SAMPLE_RATES_HZ), p=list(_SAMPLE_RATES_HZ.values()))
    channels = 2 if rng.random() < _STEREO_SHARE else 1
    tag, bits = list(_ENCODINGS)[rng.choice(len(_ENCODINGS), p=list(_ENCODINGS.values()))]
    return _Format(int(rate), channels, tag, bits)


def _draw_seconds(rng: np.random.Generator, class_name: str) -> float:
    brief = class_name in _BRIEF_CLASSES
    if rng.random() < (0.45 if brief else 0.1):
        return round(rng.uniform(0.5 if brief else 1.0, _SLICE_SECONDS), 2)
    return _SLICE_SECONDS


def _stereo(mono: Samples, rng: np.random.Generator, rate: int) -> Samples:
    """Returns float32 [samples, 2]: two microphones, one nearer to the sound than the other."""
    delay = int(rng.uniform(0, _MICROPHONES_APART_SECONDS) * rate)
    farther = np.concatenate([np.zeros(delay, np.float32), mono[: len(mono) - delay]])
    pair = (mono, farther * np.float32(rng.uniform(0.4, 1)))
    return np.stack(pair if rng.random() < 0.5 else pair[::-1], axis=1)


def wav_bytes(samples: Samples, rate: int, tag: int, bits: int) -> bytes:
    """Encodes a WAV file.

    The file has no time stamp in it, unlike libsndfile's float files: equal samples give equal
    bytes.

    Args:
      samples: float32 [samples, channels] in -1..1.
      rate: samples per second.
      tag: 1 for PCM, 3 for IEEE float, 0xFFFE for PCM with an EXTENSIBLE header.
      bits: per sample; 8 (unsigned), 16, 24 or 32 for PCM and 32 for float.

    Returns:
      The whole file.
    """
    if tag == _WAVE_FLOAT:
        body = samples.astype("<f4").tobytes()
    else:
        full_scale = 2 ** (bits - 1)
        scaled = np.rint(samples.astype(np.float64) * full_scale)
        np.clip(scaled, -full_scale, full_scale - 1, out=scaled)
        if bits == 8:
            body = (scaled + full_scale).astype(np.uint8).tobytes()
        elif bits == 16:
            body = scaled.astype("<i2").tobytes()
        else:
            little_endian = scaled.astype("<i4").reshape(-1, 1).view(np.uint8)
            body = little_endian[:, : bits // 8].tobytes()
    channels = samples.shape[1]
    frame_bytes = channels * bits // 8
    header = struct.pack("<HHIIHH", tag, channels, rate, rate * frame_bytes, frame_bytes, bits)
    if tag == _WAVE_EXTENSIBLE:
        speakers = _CENTRE_SPEAKER if channels == 1 else _LEFT_AND_RIGHT_SPEAKER
        header += struct.pack("<HHIH", 22, bits, speakers, _WAVE_PCM) + _PCM_GUID_TAIL
    elif tag == _WAVE_FLOAT:
        header += struct.pack("<H", 0)
    chunks = [(b"fmt ", header), (b"data", body)]
    if tag == _WAVE_FLOAT:
        chunks.insert(1, (b"fact", struct.pack("<I", len(samples))))
    content = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(content)) + b"WAVE" + content


def _render(
    path: Path, seed: np.random.SeedSequence, class_id: int, index: int, seconds: float
) -> int:
    """Writes one slice of a recording and returns its UrbanSound8K salience."""
    rng = np.random.default_rng(child_seed(seed, 2))
    form = _draw_format(rng)
    foreground = rng.random() < 0.75
    snr_db = rng.uniform(15, 30) if foreground else rng.uniform(8, 15)
    rate = form.sample_rate_hz
    mono = synthesise(CLASS_NAMES[class_id], seed, index, rate, seconds, snr_db)
    samples = _stereo(mono, rng, rate) if form.channels == 2 else mono[:, np.newaxis]
    path.write_bytes(wav_bytes(samples, rate, form.tag, form.bits))
    return 1 if foreground else 2


def _write_source(folder: Path, source: _Source) -> Iterator[tuple[object, ...]]:
    """Writes the slices of one recording and yields a row of the metadata for each."""
    class_name = CLASS_NAMES[source.class_id]
    rng = np.random.default_rng(child_seed(source.seed, 3))
    start = round(rng.exponential(20), 2)
    for index in range(source.slices):
        seconds = _draw_seconds(rng, class_name)
        # A brief sound is an occurrence of its own; a lasting one is cut into slices.
        occurrence, part = (index, 0) if class_name in _BRIEF_CLASSES else (0, index)
        name = f"{source.fs_id}-{source.class_id}-{occurrence}-{part}.wav"
        path = folder / "audio" / f"fold{source.fold}" / name
        salience = _render(path, source.seed, source.class_id, index, seconds)
        end = round(start + seconds, 2)
        yield name, source.fs_id, start, end, salience, source.fold, source.class_id, class_name
        start = end


def _write(folder: Path, config: DemoConfig) -> None:
    for fold in range(1, config.folds + 1):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)
    for name in ("metadata", "heldout"):
        (folder / name).mkdir()
    total = len(CLASS_NAMES) * (config.clips_per_class + config.heldout_per_class)
    with (
        open(folder / "metadata" / "UrbanSound8K.csv", "w", encoding="utf-8", newline="") as file,
        tqdm(total=total, unit="clip", desc="demo data") as progress,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for source in _sources(config):
            for row in _write_source(folder, source):
                table.writerow(row)
                progress.update()
        root = np.random.SeedSequence(config.seed)
        for class_id, class_name in enumerate(CLASS_NAMES):
            for index in range(config.heldout_per_class):
                path = folder / "heldout" / f"{class_name}-{index + 1}.wav"
                _render(path, child_seed(root, _HELDOUT, class_id, index), class_id, 0, 4.0)
                progress.update()
    parameters = json.dumps(_parameters(config), indent=2) + "\n"
    (folder / _PARAMETERS_FILE).write_text(parameters, encoding="utf-8")


def _parameters(config: DemoConfig) -> dict[str, int]:
    return {"generator_version": _GENERATOR_VERSION, **asdict(config)}


def _is_written(directory: Path, config: DemoConfig) -> bool:
    """Tells whether the data set is there; raises UserError if something else is."""
    if directory == Path.cwd():
        raise UserError(f"{directory} is the current folder: name a folder inside it")
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise UserError(f"{directory} is a file: name a new folder for the demo data set")
    if not any(directory.iterdir()):
        return False
    try:
        found = json.loads((directory / _PARAMETERS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{directory} holds something other than a demo data set: name a new or empty folder"
        ) from None
    if found != _parameters(config):
        raise UserError(
            f"{directory} holds a demo data set made with other parameters, {json.dumps(found)}: "
            "name another folder, or remove this one"
        )
    clips = len(CLASS_NAMES) * (config.clips_per_class + config.heldout_per_class)
    if sum(1 for _ in directory.rglob("*.wav")) < clips:
        raise UserError(
            f"{directory} holds a demo data set with files missing: remove it and run again"
        )
    return True


def write_demo_data(directory: Path, config: DemoConfig) -> bool:
    """Writes the data set, with a progress bar on stderr.

    Everything is written to a hidden folder beside `directory` and moved at the end, so
    `directory` never holds a part of a data set. A failed run removes that folder; a killed one
    leaves it behind, named `.NAME-unfinished-...`.

    Args:
      directory: where to; its parents are made as needed.
      config: what to write.

    Returns:
      True, or False when `directory` already holds this data set and nothing was done.

    Raises:
      UserError: `directory` holds something else, or can't be written.
    """
    directory = directory.resolve()
    try:
        if _is_written(directory, config):
            return False
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{directory.name}-unfinished-", dir=directory.parent
        ) as beside:
            # A folder of its own inside: the temporary folder is readable by its owner only.
            staged = Path(beside) / directory.name
            staged.mkdir()
            _write(staged, config)
            if directory.is_dir():
                directory.rmdir()
            put_in_place(staged, directory)
    except OSError as error:
        # Another run may have finished the same data set meanwhile.
        if _is_written(directory, config):
            return False
        raise UserError(
            f"can't write the demo data set to {directory} ({error.strerror}): "
            "name a folder that can be written, on a disk with room"
        ) from error
    return True
