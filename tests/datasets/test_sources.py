"""Manifests of folders and of CSV files; audio is never opened."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from sound_pipeline.datasets import DatasetConfig, Manifest, load_manifest
from tests.helpers.user_errors import error_of


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def csv_dataset(
    folder: Path,
    text: str = "path,label\na.wav,cat\nb.wav,cat\nc.wav,dog\nd.wav,dog\n",
    files: Iterable[str] = ("a.wav", "b.wav", "c.wav", "d.wav"),
    encoding: str = "utf-8",
) -> str:
    """Writes a CSV and the files beside it; returns the path of the CSV."""
    path = folder / "list.csv"
    for name in (*files, path.name):
        touch(folder / name)
    path.write_bytes(text.encode(encoding))
    return str(path)


def load_csv(manifest: str, data_dir: str = "", **columns: str) -> Manifest:
    return load_manifest(DatasetConfig("csv", data_dir, manifest=manifest, **columns))


def load_text(folder: Path, text: str, **columns: str) -> Manifest:
    return load_csv(csv_dataset(folder, text), **columns)


def names(manifest: Manifest) -> list[str]:
    return [os.path.basename(recording.path) for recording in manifest.recordings]


# ---- Folders ---------------------------------------------------------------------------------


def load_folder(root: Path) -> Manifest:
    return load_manifest(DatasetConfig("folder", str(root)))


def folder_of(root: Path, files: Mapping[str, Sequence[str]]) -> Path:
    for label, paths in files.items():
        for path in paths:
            touch(root / label / path)
    return root


def test_folder(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path / "my sounds",
        {
            "grüne Tür": ["b.WAV", "a.flac", "deep/er/c.Opus", ".hidden.wav", "notes.txt"],
            "Ärger": ["x.mp3", "y.aif", ".trash/z.wav"],
            ".git": ["hook.wav", "other.wav"],
        },
    )
    touch(root / "unlabelled.wav")
    manifest = load_folder(root)
    assert manifest.name == "folder (my sounds)"
    assert manifest.classes == ("grüne Tür", "Ärger")
    assert manifest.groups.tolist() == [
        "grüne Tür/a.flac",
        "grüne Tür/b.WAV",
        "grüne Tür/deep/er",
        "Ärger/x.mp3",
        "Ärger/y.aif",
    ]
    assert manifest.folds == ()
    assert manifest.clip_seconds == 4.0
    assert all(os.path.isfile(recording.path) for recording in manifest.recordings)


def test_folder_that_comes_divided(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"dog": ["1.wav", "2.wav"], "cat": ["1.wav", "yard_000020.9_cat.wav"]}
    for part in ("Train", "test"):
        folder_of(tmp_path / part, files)
    folder_of(tmp_path / "valid", {"dog": ["1.wav"], "cat": []})
    (tmp_path / "valid" / "cat").mkdir()
    folder_of(tmp_path, {"$RECYCLE.BIN": ["1.wav"], "__MACOSX/Train/dog": ["._1.wav", "1.wav"]})
    touch(tmp_path / "readme.wav")
    touch(tmp_path / "Train" / "loose.wav")
    with caplog.at_level("INFO"):
        manifest = load_manifest(DatasetConfig("folder", f"{tmp_path}/"))
    assert manifest.parts == ("train", "validation", "test")
    assert manifest.classes == ("cat", "dog")
    placed = [(r.label, r.fold, r.group) for r in manifest.recordings]
    assert placed == [
        ("cat", 1, "Train/cat/1.wav"),
        ("cat", 1, "yard"),
        ("dog", 1, "Train/dog/1.wav"),
        ("dog", 1, "Train/dog/2.wav"),
        ("cat", 3, "test/cat/1.wav"),
        ("cat", 3, "yard"),
        ("dog", 3, "test/dog/1.wav"),
        ("dog", 3, "test/dog/2.wav"),
        ("dog", 2, "valid/dog/1.wav"),
    ]
    assert "comes divided into train (4), validation (1), test (4) recordings" in caplog.text
    assert "2 recordings lie beside" in caplog.text
    assert "(Train/loose.wav, readme.wav)" in caplog.text


def test_folder_of_parts_without_classes(tmp_path: Path) -> None:
    folder_of(tmp_path, {"train": ["1.wav", "2.wav"], "test": ["1.wav", "2.wav"]})
    error_of(lambda: load_folder(tmp_path), f"--data_dir={tmp_path}", "folders of classes")


def test_classes_that_look_alike_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    decomposed = unicodedata.normalize("NFD", "Tür")
    text = f"path,label\na.wav,Tür\nb.wav,Tür\nc.wav,{decomposed}\nd.wav,{decomposed}\n"
    load_text(tmp_path, text)
    assert r"classes 'Tu\u0308r', 'T\xfcr' are learned as different" in caplog.text


def test_folder_of_links(tmp_path: Path) -> None:
    real = folder_of(tmp_path / "real", {"a": ["1.wav", "2.wav"]})
    root = folder_of(tmp_path / "root", {"b": ["1.wav", "2.wav"]})
    (root / "a").symlink_to(real / "a")
    (root / "b" / "loop").symlink_to(root / "b")
    assert load_folder(root).groups.tolist() == ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]
    (root / "b" / "3.wav").symlink_to(tmp_path / "absent.wav")
    assert load_folder(root).groups.tolist()[-1] == "b/3.wav"


def test_folder_errors(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    error_of(lambda: load_folder(absent), f"--data_dir={absent}", "does not exist")
    loose = tmp_path / "loose"
    touch(loose / "a.wav")
    error_of(lambda: load_folder(loose), f"--data_dir={loose}", "no recordings", "folder a class")
    silent = folder_of(tmp_path / "silent", {"a": ["1.wav", "2.wav"], "b": ["1.m4a"]})
    error_of(lambda: load_folder(silent), f"--data_dir={silent}", "'b'", ".flac")
    lonely = folder_of(tmp_path / "lonely", {"a": ["1.wav", "2.wav"]})
    error_of(lambda: load_folder(lonely), f"--data_dir={lonely}", "only one class", "'a'")
    single = folder_of(
        tmp_path / "single", {"a": ["1.wav", "2.wav"], "b": ["1.wav"], "c": ["1.wav"]}
    )
    message = error_of(lambda: load_folder(single), f"--data_dir={single}", "'b', 'c'", "add")
    assert "'a'" not in message


def test_folder_with_names_that_cannot_be_written_out(tmp_path: Path) -> None:
    for number, name in enumerate(["a\nb", "b\n", "\rb", "a\u2028b", "\x1b[2J", "b\u202e", " "]):
        classes = {name: ["1.wav", "2.wav"], "c": ["1.wav", "2.wav"]}
        root = folder_of(tmp_path / f"lines {number}", classes)
        error_of(lambda root=root: load_folder(root), "line break", repr(name))  # type: ignore[misc]


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path, {"a": ["1.wav", "2.wav"], "b": ["1.wav", "2.wav"]})
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    error_of(lambda: load_folder(root), str(root / "b"), "Permission denied")


def test_a_file_name_that_is_not_utf8_is_listed(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a": ["1.wav", "2.wav"], "b": ["1.wav", "2.wav"]})
    try:
        os.rename(root / "b" / "2.wav", os.fsencode(root / "b") + b"/\xe9.wav")
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    manifest = load_folder(root)
    assert manifest.paths[3] == str(root / "b" / "\udce9.wav")
    assert manifest.groups.tolist()[3] == "b/\udce9.wav"


# ---- CSV files -------------------------------------------------------------------------------


def test_csv_with_the_least_columns(tmp_path: Path) -> None:
    manifest = load_csv(csv_dataset(tmp_path))
    assert manifest.name == "csv (list.csv)"
    assert manifest.classes == ("cat", "dog")
    assert manifest.labels.tolist() == [0, 0, 1, 1]
    assert manifest.folds == ()
    assert manifest.groups.tolist() == ["a.wav", "b.wav", "c.wav", "d.wav"]
    assert manifest.clip_seconds == 4.0
    assert manifest.recordings[0].path == str(tmp_path / "a.wav")


def test_csv_with_folds_and_groups(tmp_path: Path) -> None:
    text = "group,fold,path,label\ns1,1,a.wav,cat\ns1,1.0,b.wav,cat\ns2,2,c.wav,dog\ns3,2,d.wav,dog"
    manifest = load_text(tmp_path, text)
    assert manifest.folds == (1, 2)
    assert [recording.fold for recording in manifest.recordings] == [1, 1, 2, 2]
    assert manifest.groups.tolist() == ["s1", "s1", "s2", "s3"]


def test_csv_without_groups_takes_them_from_names_of_cuts(tmp_path: Path) -> None:
    files = ["x/yard_000001.0_cat.wav", "yard_000009.5_dog.wav", "c.wav", "x/c.wav"]
    rows = zip([files[0], files[1].replace("/", "\\"), *files[2:]], "abab", strict=True)
    text = "path,label\n" + "".join(f"{name},{label}\n" for name, label in rows)
    manifest = load_csv(csv_dataset(tmp_path, text, files))
    assert manifest.groups.tolist() == ["yard", "yard", "c.wav", "x/c.wav"]
    assert "names of cuts" in manifest.grouping


def test_csv_with_named_columns(tmp_path: Path) -> None:
    text = "file,species,part,from\na.wav,x,1,p\nb.wav,x,2,q\nc.wav,y,1,r\nd.wav,y,2,s\n"
    columns = {"path_column": "file", "label_column": "species"}
    manifest = load_text(tmp_path, text, **columns, fold_column="part", group_column="from")
    assert manifest.folds == (1, 2)
    assert manifest.groups.tolist() == ["p", "q", "r", "s"]
    assert load_text(tmp_path, text, **columns).folds == ()
    for column in ("fold_column", "group_column"):
        error_of(
            partial(load_text, tmp_path, text, **columns, **{column: "parts"}),
            "list.csv",
            "'parts'",
            f"--{column}",
            "did you mean 'part'",
        )


def test_csv_paths_start_from_data_dir_when_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = tmp_path / "audio"
    for name in "abcd":
        touch(audio / f"{name}.wav")
    manifest = csv_dataset(tmp_path / "lists", files=())
    assert load_csv(manifest, str(audio)).recordings[0].path == str(audio / "a.wav")
    lists = str(tmp_path / "lists")
    error_of(lambda: load_csv(manifest), "4 of 4", "list.csv", lists, "--data_dir")
    monkeypatch.chdir(audio)
    csv_dataset(audio)
    assert load_csv("list.csv").recordings[0].path == "a.wav"
    absolute = f"path,label\n{audio / 'a.wav'},cat\nb.wav,cat\nc.wav,dog\nd.wav,dog"
    assert load_text(audio, absolute).recordings[0].path == str(audio / "a.wav")


def test_csv_files_are_found_as_other_systems_spell_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Tür.wav")
    text = "path,label\nclips/A.WAV,cat\nclips\\b.wav,cat\nclips/Tür.wav,dog\nclips/d.wav,dog\n"
    files = ["clips/a.wav", "clips/b.wav", f"clips/{decomposed}", "clips/d.wav", "clips/D.wav"]
    manifest = load_csv(csv_dataset(tmp_path, text, files))
    assert all(os.path.isfile(recording.path) for recording in manifest.recordings)
    assert names(manifest)[0].lower() == "a.wav"
    assert names(manifest)[3] == "d.wav"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\n", ("no recordings",)),
        ("path,label\na.wav,cat\nb.wav,cat\n", ("only one class", "'cat'")),
        ("path,label\na.wav,cat\nb.wav,cat\nc.wav,dog\n", ("'dog'", "only one clip")),
        (
            "path,lable\na.wav,cat\n",
            ("'label'", "'path', 'lable'", "did you mean 'lable'", "--label_column"),
        ),
        ("path,species\na.wav,cat\n", ("'label'", "'path', 'species'", "--label_column")),
        ("file,label\na.wav,cat\n", ("'path'", "--path_column")),
        ("path,label\na.wav,\n", ("line 2", "label", "empty")),
        ("path,label\n,cat\n", ("line 2", "path", "empty")),
        ("path,label\na.wav,cat\n\nb.wav,cat\n./a.wav,dog\n", ("line 5", "a.wav", "line 2")),
        ("path,label\na.wav,cat\nA.WAV,cat\n", ("line 3", "a.wav", "line 2")),
        ("path,label,fold\na.wav,cat,1\nb.wav,cat,x\n", ("line 3", "fold", "'x'")),
        ("path,label,group\na.wav,cat,\n", ("line 2", "group", "empty")),
        ('path,label\na.wav,"c\nat"\nb.wav,"c\nat"\nc.wav,dog\nd.wav,dog', ("line break",)),
        ('path,label\na.wav,"c\nat"\ngone.wav,cat\n', ("1 of 2", "(line 4)")),
    ],
)
def test_csv_errors(tmp_path: Path, text: str, words: Sequence[str]) -> None:
    path = csv_dataset(tmp_path, text, ["a.wav", "b.wav", "c.wav", "d.wav"])
    error_of(lambda: load_csv(path), "list.csv", *words)


def test_csv_file_or_folder_absent(tmp_path: Path) -> None:
    path = csv_dataset(tmp_path / "lists")
    error_of(lambda: load_csv("absent.csv"), "--manifest=absent.csv", "no such file")
    error_of(
        lambda: load_csv("list.csv", str(tmp_path / "lists")),
        "--manifest=list.csv",
        f"did you mean --manifest={path}",
    )
    error_of(lambda: load_csv(path, str(tmp_path / "x")), "--data_dir", "does not exist", path)
