"""What a data set's check finds, against files whose faults are known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.datasets import Manifest, Recording, load_manifest
from sound_pipeline.datasets.check import (
    Durations,
    check_files,
    duplicates,
    durations,
    find,
    straddling_groups,
)
from sound_pipeline.datasets.check_report import to_json, to_text
from sound_pipeline.datasets.checked_file import CheckedFile
from sound_pipeline.datasets.config import DatasetConfig


def file(
    path: str, label: str = "dog", fold: int | None = 1, group: str = "", **facts: object
) -> CheckedFile:
    return CheckedFile(path, label, fold, group or path, **facts)  # type: ignore[arg-type]


def test_files_are_checked_in_order(tmp_path: Path) -> None:
    recordings = []
    for number in range(50):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(1 + number), 1000)
        recordings.append(Recording(str(tmp_path / f"{number}.wav"), "dog", None, str(number)))
    steps: list[None] = []
    manifest = Manifest("fifty", tuple(recordings), ("dog",), 4.0)
    checked = check_files(manifest, lambda: steps.append(None))
    assert [each.group for each in checked] == [str(number) for number in range(50)]
    assert [each.seconds for each in checked] == [(1 + number) / 1000 for number in range(50)]
    assert len(steps) == 50


# ---- The checks ------------------------------------------------------------------------------


def test_durations() -> None:
    assert durations([]) is None
    assert durations([1800.0]) == Durations(1800, 1800, 1800, 1800, 1800, 0.5)
    assert durations([4.0, 1.0, 3.0, 2.0, 10.0]) == Durations(1, 2, 3, 4, 10, 20 / 3600)


def test_duplicates_and_what_they_do_not_share() -> None:
    files = [
        file("a", "dog", 1, "s1", sha256="x"),
        file("b", "dog", 1, "s1", sha256="y"),
        file("c", "cat", 2, "s2", sha256="x"),
        file("d", "dog", 1, "s1", sha256="y"),
        file("e", "cat", 2, "s2", sha256="z"),
        file("f", "cat", None, "s3", sha256="x"),
    ]
    x, y = duplicates(files)
    assert (x.key, x.paths) == ("x", ("a", "c", "f"))
    assert (x.labels, x.folds, x.groups) == (("cat", "dog"), (1, 2), ("s1", "s2", "s3"))
    assert (y.key, y.paths) == ("y", ("b", "d"))
    assert (y.labels, y.folds, y.groups) == (("dog",), (1,), ("s1",))


def test_source_recordings_in_several_folds() -> None:
    files = [
        file("a", "siren", 1, "106905"),
        file("b", "jackhammer", 10, "106905"),
        file("c", "jackhammer", 10, "106905"),
        file("d", "dog", 1, "7"),
        file("e", "cat", 1, "7"),
        file("f", "dog", None, "8"),
        file("g", "cat", None, "8"),
    ]
    (straddling,) = straddling_groups(files)
    assert straddling.key == "106905"
    assert straddling.paths == ("a", "b", "c")
    assert straddling.labels == ("jackhammer", "siren")
    assert straddling.folds == (1, 10)


FILES = [
    file("1", "dog", 1, "s1", sha256="x", encoding="WAV PCM_16", sample_rate_hz=44100, channels=1),
    file("2", "dog", 2, "s1", sha256="x", encoding="WAV PCM_16", sample_rate_hz=8000, channels=2),
    file("3", "cat", 2, "s2", sha256="y", encoding="FLAC PCM_16", sample_rate_hz=44100, seconds=9),
    file("4", "cat", 2, "s3", missing=True, reason="the file is missing"),
    file("5", "cat", 2, "s4", sha256="x", encoding="MP3 MPEG_LAYER_III", reason="it is broken"),
]
MANIFEST = Manifest(
    "mine",
    tuple(Recording(f.path, f.label, f.fold, f.group) for f in FILES),
    ("dog", "cat"),
    4.0,
    grouping="told apart by ear",
)


def test_findings() -> None:
    findings = find(MANIFEST, FILES)
    assert list(findings.classes.items()) == [("dog", 2), ("cat", 3)]
    assert findings.folds == {1: 1, 2: 4}
    assert findings.class_folds == {"dog": {1: 1, 2: 1}, "cat": {1: 0, 2: 3}}
    assert list(findings.encodings.items()) == [("WAV PCM_16", 2), ("FLAC PCM_16", 1)]
    assert list(findings.sample_rates_hz.items()) == [(44100, 2), (8000, 1)]
    assert findings.channels == {0: 1, 1: 1, 2: 1}
    assert findings.durations == Durations(0, 0, 0, 4.5, 9, 9 / 3600)
    assert [each.paths for each in findings.duplicates] == [("1", "2")]
    assert [each.key for each in findings.straddling_groups] == ["s1"]
    assert [each.path for each in findings.usable] == ["1", "2", "3"]
    assert [each.path for each in findings.missing] == ["4"]
    assert [each.path for each in findings.unreadable] == ["5"]


def test_json() -> None:
    values = json.loads(json.dumps(to_json(find(MANIFEST, FILES))))
    assert values["data_set"] == "mine"
    assert (values["recordings"], values["usable"]) == (5, 3)
    assert (values["source_recordings"], values["grouping"]) == (4, "told apart by ear")
    assert values["missing"] == ["4"]
    assert values["unreadable"] == {"5": "it is broken"}
    assert values["class_folds"]["cat"] == {"1": 0, "2": 3}
    assert values["sample_rates_hz"] == {"44100": 2, "8000": 1}
    assert values["durations"]["upper_quartile_seconds"] == 4.5
    assert values["duplicates"] == [
        {
            "sha256": "x",
            "paths": ["1", "2"],
            "labels": ["dog"],
            "folds": [1, 2],
            "groups": ["s1"],
            "different_labels": False,
            "straddles_folds": True,
            "different_groups": False,
        }
    ]
    assert values["straddling_groups"] == [
        {"group": "s1", "paths": ["1", "2"], "labels": ["dog"], "folds": [1, 2]}
    ]
    assert len(values["files"]) == 5
    assert values["files"][2] == {
        "path": "3",
        "label": "cat",
        "fold": 2,
        "group": "s2",
        "missing": False,
        "reason": "",
        "remark": "",
        "sha256": "y",
        "encoding": "FLAC PCM_16",
        "sample_rate_hz": 44100,
        "channels": 0,
        "seconds": 9,
    }


def test_text() -> None:
    text = to_text(find(MANIFEST, FILES))
    assert text == (
        "mine: 5 recordings, 3 usable, 1 missing, 1 unreadable\n"
        "source recordings: 4, told apart by ear\n"
        "\n"
        "class  fold 1  fold 2  all\n"
        "dog         1       1    2\n"
        "cat         0       3    3\n"
        "all         1       4    5\n"
        "\n"
        "encoding     usable\n"
        "WAV PCM_16        2\n"
        "FLAC PCM_16       1\n"
        "\n"
        "sample rate  usable\n"
        "44100 Hz          2\n"
        "8000 Hz           1\n"
        "\n"
        "channels  usable\n"
        "unknown        1\n"
        "1              1\n"
        "2              1\n"
        "\n"
        "duration           s\n"
        "shortest        0.00\n"
        "lower quartile  0.00\n"
        "median          0.00\n"
        "upper quartile  4.50\n"
        "longest         9.00\n"
        "total 0.00 h\n"
        "\n"
        "missing: 1\n"
        "  4\n"
        "\n"
        "unreadable: 1\n"
        "  5: it is broken\n"
        "\n"
        "files of equal content: 1\n"
        "  1 = 2 (folds 1, 2)\n"
        "\n"
        "source recordings in several folds: 1\n"
        "  s1: folds 1, 2; dog; 2 clips\n"
    )


def test_text_of_many_folds_and_many_missing_files() -> None:
    files = [file(f"{n}.wav", "dog", n, missing=True, reason="gone") for n in range(30)]
    recordings = tuple(Recording(f.path, f.label, f.fold, f.group) for f in files)
    text = to_text(find(Manifest("thirty", recordings, ("dog",), 4.0), files))
    assert "fold 1" not in text
    assert "\nfold  recordings\n0              1\n" in text
    assert "  19.wav\n  and 10 more; --json=FILE lists all\n" in text
    assert "20.wav" not in text
    assert "duration" not in text
    assert max(map(len, text.splitlines())) < 100
    assert text.endswith("content: none\n\nsource recordings in several folds: none\n")


def test_text_is_a_line_each_whatever_names_are() -> None:
    name, label = "a\n\x1b[2J\u202e.wav", "dog\u202e"
    files = [file(name, label, 1, missing=True, reason="gone")]
    recordings = tuple(Recording(f.path, f.label, f.fold, f.group) for f in files)
    text = to_text(find(Manifest("x\ny", recordings, (label,), 4.0), files))
    assert text.startswith("x\\ny: 1 recordings")
    assert "\n  a\\n\\x1b[2J\\u202e.wav\n" in text
    assert "\nclass      fold 1  all\ndog\\u202e       1    1\n" in text


# ---- Data sets -------------------------------------------------------------------------------


def test_manifest_of_missing_files(tmp_path: Path) -> None:
    for name in ("a.wav", "c.wav"):
        (tmp_path / name).touch()
    listed = "path,label\na.wav,cat\nb.wav,cat\nC.WAV,dog\nsub/d.wav,dog\n"
    (tmp_path / "list.csv").write_text(listed, encoding="utf-8")
    config = DatasetConfig("csv", "", manifest=str(tmp_path / "list.csv"))
    manifest = load_manifest(config, require_files=False)
    assert [os.path.relpath(each.path, tmp_path) for each in manifest.recordings] == [
        "a.wav",
        "b.wav",
        "c.wav",
        os.path.join("sub", "d.wav"),
    ]
    assert manifest.labels.tolist() == [0, 0, 1, 1]


def test_manifest_of_a_folder_with_broken_links(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "2.wav").symlink_to(tmp_path / "nowhere")
    manifest = load_manifest(DatasetConfig("folder", str(tmp_path)), require_files=False)
    assert manifest.groups.tolist() == ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]


@pytest.mark.slow
def test_esc10(esc10: Path) -> None:
    manifest = load_manifest(DatasetConfig("esc50", str(esc10)), require_files=False)
    findings = find(manifest, check_files(manifest, lambda: None))
    assert len(findings.usable) == 400
    assert set(findings.classes.values()) == {40}
    assert len(findings.classes) == 10
    assert findings.folds == dict.fromkeys(range(1, 6), 80)
    assert {n for folds in findings.class_folds.values() for n in folds.values()} == {8}
    assert findings.encodings == {"WAV PCM_16": 400}
    assert findings.sample_rates_hz == {44100: 400}
    assert findings.channels == {1: 400}
    assert findings.durations == Durations(5, 5, 5, 5, 5, 400 * 5 / 3600)
    assert findings.straddling_groups == ()
    assert findings.duplicates == ()
