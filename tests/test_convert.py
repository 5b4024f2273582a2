"""Conversion to plain WAV, against libsndfile's own reading of both files."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline import convert
from sound_pipeline.audio import libsndfile
from sound_pipeline.audio.wav import decode_wav
from sound_pipeline.convert import (
    CLIPPED,
    CONVERTED,
    COPIED,
    FAILED,
    KEPT,
    Conversion,
    pcm,
    plan,
    write_wav,
)
from sound_pipeline.datasets import DatasetConfig, Manifest, load_manifest
from sound_pipeline.errors import UnreadableError
from tests.e2e import programs
from tests.helpers.odd_names import UNREADABLE, write_odd_names
from tests.helpers.user_errors import error_of

ROOT = Path(__file__).parents[1]
PROGRAM = ("-m", "sound_pipeline.convert")
RATE_HZ = 8000


def noise(channels: int = 1, seconds: float = 1.0, seed: int = 0) -> npt.NDArray[np.float64]:
    shape = (round(seconds * RATE_HZ), channels)
    return np.random.default_rng(seed).uniform(-0.7, 0.7, shape)


def write(path: Path, subtype: str = "PCM_16", channels: int = 1, seed: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = noise(channels, seed=seed)
    if path.suffix == ".opus":
        soundfile.write(path, samples, RATE_HZ, format="OGG", subtype=subtype)
    else:
        soundfile.write(path, samples, RATE_HZ, subtype=subtype)
    return str(path)


def run(*arguments: object) -> programs.Outcome:
    return programs.run_here(*PROGRAM, *map(str, arguments), cache=Path(os.devnull))


def convert_tree(source: Path, target: Path, bits: int = 16) -> Counter[str]:
    return convert.convert(plan(str(source), str(target)), bits)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_one_bad_file_is_one_bad_file(tmp_path: Path) -> None:
    source = tmp_path / "in"
    write(source / "a.wav")
    write_odd_names(source, source / "a.wav")
    write(source / f"{'y' * 252}.au")  # its name as .wav has a byte too many
    outcome = run(source, tmp_path / "out")
    assert outcome.status == 1
    assert len(files_in(tmp_path / "out")) == 2
    for reason in (*UNREADABLE.values(), "File name too long: rename it"):
        assert reason in outcome.err
    assert "4 of 6 files can't be converted" in outcome.err


# ---- Samples ---------------------------------------------------------------------------------

LOSSLESS = [
    ("a.flac", "PCM_16"), ("a.flac", "PCM_24"), ("a.wav", "PCM_U8"), ("a.wav", "PCM_24"),
    ("a.aiff", "PCM_16"), ("a.caf", "ALAC_24"), ("a.w64", "PCM_24"), ("a.au", "PCM_16"),
]  # fmt: skip
LOSSY = [
    ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", "MPEG_LAYER_III"), ("a.wav", "IMA_ADPCM"),
    ("a.wav", "MS_ADPCM"), ("a.wav", "GSM610"), ("a.wav", "FLOAT"), ("a.wav", "PCM_32"),
]  # fmt: skip


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize(("name", "subtype"), LOSSLESS + LOSSY)
def test_samples_are_the_nearest_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, subtype: str, bits: int
) -> None:
    source, target = write(tmp_path / name, subtype), str(tmp_path / "out" / "b.wav")
    with open(source, "rb") as file:
        ((expected, _, _),) = libsndfile.blocks(file)
    # libmpg123's last bit depends on where its output is cut.
    monkeypatch.setattr(libsndfile, "_BLOCK_SAMPLES", 1700 if name != "a.mp3" else 10**6)
    write_wav(source, target, bits)
    actual, rate = soundfile.read(target, dtype="float32", always_2d=True)
    info = soundfile.info(target)
    assert (info.format, info.subtype, rate) == (
        "WAV",
        f"PCM_{bits}",
        soundfile.info(source).samplerate,
    )
    assert actual.shape == expected.shape
    step = 2.0 ** (1 - bits)
    expected = np.clip(expected, -1, 1 - step)
    assert np.abs(actual - expected).max() <= step / 2
    if (name, subtype) in LOSSLESS and (bits == 24 or not subtype.endswith("24")):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("bits", [16, 24])
def test_the_graph_decodes_what_is_written(tmp_path: Path, channels: int, bits: int) -> None:
    source, target = write(tmp_path / "a.flac", "PCM_16", channels), str(tmp_path / "b.wav")
    write_wav(source, target, bits)
    decoded = decode_wav(tf.io.read_file(target))
    assert decoded.reason.numpy() == b""
    assert decoded.sample_rate_hz.numpy() == RATE_HZ
    expected = soundfile.read(source, dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(decoded.waveform, expected, atol=1e-6)


@pytest.mark.parametrize("bits", [16, 24])
def test_what_is_too_loud_is_clipped(bits: int) -> None:
    samples = np.array([[1.0, -1.0], [1.7, -1.7], [100, -100], [0, 0.5]], np.float32)
    full = 2 ** (bits - 1)
    values = np.frombuffer(pcm(samples, bits), np.uint8).reshape(-1, bits // 8)
    signed = [int.from_bytes(value.tobytes(), "little", signed=True) for value in values]
    assert signed == [full - 1, -full] * 3 + [0, full // 2]


def test_too_loud_recording(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", [0.5, 1.5, -1.5, -0.5], RATE_HZ, subtype="FLOAT")
    assert write_wav(str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), 16) == 2
    assert write_wav(str(tmp_path / "b.wav"), str(tmp_path / "c.wav"), 16) == 0
    assert soundfile.read(tmp_path / "b.wav", dtype="int16")[0].tolist() == [
        16384, 32767, -32768, -16384,
    ]  # fmt: skip


def test_clipped_samples_are_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/loud.wav", [0.5, 1.5, -1.5], RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "in/full.wav", [0.5, 1.0, -1.0], RATE_HZ, subtype="FLOAT")
    outcomes = convert.convert(convert.plan(str(tmp_path / "in"), str(tmp_path / "out")), 16)
    assert outcomes == {convert.CONVERTED: 1, convert.CLIPPED: 1}
    (record,) = caplog.records
    assert "loud.wav: 2 samples are louder than full scale" in record.getMessage()


def test_too_long_for_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "a.flac")
    monkeypatch.setattr(convert, "_MAX_WAV_BYTES", 10_000)
    with pytest.raises(UnreadableError, match="4 GiB"):
        write_wav(source, str(tmp_path / "b.wav"), 16)
    assert files_in(tmp_path) == {"a.flac"}


# ---- Folders ---------------------------------------------------------------------------------


def test_folder_a_class(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    write(source / "dog" / "a.FLAC")
    write(source / "dog" / "deep" / "b.mp3", "MPEG_LAYER_III")
    write(source / "cat" / "c.opus", "OPUS")
    write(source / "cat" / "d.v1.wav", "IMA_ADPCM")
    (source / "cat" / "notes.txt").write_text("purrs", encoding="utf-8")
    (source / ".hidden.flac").touch()
    done = convert_tree(source, target)
    # What encoders make of loud sound may be beyond full scale.
    assert done[CONVERTED] + done[CLIPPED] == 4 and done[COPIED] == 1 and done.total() == 5
    assert files_in(target) == {
        os.path.join("dog", "a.wav"),
        os.path.join("dog", "deep", "b.wav"),
        os.path.join("cat", "c.wav"),
        os.path.join("cat", "d.v1.wav"),
        os.path.join("cat", "notes.txt"),
    }
    assert (target / "cat" / "notes.txt").read_text(encoding="utf-8") == "purrs"
    manifest = load_manifest(DatasetConfig("folder", str(target)))
    assert manifest.classes == ("cat", "dog")
    assert len(manifest.recordings) == 4
    assert soundfile.info(target / "dog" / "a.wav").subtype == "PCM_16"


def published(root: Path, metadata: str, audio: str, rows: Sequence[dict[str, object]]) -> None:
    for seed, row in enumerate(rows):
        write(
            root / audio.format(**row), ("MS_ADPCM", "PCM_24", "FLOAT", "PCM_U8")[seed], seed=seed
        )
    (root / metadata).parent.mkdir(parents=True)
    with (root / metadata).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def without_folder(manifest: Manifest, root: Path) -> list[tuple[str, str, int | None, str]]:
    return [
        (os.path.relpath(each.path, root), each.label, each.fold, each.group)
        for each in manifest.recordings
    ]


@pytest.mark.parametrize("dataset", ["urbansound8k", "esc50"])
def test_public_layouts_stay_loadable(tmp_path: Path, dataset: str) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    if dataset == "esc50":
        rows = [
            {"filename": f"{i}.wav", "fold": 1 + i % 2, "target": i // 2, "category": "ab"[i // 2],
             "esc10": True, "src_file": i, "take": "A"}
            for i in range(4)
        ]  # fmt: skip
        published(source, "meta/esc50.csv", "audio/{filename}", rows)
    else:
        rows = [
            {"slice_file_name": f"{i}.wav", "fsID": i, "fold": 1 + i % 2, "classID": i // 2,
             "class": "ab"[i // 2]}
            for i in range(4)
        ]  # fmt: skip
        audio = "audio/fold{fold}/{slice_file_name}"
        published(source, "metadata/UrbanSound8K.csv", audio, rows)
    assert convert_tree(source, target) == {CONVERTED: 4, COPIED: 1}
    before, after = (load_manifest(DatasetConfig(dataset, str(root))) for root in (source, target))
    assert without_folder(before, source) == without_folder(after, target)
    assert {soundfile.info(each.path).subtype for each in after.recordings} == {"PCM_16"}


def test_one_recording(tmp_path: Path) -> None:
    source = write(tmp_path / "a.flac")
    (tmp_path / "out").mkdir()
    assert plan(source, str(tmp_path / "b.wav")) == [
        Conversion(source, str(tmp_path / "b.wav"), True)
    ]
    assert plan(source, str(tmp_path / "out")) == [
        Conversion(source, str(tmp_path / "out" / "a.wav"), True)
    ]


# ---- Going on where a run stopped ------------------------------------------------------------


def test_what_is_done_is_left(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("a.flac", "b.flac"):
        write(source / name)
    (source / "list.csv").write_text("a", encoding="utf-8")
    assert convert_tree(source, target) == {CONVERTED: 2, COPIED: 1}
    written = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    assert convert_tree(source, target) == {KEPT: 3}
    assert written == {path.name: path.stat().st_mtime_ns for path in target.iterdir()}


def test_what_changed_is_done_again(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("a.flac", "b.flac", "c.flac", "list.csv"):
        write(source / name) if name.endswith("flac") else (source / name).touch()
    convert_tree(source, target)
    later = time.time() + 10
    os.utime(source / "a.flac", (later, later))
    os.utime(source / "list.csv", (later, later))
    (target / "b.wav").write_bytes(b"RIFF")
    left = target / f".c.wav.{'0' * 32}.partial"
    left.write_bytes(b"by a killed run")
    os.utime(left, (0, 0))
    (target / "c.wav").unlink()
    assert convert_tree(source, target) == {CONVERTED: 3, COPIED: 1}
    assert files_in(target) == {"a.wav", "b.wav", "c.wav", "list.csv"}
    assert soundfile.info(target / "b.wav").frames == RATE_HZ


def test_other_bits_are_done_again(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    write(source / "a.flac")
    convert_tree(source, target, bits=16)
    assert convert_tree(source, target, bits=24) == {CONVERTED: 1}
    assert soundfile.info(target / "a.wav").subtype == "PCM_24"


@pytest.mark.slow
def test_killed_run_goes_on(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    samples = noise(seconds=20)
    (source).mkdir()
    for number in range(80):
        soundfile.write(source / f"{number}.ogg", samples, RATE_HZ)
    program = subprocess.Popen(
        [sys.executable, *PROGRAM, str(source), str(target)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(target.glob("*.wav"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    program.send_signal(signal.SIGKILL)
    program.wait()
    written = {path.name for path in target.glob("*.wav")}
    assert 3 <= len(written) < 80
    for name in written:
        with wave.open(str(target / name)) as wav:
            assert wav.getnframes() == len(samples)
    for left in target.glob(".*.partial"):
        os.utime(left, (0, 0))
    done = run(source, target)
    assert done.status == 0
    assert done.out == (
        f"80 files: {80 - len(written)} converted, 0 copied, {len(written)} there already\n"
    )
    assert files_in(target) == {f"{number}.wav" for number in range(80)}


# ---- What goes wrong -------------------------------------------------------------------------


def test_unreadable_files_are_named_and_the_others_converted(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    write(source / "a.flac")
    (source / "b.flac").write_bytes(b"no audio at all")
    (source / "c.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (source / "d.wav").symlink_to(tmp_path / "nowhere")
    write(source / "e.ogg", "VORBIS")
    done = programs.run(*PROGRAM, str(source), str(target), cache=tmp_path)
    assert done.status == 1
    assert done.out == "5 files: 2 converted, 0 copied, 0 there already\n"
    for name, reason in (
        ("b.flac", "libsndfile does not decode it: "),
        ("c.m4a", "MP4 or M4A (AAC) is not decoded: "),
        ("d.wav", "No such file or directory"),
    ):
        assert f"{source / name}: {reason}" in done.err
    assert "5/5" in done.err
    assert "3 of 5 files can't be converted" in done.err
    assert "Traceback" not in done.err
    assert files_in(target) == {"a.wav", "e.wav"}


def test_damaged_file_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    path = Path(write(source / "a.flac"))
    path.write_bytes(path.read_bytes()[:-3000])
    monkeypatch.setattr(libsndfile, "_BLOCK_SAMPLES", 500)
    with path.open("rb") as file:
        assert next(libsndfile.blocks(file))[0].shape == (500, 1)
    assert convert_tree(source, target) == {FAILED: 1}
    assert files_in(target) == set()


def test_target_that_cannot_be_written(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    write(source / "sub" / "a.flac")
    target.mkdir()
    (target / "sub").touch()
    error_of(lambda: convert_tree(source, target), str(target / "sub" / "a.wav"), "run again")


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        (("a.wav", "a.flac"), ("a.flac", "a.wav", "a.wav")),
        (("deep/a.ogg", "deep/a.MP3"), ("a.MP3", "a.ogg", "a.wav")),
        (("A.flac", "a.ogg"), ("A.flac", "a.ogg", "a.wav")),
    ],
)
def test_two_files_of_one_name(
    tmp_path: Path, names: tuple[str, ...], clash: tuple[str, str, str]
) -> None:
    source = tmp_path / "in"
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    first, second, written = clash
    error_of(
        lambda: plan(str(source), str(tmp_path / "out")),
        first,
        f"{second} would",
        written,
        "rename",
    )


def test_input_and_output_that_do_not_go_together(tmp_path: Path) -> None:
    recording = write(tmp_path / "in" / "a.wav")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for source, target, words in (
        ("absent", "out", ("absent", "no such file or folder")),
        ("in", "in", ("must not hold one another",)),
        ("in", "in/out", ("must not hold one another",)),
        ("in", "link/out", ("must not hold one another",)),
        ("in", ".", ("must not hold one another",)),
        ("in", "texts/a.txt", ("is a file", "name a folder")),
        ("texts", "out", ("texts", "no audio file")),
        ("in/a.wav", "in/a.wav", ("the recording itself",)),
        ("in/a.wav", "in", ("the recording itself",)),
        ("in/a.wav", "b.mp3", ("b.mp3", "ends in .wav")),
    ):
        error_of(lambda s=source, t=target: plan(str(tmp_path / s), str(tmp_path / t)), *words)
    assert soundfile.info(recording).frames == RATE_HZ


@pytest.mark.parametrize("arguments", [(), ("in",), ("in", "out", "more")])
def test_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (1, "")
    assert done.err.endswith(": python -m sound_pipeline.convert IN OUT\n")


def test_flags(tmp_path: Path) -> None:
    write(tmp_path / "a.flac", "PCM_24")
    assert run(tmp_path / "a.flac", tmp_path / "a.wav", "--bits=24").status == 0
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_24"
    wrong = run(tmp_path / "a.flac", tmp_path / "a.wav", "--bits=32")
    assert wrong.status == 1
    assert "--bits=32" in wrong.err
    shown = programs.run(*PROGRAM, "--help", cache=Path(os.devnull))
    assert "--bits" in shown.out


def test_it_needs_no_tensorflow() -> None:
    code = "import sys, sound_pipeline.convert; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
