"""`python -m sound_pipeline.datasets`, run as users run it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from absl import flags

from sound_pipeline.datasets import DATASETS
from sound_pipeline.datasets.__main__ import config_from_flags, guess_dataset
from sound_pipeline.errors import UserError
from tests.e2e import programs
from tests.helpers.odd_names import UNREADABLE, write_odd_names

PROGRAM = ("-m", "sound_pipeline.datasets")
RATE_HZ = 8000


NOWHERE = Path(os.devnull)


def run(*arguments: object) -> programs.Outcome:
    return programs.run_here(*PROGRAM, *map(str, arguments), cache=NOWHERE)


def write(path: Path, seed: int, subtype: str = "PCM_16", rate: int = RATE_HZ) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, rate)
    soundfile.write(path, samples, rate, subtype=subtype)


def test_one_bad_file_is_one_bad_file(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / "ab"[number % 2] / f"{number}.wav", number)
    write_odd_names(tmp_path / "a", tmp_path / "a" / "0.wav")
    outcome = run("check", tmp_path, "--json=-")
    assert outcome.status == 1
    found = json.loads(outcome.out)
    assert found["usable"] == 5 and found["missing"] == [str(tmp_path / "a" / "broken.wav")]
    reasons = {Path(path).name: reason for path, reason in found["unreadable"].items()}
    assert reasons.items() <= UNREADABLE.items() and len(reasons) == 2


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UrbanSound8K in small, with one fault of each kind."""
    root = tmp_path_factory.mktemp("faulty")
    clips = [  # fsID, fold, classID, class
        (1, 1, 0, "air_conditioner"),
        (2, 2, 0, "air_conditioner"),
        (3, 1, 8, "siren"),
        (106905, 1, 8, "siren"),
        (106905, 2, 0, "air_conditioner"),
        (4, 2, 8, "siren"),
        (5, 2, 8, "siren"),
        (6, 2, 8, "siren"),
    ]
    rows = [
        {"slice_file_name": f"{source}-{class_id}-0-0.wav", "fsID": source, "start": 0, "end": 1,
         "salience": 1, "fold": fold, "classID": class_id, "class": label}
        for source, fold, class_id, label in clips
    ]  # fmt: skip
    (root / "metadata").mkdir()
    with (root / "metadata" / "UrbanSound8K.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)

    fold1, fold2 = root / "audio" / "fold1", root / "audio" / "fold2"
    write(fold1 / "1-0-0-0.wav", seed=1)
    write(fold2 / "2-0-0-0.wav", seed=1)  # the same sound
    write(fold1 / "3-8-0-0.wav", seed=1)  # and again, under another label
    write(fold1 / "106905-8-0-0.wav", seed=2, subtype="IMA_ADPCM")
    write(fold2 / "106905-0-0-0.wav", seed=3, subtype="PCM_24", rate=22050)
    write(fold2 / "4-8-0-0.wav", seed=4)
    (fold2 / "5-8-0-0.wav").write_bytes(b"RIFF, but no WAV file")
    return root  # 6-8-0-0.wav is missing


@pytest.fixture(scope="module")
def outcome(
    faulty: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[programs.Outcome, dict[str, Any]]:
    """The check of it, with its JSON."""
    path = tmp_path_factory.mktemp("json") / "findings.json"
    done = programs.run(*PROGRAM, "check", str(faulty), f"--json={path}", cache=NOWHERE)
    return done, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_faults_are_printed_and_decide_the_status(
    faulty: Path, outcome: tuple[programs.Outcome, dict[str, Any]]
) -> None:
    done, _ = outcome
    audio = faulty / "audio"
    assert done.status == 1
    assert f"{faulty}: taken for --dataset=urbansound8k" in done.err
    assert "8/8" in done.err  # the progress bar's end
    assert "Traceback" not in done.err
    assert "urbansound8k: 8 recordings, 6 usable, 1 missing, 1 unreadable\n" in done.out
    assert "air_conditioner       1       2    3\n" in done.out
    assert f"missing: 1\n  {audio / 'fold2' / '6-8-0-0.wav'}\n" in done.out
    assert f"unreadable: 1\n  {audio / 'fold2' / '5-8-0-0.wav'}: " in done.out
    assert (
        f"  {audio / 'fold1' / '1-0-0-0.wav'} = {audio / 'fold2' / '2-0-0-0.wav'} = "
        f"{audio / 'fold1' / '3-8-0-0.wav'} (different labels air_conditioner, siren; "
        "folds 1, 2; source recordings 1, 2, 3)\n"
    ) in done.out
    assert "  106905: folds 1, 2; air_conditioner, siren; 2 clips\n" in done.out


@pytest.mark.slow
def test_faults_in_json(faulty: Path, outcome: tuple[programs.Outcome, dict[str, Any]]) -> None:
    _, findings = outcome
    audio = faulty / "audio"
    assert (findings["recordings"], findings["usable"]) == (8, 6)
    assert findings["missing"] == [str(audio / "fold2" / "6-8-0-0.wav")]
    (unreadable,) = findings["unreadable"].items()
    assert unreadable[0] == str(audio / "fold2" / "5-8-0-0.wav")
    assert unreadable[1]
    # ADPCM, which the graph doesn't decode, is usable all the same.
    assert findings["encodings"] == {"WAV PCM_16": 4, "WAV IMA_ADPCM": 1, "WAV PCM_24": 1}
    assert findings["sample_rates_hz"] == {"8000": 5, "22050": 1}
    assert findings["durations"]["min_seconds"] == 1.0
    (same,) = findings["duplicates"]
    assert same["straddles_folds"]
    assert same["different_labels"]
    (straddling,) = findings["straddling_groups"]
    assert straddling["group"] == "106905"
    assert straddling["folds"] == [1, 2]


def test_usable_data_set_with_duplicates_on_standard_output(tmp_path: Path) -> None:
    for name, seed in (("a/1.flac", 1), ("a/2.wav", 2), ("b/1.wav", 2), ("b/2.ogg", 3)):
        subtype = "VORBIS" if name.endswith("ogg") else "PCM_16"
        write(tmp_path / name, seed, subtype)
    done = run("check", tmp_path, "--json=-")
    assert done.status == 0
    findings = json.loads(done.out)
    assert findings["usable"] == 4
    assert findings["encodings"] == {"WAV PCM_16": 2, "FLAC PCM_16": 1, "OGG VORBIS": 1}
    (same,) = findings["duplicates"]
    assert same["labels"] == ["a", "b"]
    assert same["different_labels"]
    assert not same["straddles_folds"]


@pytest.mark.parametrize("arguments", [(), ("check",), ("chek", "DIR"), ("check", "A", "B")])
def test_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.status == 1
    assert done.out == ""
    assert done.err == (
        "python -m sound_pipeline.datasets: error: name a command and a data set: "
        "python -m sound_pipeline.datasets check DIR\n"
    )


@pytest.mark.slow
def test_help_names_the_command_and_the_flags() -> None:
    done = programs.run(*PROGRAM, "--help", cache=NOWHERE)
    assert "python -m sound_pipeline.datasets check DIR" in done.out
    assert "\nFlags:\n" in done.out
    for flag in ("--dataset", "--subset", "--data_dir", "--label_column", "--json"):
        assert f"{flag}=" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent",), ("absent: no such file or folder",)),
        (("README.md",), ("README.md", "CSV")),
        ((".", "--json=no/folder/x.json"), ("--json=no/folder/x.json", "no folder")),
        ((".", "--data_dir=elsewhere"), ("--data_dir", "CSV file")),
        ((".", "--dataset=csv"), ("--dataset=csv", "CSV file itself")),
        (("README.md", "--dataset=esc50"), ("--dataset=esc50", "folder")),
        ((".", "--dataset=esc50"), ("meta/esc50.csv",)),
        ((".", "--subset=esc10", "--dataset=folder"), ("--subset=esc10", "--dataset=esc50")),
    ],
)
def test_errors(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = run("check", *arguments)
    assert done.status == 1
    assert done.out == ""
    *messages, error = done.err.splitlines()
    assert error.startswith("python -m sound_pipeline.datasets: error: ")
    assert all("taken for" in message for message in messages)
    for word in words:
        assert word in error


@pytest.mark.parametrize(
    ("files", "path", "dataset"),
    [
        (["metadata/UrbanSound8K.csv", "audio/fold1/a.wav"], "", "urbansound8k"),
        (["meta/esc50.csv", "audio/a.wav"], "", "esc50"),
        (["dog/a.wav", "cat/b.wav"], "", "folder"),
        (["list.CSV"], "list.CSV", "csv"),
    ],
)
def test_layouts_are_guessed(tmp_path: Path, files: list[str], path: str, dataset: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert guess_dataset(str(tmp_path / path)) == dataset


def test_configuration_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.touch()
    values = flags.FlagValues()
    flags.DEFINE_enum("dataset", "csv", DATASETS, "", flag_values=values)
    for name, value in (
        ("data_dir", "sounds"), ("subset", ""), ("path_column", "file"),
        ("label_column", "species"),
        ("fold_column", "fold"), ("group_column", "site"),
    ):  # fmt: skip
        flags.DEFINE_string(name, value, "", flag_values=values)
    values.mark_as_parsed()
    config = config_from_flags(str(path), "csv", values)
    assert (config.manifest, config.data_dir) == (str(path), "sounds")
    assert (config.path_column, config.label_column) == ("file", "species")
    assert (config.fold_column, config.group_column) == ("fold", "site")
    with pytest.raises(UserError, match="folder of the data set"):
        config_from_flags(str(path), "folder", values)


def test_names_steer_no_terminal_and_break_no_line(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for number in range(2):
            write(tmp_path / label / f"{number}.wav", number)
    (tmp_path / "a" / "2\x1b[2J\n\u202e.wav").write_bytes(b"no sound")
    outcome = run("check", tmp_path)
    assert outcome.status == 1
    assert "2\\x1b[2J\\n\\u202e.wav: " in outcome.out
    assert not {"\x1b", "\u202e"} & set(outcome.out + outcome.err)


def test_a_folder_that_comes_divided_is_told_of(tmp_path: Path) -> None:
    for part, label in (("train", "dog"), ("train", "Dog"), ("test", "dog"), ("test", "Dog")):
        for seed in range(2):
            name = f"yard_00000{seed}.000_dog" if label == "dog" else str(seed)
            write(tmp_path / part / label / f"{name}.wav", seed)
    write(tmp_path / "loose.wav", 7)
    outcome = run("check", tmp_path)
    assert outcome.status == 0
    assert "comes divided into train (4), test (4) recordings" in outcome.err
    assert "1 recordings lie beside the folders of the classes" in outcome.err
    assert "classes 'Dog', 'dog' are learned as different" in outcome.err
    assert "source recordings: 5, told apart by names of cuts" in outcome.out
    assert "\nclass  train  test  all\n" in outcome.out
    assert "  yard: parts train, test; dog; 4 clips\n" in outcome.out


def test_recordings_that_are_perhaps_the_same(tmp_path: Path) -> None:
    for number in range(6):
        random = np.random.default_rng(number)
        time = np.arange(5 * RATE_HZ) / RATE_HZ
        pitch = random.uniform(200, 3000) * (1 + 0.3 * np.sin(random.uniform(1, 20) * time))
        sound = 0.2 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) * np.sin(3 * number * time)
        sound += random.normal(0, 10 ** random.uniform(-4, -1.5), len(time))
        (tmp_path / "in" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        path = tmp_path / "in" / "ab"[number % 2] / f"{number}.wav"
        soundfile.write(path, sound, RATE_HZ)
        if number == 3:
            soundfile.write(path.with_name("again.wav"), 0.3 * sound[2000:], RATE_HZ)
    outcome = run("check", tmp_path / "in", "--similar", f"--cache_dir={tmp_path / 'cache'}")
    assert outcome.status == 0
    line = next(line for line in outcome.out.splitlines() if " ~ " in line)
    assert "perhaps the same recording: 1" in outcome.out
    assert "3.wav" in line and "again.wav" in line and "(cosine " in line
    assert "source recordings" in line
    plain = json.loads(run("check", tmp_path / "in", "--json=-").out)
    assert plain["similar"] is None
