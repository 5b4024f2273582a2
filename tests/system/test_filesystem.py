"""Recordings that are not on disk: TensorFlow's file system in memory, and a local object store.

ram:// is in every TensorFlow and has a part in everything but tensorflow-io's plugins; those are
asked for s3:// by whole programs.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio.vorbis_mp3 import tensorflow_io_audio
from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.embed import embed_recordings
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.system import filesystem
from tests.e2e import programs
from tests.helpers.sound_folders import SHORT, write_folder

CLIPS = 3


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write_folder(tmp_path_factory.mktemp("disk") / "sounds", CLIPS)
    for label in ("hum", "noise"):
        with (directory / f"{label}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label"])
            if label == "hum":
                writer.writerow([f"{label}/00?.wav", label])
            else:
                writer.writerows([f"{label}/{number:03d}.wav", label] for number in range(CLIPS))
    return directory


@pytest.fixture(scope="module")
def in_memory(on_disk: Path) -> str:
    """A copy of the folder at ram://."""
    root = f"ram://{uuid.uuid4().hex}/sounds"
    for path in sorted(on_disk.rglob("*")):
        copy = f"{root}/{path.relative_to(on_disk)}"
        if path.is_dir():
            tf.io.gfile.makedirs(copy)
        else:
            with tf.io.gfile.GFile(copy, "wb") as file:
                file.write(path.read_bytes())
    return root


def names_of(config: DatasetConfig, root: str | Path) -> list[tuple[str, str, str]]:
    return [
        (recording.path.removeprefix(f"{root}/"), recording.label, recording.group)
        for recording in load_manifest(config).recordings
    ]


def test_folders_elsewhere_are_read_as_those_on_disk(on_disk: Path, in_memory: str) -> None:
    found = names_of(DatasetConfig("folder", in_memory), in_memory)
    assert found == names_of(DatasetConfig("folder", str(on_disk)), on_disk)
    assert len(found) == 3 * CLIPS


