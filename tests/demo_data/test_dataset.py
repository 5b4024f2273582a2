from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.demo_data import dataset
from sound_pipeline.demo_data.dataset import DemoConfig, wav_bytes, write_demo_data
from sound_pipeline.demo_data.sounds import CLASS_NAMES, child_seed, synthesise
from sound_pipeline.errors import UserError
from tests.e2e import programs

TINY = DemoConfig(seed=7, folds=2, clips_per_class=2, heldout_per_class=1)
SMALL = DemoConfig(seed=7, folds=3, clips_per_class=10, heldout_per_class=1)
URBANSOUND8K_CLASSES = (
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
    "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
)  # fmt: skip
PROGRAM = ("-m", "sound_pipeline.demo_data")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "small"
    assert write_demo_data(directory, SMALL)
    return directory


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "tiny"
    assert write_demo_data(directory, TINY)
    return directory


@pytest.fixture
def quick_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets tests of the folders alone run without the synthesis."""
    monkeypatch.setattr(dataset, "synthesise", lambda *_: np.zeros(4000, np.float32))


def rows_of(directory: Path) -> list[dict[str, str]]:
    with open(directory / "metadata" / "UrbanSound8K.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def run_program(*arguments: object) -> programs.Outcome:
    return programs.run_here(*PROGRAM, *map(str, arguments), cache=Path(os.devnull))


def test_the_metadata_has_urbansound8ks_columns_names_and_class_ids(small: Path) -> None:
    header = (small / "metadata" / "UrbanSound8K.csv").read_text(encoding="utf-8").split("\n")[0]
    assert header == "slice_file_name,fsID,start,end,salience,fold,classID,class"
    rows = rows_of(small)
    assert len(rows) == 100
    for row in rows:
        assert row["class"] == URBANSOUND8K_CLASSES[int(row["classID"])]
        assert row["salience"] in ("1", "2")
        parts = re.fullmatch(r"(\d+)-(\d)-(\d+)-(\d+)\.wav", row["slice_file_name"])
        assert parts
        source, class_id, occurrence, part = map(int, parts.groups())
        assert (source, class_id) == (int(row["fsID"]), int(row["classID"]))
        assert occurrence == 0 or part == 0


def test_exactly_the_listed_files_lie_in_their_folds(small: Path) -> None:
    listed = {f"fold{row['fold']}/{row['slice_file_name']}" for row in rows_of(small)}
    audio = small / "audio"
    assert {path.relative_to(audio).as_posix() for path in audio.rglob("*.wav")} == listed
    assert len(listed) == 100
    heldout = {path.name for path in (small / "heldout").iterdir()}
    assert heldout == {f"{name}-1.wav" for name in URBANSOUND8K_CLASSES}


def test_every_fold_has_every_class_about_equally_often(small: Path) -> None:
    counts = Counter((row["fold"], row["class"]) for row in rows_of(small))
    assert len(counts) == 3 * 10
    assert set(counts.values()) == {3, 4}


def test_no_source_recording_straddles_folds_and_some_have_several_slices(small: Path) -> None:
    places = defaultdict(set)
    for row in rows_of(small):
        places[row["fsID"]].add((row["fold"], row["class"]))
    slices = Counter(row["fsID"] for row in rows_of(small))
    assert all(len(place) == 1 for place in places.values())
    assert set(slices.values()) == {1, 2, 3}


def test_durations_are_those_of_the_metadata(small: Path) -> None:
    durations = []
    for row in rows_of(small):
        info = soundfile.info(small / "audio" / f"fold{row['fold']}" / row["slice_file_name"])
        assert info.duration == pytest.approx(float(row["end"]) - float(row["start"]), abs=1e-3)
        durations.append(info.duration)
    assert 0.5 <= min(durations) < 3
    assert np.mean(np.isclose(durations, 4)) > 0.6


def test_files_differ_in_rate_channels_and_sample_format(small: Path) -> None:
    infos = [soundfile.info(path) for path in sorted(small.rglob("*.wav"))]
    assert {info.samplerate for info in infos} >= {16000, 22050, 44100, 48000}
    assert {info.channels for info in infos} == {1, 2}
    kinds = Counter((info.format, info.subtype) for info in infos)
    assert kinds.keys() >= {("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAVEX", "PCM_24")}
    assert kinds.keys() & {("WAV", "PCM_U8"), ("WAV", "PCM_32"), ("WAV", "FLOAT")}
    assert kinds.most_common(1)[0][0] == ("WAV", "PCM_16")


def test_samples_are_finite_audible_and_not_clipped(small: Path) -> None:
    for path in small.rglob("*.wav"):
        samples, _ = soundfile.read(path, always_2d=True)
        assert np.all(np.isfinite(samples))
        assert 0.01 < np.abs(samples).max() <= 1
        assert np.mean(np.abs(samples) > 0.999) < 1e-3
        assert np.all(samples.std(axis=0) > 1e-4)


def test_the_packages_own_manifest_reads_it(small: Path) -> None:
    manifest = load_manifest(DatasetConfig("urbansound8k", str(small)))
    assert manifest.classes == URBANSOUND8K_CLASSES
    assert manifest.folds == (1, 2, 3)
    assert len(manifest.recordings) == 100
    assert len(set(manifest.groups)) == len({row["fsID"] for row in rows_of(small)})


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    write_demo_data(tmp_path / "again", TINY)
    assert contents_of(tmp_path / "again") == contents_of(tiny)


@pytest.mark.slow
def test_another_seed_gives_other_sounds(tiny: Path, tmp_path: Path) -> None:
    write_demo_data(tmp_path / "other", dataclasses.replace(TINY, seed=8))
    sounds = [
        {content for name, content in contents_of(folder).items() if name.endswith(".wav")}
        for folder in (tiny, tmp_path / "other")
    ]
    assert len(sounds[0]) == len(sounds[1]) == 30
    assert not sounds[0] & sounds[1]


def test_held_out_recordings_depend_on_the_seed_alone(small: Path, tiny: Path) -> None:
    assert contents_of(tiny / "heldout") == contents_of(small / "heldout")


def test_writing_the_same_data_set_again_does_nothing(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    assert write_demo_data(small, SMALL) is False
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


@pytest.mark.usefixtures("quick_sounds")
def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    directory = tmp_path / "empty"
    directory.mkdir()
    assert write_demo_data(directory, TINY)
    assert json.loads((directory / "demo.json").read_text(encoding="utf-8"))["seed"] == 7
    assert os.listdir(tmp_path) == ["empty"]


def test_anything_else_in_the_folder_is_left_alone(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other parameters.*name another folder"):
        write_demo_data(small, TINY)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"something other.*new or empty folder"):
        write_demo_data(tmp_path, TINY)
    with pytest.raises(UserError, match="is a file"):
        write_demo_data(tmp_path / "notes.txt", TINY)
    assert contents_of(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.usefixtures("quick_sounds")
def test_a_data_set_with_files_missing_is_not_taken_for_whole(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    write_demo_data(directory, TINY)
    (directory / "heldout" / "siren-1.wav").unlink()
    with pytest.raises(UserError, match="files missing: remove it"):
        write_demo_data(directory, TINY)


def test_the_current_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is the current folder"):
        write_demo_data(Path("."), TINY)


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(OSError(28, "No space left on device"), UserError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failed_run_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    raised: type[BaseException],
) -> None:
    encoded = []

    def fail_at_the_fifth(*arguments: object) -> bytes:
        encoded.append(arguments)
        if len(encoded) == 5:
            raise failure
        return b"RIFF"

    monkeypatch.setattr(dataset, "wav_bytes", fail_at_the_fifth)
    with pytest.raises(raised):
        write_demo_data(tmp_path / "demo", TINY)
    assert len(encoded) == 5
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("quick_sounds")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a kill that can't be caught")
def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    process = subprocess.Popen(
        [sys.executable, *PROGRAM, str(directory)],
        cwd=programs.ROOT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.wav"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(tmp_path.rglob("*.wav"))
    assert not directory.exists()
    assert write_demo_data(directory, TINY)


def test_the_program_writes_then_says_there_is_nothing_to_do(tmp_path: Path) -> None:
    arguments = (tmp_path / "demo", "--folds=2", "--clips_per_class=2", "--heldout_per_class=0")
    first = programs.run(*PROGRAM, *map(str, arguments), cache=tmp_path)
    assert first.status == 0, first.err
    assert "20 clips of 10 classes in 2 folds" in first.out
    again = run_program(*arguments)
    assert again.status == 0
    assert "nothing to do" in again.out


@pytest.mark.parametrize("arguments", [(), ("one", "two"), ("new", "--folds=1")])
def test_the_program_refuses_in_one_line(arguments: tuple[str, ...]) -> None:
    done = run_program(*arguments)
    assert done.status == 1
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"seed": -1}, "--seed=-1"),
        ({"folds": 1}, "--folds=1"),
        ({"folds": 101}, "--folds=101"),
        ({"clips_per_class": 9}, "--clips_per_class=9"),
        ({"heldout_per_class": -1}, "--heldout_per_class=-1"),
    ],
)
def test_values_out_of_range_name_their_flag(values: dict[str, int], flag: str) -> None:
    with pytest.raises(UserError, match=flag):
        DemoConfig(**values)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("tag", "bits", "container", "subtype"),
    [
        (1, 8, "WAV", "PCM_U8"),
        (1, 16, "WAV", "PCM_16"),
        (1, 24, "WAV", "PCM_24"),
        (1, 32, "WAV", "PCM_32"),
        (3, 32, "WAV", "FLOAT"),
        (0xFFFE, 24, "WAVEX", "PCM_24"),
    ],
)
def test_libsndfile_reads_what_was_encoded(
    tag: int, bits: int, container: str, subtype: str, channels: int
) -> None:
    samples = np.random.default_rng(0).uniform(-0.99, 0.99, (1001, channels)).astype(np.float32)
    samples[0], samples[1] = -1, 1
    encoded = wav_bytes(samples, 22050, tag, bits)
    assert len(encoded) % 2 == 0
    assert int.from_bytes(encoded[4:8], "little") == len(encoded) - 8
    with soundfile.SoundFile(io.BytesIO(encoded)) as file:
        assert (file.format, file.subtype) == (container, subtype)
        assert (file.samplerate, file.channels) == (22050, channels)
        decoded = file.read(dtype="float64", always_2d=True)
    half_step = 0 if subtype == "FLOAT" else 2.0**-bits
    np.testing.assert_allclose(decoded[2:], samples[2:], rtol=0, atol=half_step)
    np.testing.assert_allclose(decoded[:2], samples[:2], rtol=0, atol=2 * half_step)


@pytest.mark.parametrize("class_name", CLASS_NAMES)
@pytest.mark.parametrize(("rate", "seconds"), [(8000, 0.1), (11025, 0.77), (96000, 0.5)])
def test_any_rate_and_duration_gives_a_sound(class_name: str, rate: int, seconds: float) -> None:
    sound = synthesise(class_name, np.random.SeedSequence(3), 0, rate, seconds)
    assert sound.dtype == np.float32
    assert sound.shape == (round(rate * seconds),)
    assert np.all(np.isfinite(sound))
    assert 0.05 <= np.abs(sound).max() <= 1
    assert sound.std() > 1e-3


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_a_slice_depends_on_its_recording_and_index_alone(class_name: str) -> None:
    recording = np.random.SeedSequence(3)
    first = synthesise(class_name, recording, 0, 16000, 1.0)
    second = synthesise(class_name, recording, 1, 16000, 1.0)
    recording.spawn(2)
    np.testing.assert_array_equal(synthesise(class_name, recording, 0, 16000, 1.0), first)
    assert np.abs(np.corrcoef(first, second)[0, 1]) < 0.5


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_what_slices_share_does_not_depend_on_their_length(
    class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generators: list[np.random.Generator] = []
    default_rng = np.random.default_rng

    def recorded(seed: object) -> np.random.Generator:
        generators.append(default_rng(seed))  # type: ignore[arg-type]
        return generators[-1]

    monkeypatch.setattr(np.random, "default_rng", recorded)
    states = []
    for index, seconds in enumerate((0.1, 4.0)):
        generators.clear()
        synthesise(class_name, np.random.SeedSequence(3), index, 8000, seconds)
        timbre, place, passer_by = generators[:3]
        states.append([timbre.random(), place.random(), passer_by.random()])
    assert states[0] == states[1]


def test_an_unknown_class_and_values_out_of_range_are_refused() -> None:
    recording = np.random.SeedSequence(3)
    with pytest.raises(ValueError, match="no sound named 'cow'; there are air_conditioner"):
        synthesise("cow", recording, 0, 16000, 1.0)
    with pytest.raises(ValueError, match="at 4000 Hz"):
        synthesise("siren", recording, 0, 4000, 1.0)
    with pytest.raises(ValueError, match=r"0\.01 s"):
        synthesise("siren", recording, 0, 16000, 0.01)


def mean_spectrum_db(sound: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(y=sound, sr=16000, n_fft=1024, hop_length=512, n_mels=40)
    return librosa.power_to_db(mel, top_db=80).mean(axis=1)


@pytest.mark.slow
def test_slices_of_one_recording_sound_more_alike_than_two_recordings() -> None:
    root = np.random.SeedSequence(5)
    spectra = np.array(
        [
            [
                mean_spectrum_db(synthesise("engine_idling", child_seed(root, n), k, 16000, 1.5))
                for k in range(2)
            ]
            for n in range(6)
        ]
    )
    spectra -= spectra.mean(axis=2, keepdims=True)
    distances = np.linalg.norm(spectra[:, np.newaxis, 0] - spectra[np.newaxis, :, 1], axis=2)
    within = np.diag(distances)
    between = distances[~np.eye(6, dtype=bool)]
    assert np.median(within) < 0.5 * np.median(between)


@pytest.mark.parametrize("seed", range(4))
def test_jackhammers_strike_10_to_25_times_a_second(seed: int) -> None:
    recording = np.random.SeedSequence(seed)
    sound = synthesise("jackhammer", recording, 0, 16000, 4.0, snr_db=30)
    loudness = np.abs(sound).reshape(-1, 80).mean(axis=1)
    modulation = np.abs(np.fft.rfft((loudness - loudness.mean()) * np.hanning(len(loudness))))
    frequency_hz = np.fft.rfftfreq(len(loudness), 80 / 16000)
    modulation[frequency_hz < 5] = 0
    assert 9.5 < frequency_hz[modulation.argmax()] < 26


def test_a_lower_signal_to_noise_ratio_fills_the_pauses() -> None:
    def pause_db(snr_db: float) -> float:
        sound = synthesise("gun_shot", np.random.SeedSequence(1), 0, 16000, 4.0, snr_db)
        power = np.square(sound.astype(np.float64)).reshape(-1, 800).mean(axis=1)
        return float(10 * np.log10(np.quantile(power, 0.05) / power.max()))

    assert pause_db(30) + 15 < pause_db(5) < -3


def statistics_of(path: Path) -> np.ndarray:
    sound, _ = librosa.load(path, sr=22050)
    mel = librosa.feature.melspectrogram(y=sound, sr=22050, hop_length=1024, n_mels=32)
    decibels = librosa.power_to_db(mel, ref=np.max, top_db=80)
    change = np.abs(np.diff(decibels, axis=1)).mean(axis=1)
    return np.concatenate([decibels.mean(axis=1), decibels.std(axis=1), change])


def cross_validated_accuracy(x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float:
    right = 0
    for fold in np.unique(folds):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(x[folds != fold], y[folds != fold])
        right += np.sum(model.predict(x[folds == fold]) == y[folds == fold])
    return right / len(y)


@pytest.mark.slow
def test_classes_can_be_told_apart_and_shuffled_labels_cannot(small: Path) -> None:
    rows = rows_of(small)
    x = np.array(
        [
            statistics_of(small / "audio" / f"fold{row['fold']}" / row["slice_file_name"])
            for row in rows
        ]
    )
    y = np.array([int(row["classID"]) for row in rows])
    folds = np.array([int(row["fold"]) for row in rows])
    assert 0.5 < cross_validated_accuracy(x, y, folds) < 0.99
    rng = np.random.default_rng(0)
    by_chance = [cross_validated_accuracy(x, rng.permutation(y), folds) for _ in range(5)]
    assert 0.02 < np.mean(by_chance) < 0.18