@pytest.mark.parametrize("place", ["on_disk", "in_memory"])
def test_manifests_and_paths_by_pattern(place: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(place)
    listed = names_of(DatasetConfig("csv", "", manifest=f"{root}/*.csv"), root)
    assert [name for name, _, _ in listed] == [
        f"{label}/{number:03d}.wav" for label in ("hum", "noise") for number in range(CLIPS)
    ]
    assert len({group for _, _, group in listed}) == 2 * CLIPS


@pytest.mark.slow
def test_embeddings_are_those_of_the_files_on_disk(
    on_disk: Path, in_memory: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [name for name, _, _ in names_of(DatasetConfig("folder", str(on_disk)), on_disk)]
    cache = tmp_path / "cache"
    broken = f"{in_memory}/broken"
    with tf.io.gfile.GFile(broken, "wb") as file:
        file.write(b"not decoded in-graph")
    elsewhere = [*(f"{in_memory}/{name}" for name in names), broken]
    result = embed_recordings(elsewhere, GaborExtractor(SHORT), EmbeddingSettings(cache, 0.5))
    assert list(result.unreadable) == [len(names)]
    expected = embed_recordings(
        [str(on_disk / name) for name in names],
        GaborExtractor(SHORT),
        EmbeddingSettings(tmp_path / "other"),
    )
    np.testing.assert_array_equal(np.asarray(result.values), np.asarray(expected.values))
    with caplog.at_level(logging.INFO, "sound_pipeline"):
        again = [str(on_disk / name) for name in names]
        embed_recordings(again, GaborExtractor(SHORT), EmbeddingSettings(cache))
    assert "9 recordings, 9 embedded before" in caplog.text, "contents count, not places"


def test_what_is_missing_is_named(in_memory: str, tmp_path: Path) -> None:
    for config in (
        DatasetConfig("folder", f"{in_memory}/nothing"),
        DatasetConfig("csv", "", manifest=f"{in_memory}/nothing*.csv"),
        DatasetConfig("esc50", in_memory),
    ):
        with pytest.raises(UserError, match=in_memory) as caught:
            load_manifest(config)
        assert len(str(caught.value).splitlines()) == 1
    (key,) = content_keys([f"{in_memory}/nothing.wav"], tmp_path)
    assert key != content_keys([f"{in_memory}/other.wav"], tmp_path)[0]


def test_a_pattern_that_nothing_is_like_is_named(on_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\nhum/x*.wav,hum\n")
    config = DatasetConfig("csv", str(on_disk), manifest=str(tmp_path / "list.csv"))
    with pytest.raises(UserError, match=r"list\.csv, line 2: no file is like '.*hum/x\*\.wav'"):
        load_manifest(config)


def test_manifests_of_different_columns_are_refused(on_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("path,label,fold\nhum/000.wav,hum,1\n")
    (tmp_path / "2.csv").write_text("path,label\nnoise/000.wav,noise\n")
    config = DatasetConfig("csv", str(on_disk), manifest=str(tmp_path / "*.csv"))
    with pytest.raises(UserError, match=r"2\.csv and .*1\.csv: only one of them has .*'fold'"):
        load_manifest(config)
    (tmp_path / "2.csv").write_text("path,label,fold\nhum/000.wav,noise,1\n")
    with pytest.raises(UserError, match=r"2\.csv, line 2: .* is in .*1\.csv, line 2 already"):
        load_manifest(config)


def test_a_file_elsewhere_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"ram://{uuid.uuid4().hex}/big"
    content = np.random.default_rng(0).bytes(5_000_000)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(content)
    asked: list[int] = []
    read = tf.io.gfile.GFile.read

    def counted(file: object, size: int = -1) -> bytes:
        asked.append(size)
        return read(file, size)

    monkeypatch.setattr(tf.io.gfile.GFile, "read", counted)
    with filesystem.open_binary(path) as opened:
        assert opened.read(10) == content[:10]
        assert len(asked) == 1 and 0 < asked[0] <= 1 << 20
        assert opened.seek(4_000_000) == opened.tell() == 4_000_000
        assert opened.read(7) == content[4_000_000:4_000_007]
        assert opened.seek(-3, 2) == 4_999_997 and opened.read() == content[-3:]
        assert opened.seek(0) == 0 and opened.read() == content
    assert max(asked) <= 1 << 20
    with pytest.raises(FileNotFoundError):
        filesystem.open_binary(f"{path}/gone")


def test_a_file_system_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"nosuch://a/b: TensorFlow .* reads no nosuch:// here; in"):
        load_manifest(DatasetConfig("folder", "nosuch://a/b"))
    assert not filesystem.is_remote("/a/b:c") and not filesystem.is_remote("C:\\a")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, str]]]:
    """An object store of its own process: its bucket, and what tells programs where it is."""
    if tensorflow_io_audio() is None:
        pytest.skip(f"tensorflow-io doesn't load beside TensorFlow {tf.__version__}")
    pytest.importorskip("moto", reason="pip install -e .[test]")
    import boto3

    code = (
        "from moto.server import ThreadedMotoServer as Server\n"
        "server = Server('127.0.0.1', 0)\nserver.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\ninput()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        words = iter(process.stdout.readline, "")
        port = next(word for word in words if word.strip().isdecimal()).strip()
        told = {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "S3_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=told["S3_ENDPOINT"], region_name="us-east-1")
        client.create_bucket(Bucket="sounds")
        yield "sounds", told
        process.kill()


@pytest.mark.slow
def test_a_program_reads_an_object_store(
    bucket: tuple[str, dict[str, str]], on_disk: Path, tmp_path: Path
) -> None:
    import boto3

    name, told = bucket
    client = boto3.client("s3", endpoint_url=told["S3_ENDPOINT"], region_name="us-east-1")
    for path in on_disk.rglob("*.*"):
        key = f"data/{path.relative_to(on_disk)}"
        client.upload_fileobj(io.BytesIO(path.read_bytes()), name, key)

    flags = ("--extractor=gabor", "--window_seconds=0.5", "--beginning_seconds=", "--shard=1/1")
    keys = {}
    for where, dataset in {
        "folder": ("--dataset=folder", f"--data_dir=s3://{name}/data"),
        "disk": ("--dataset=folder", f"--data_dir={on_disk}"),
        "csv": ("--dataset=csv", f"--manifest=s3://{name}/data/*.csv"),
    }.items():
        # What tensorflow-io is told of the store, it reads once a process.
        run = programs.run_here if where == "disk" else programs.run
        outcome = run(
            "-m",
            "sound_pipeline.extract",
            *dataset,
            *flags,
            f"--shards_dir={tmp_path}/{where}",
            cache=tmp_path / f"cache of {where}",
            **told,
        )
        assert outcome.status == 0, outcome.err
        keys[where] = Path(outcome.out.strip()).read_bytes()
    assert keys["folder"] == keys["disk"]
    assert 0 < len(keys["csv"]) < len(keys["disk"])

    missing = programs.run(
        "-m",
        "sound_pipeline.extract",
        "--dataset=folder",
        f"--data_dir=s3://{name}/nothing",
        *flags,
        f"--shards_dir={tmp_path}/none",
        cache=tmp_path,
        **told,
    )
    programs.assert_refused(missing, "extract.py", f"--data_dir=s3://{name}/nothing does not exist")
    assert missing.status == 1
    assert not os.path.exists(tmp_path / "none")
