"""Machines that embed shares, and die: in the end there is what one process would have made."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.embed import embed_recordings, open_store
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.e2e import programs
from tests.helpers.sound_folders import write_folder

PROGRAM = ("-m", "sound_pipeline.extract")


def stored(paths: Sequence[str], cache: Path, config: FeatureConfig) -> list[bytes]:
    """The bytes that a store keeps of each recording."""
    kept = open_store(cache, GaborExtractor(config), "float32").find(content_keys(paths, cache))
    assert kept.is_kept.all()
    spans = zip(kept.part, kept.start, kept.windows, strict=True)
    return [kept.parts[part][start : start + count].tobytes() for part, start, count in spans]


def run_and_kill(words: Sequence[str], cache: Path, seconds: Sequence[float]) -> int:
    """Runs a program, killed after so long each time, until it ends well; how often it was."""
    killed = 0
    for limit in (*seconds, None):
        with subprocess.Popen(
            [sys.executable, *words],
            cwd=programs.ROOT,
            env=programs.environment(cache),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                _, err = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                killed += 1
                continue
        assert process.returncode == 0, err.decode()
        break
    return killed


def assert_shards_are_one_process(
    directory: Path, flags: Sequence[str], dataset: DatasetConfig, config: FeatureConfig, of: int
) -> None:
    """Runs all shares in any order, with kills; merged, they are the store of one process."""
    shards_dir = f"--shards_dir={directory}/shards"
    chance = random.Random(of)
    numbers = chance.sample(range(1, of + 1), of)

    # When to kill whom, as shares of the time that the first one takes.
    kills = {
        number: [chance.uniform(0.1, 1.2) for _ in range((place + 1) % 3)]
        for place, number in enumerate(numbers[1:])
    }

    def run_share(number: int, seconds: float) -> int:
        # A third of them share a disk; the others have their own.
        cache = directory / f"cache{number if number % 3 else 0}"
        words = (*PROGRAM, f"--shard={number}/{of}", shards_dir, *flags)
        return run_and_kill(words, cache, [share * seconds for share in kills.get(number, [])])

    started = time.monotonic()
    run_share(numbers[0], 0.0)
    seconds = time.monotonic() - started
    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(lambda number: run_share(number, seconds), numbers[1:]))

    before = {path: path.read_bytes() for path in (directory / "shards").rglob("0*.*")}
    words = (*PROGRAM, f"--shard={numbers[0]}/{of}", shards_dir, *flags)
    again = programs.run_here(*words, cache=directory / "again")
    assert again.status == 0 and "is there already" in again.err
    assert {path: path.read_bytes() for path in (directory / "shards").rglob("0*.*")} == before

    merged = programs.run_here(*PROGRAM, "--merge", shards_dir, *flags, cache=directory / "merged")
    assert merged.status == 0, merged.err
    paths = [recording.path for recording in load_manifest(dataset).recordings]
    assert f"gabor: {len(paths)} recordings merged" in merged.out
    embed_recordings(paths, GaborExtractor(config), EmbeddingSettings(directory / "alone"))
    alone = stored(paths, directory / "alone", config)
    assert stored(paths, directory / "merged", config) == alone
    assert all(alone) and len(set(alone)) == len(paths)


@pytest.mark.slow
def test_shards_with_kills(tmp_path: Path) -> None:
    write_folder(tmp_path / "sounds", 6, 1.3)
    folder = str(tmp_path / "sounds")
    config = FeatureConfig(windows=WindowConfig(seconds=0.5))
    flags = (
        "--dataset=folder",
        f"--data_dir={folder}",
        "--window_seconds=0.5",
        "--extractor=gabor",
    )
    assert_shards_are_one_process(tmp_path, flags, DatasetConfig("folder", folder), config, 2)


@pytest.mark.nightly
@pytest.mark.assets
def test_64_shards_of_real_recordings_with_kills(tmp_path: Path, esc10: Path) -> None:
    flags = ("--dataset=esc50", f"--data_dir={esc10}", "--extractor=gabor")
    dataset = DatasetConfig("esc50", str(esc10))
    assert_shards_are_one_process(tmp_path, flags, dataset, FeatureConfig(), 64)


@pytest.mark.slow
@pytest.mark.usefixtures("figures_alone")
def test_training_finds_what_was_merged(tmp_path: Path) -> None:
    write_folder(tmp_path / "sounds", 6)
    flags = (
        "--dataset=folder",
        f"--data_dir={tmp_path}/sounds",
        "--window_seconds=0.5",
        "--extractor=gabor",
    )
    shards_dir = f"--shards_dir={tmp_path}/shards"
    for words in (("--shard=1/1",), ("--merge",)):
        done = programs.run_here(*PROGRAM, *words, shards_dir, *flags, cache=tmp_path / words[0])
        assert done.status == 0, done.err
    trained = programs.train(
        *flags,
        "--evaluate=holdout",
        f"--output_dir={tmp_path}/run",
        cache=tmp_path / "--merge",
    )
    assert "18 recordings, 18 embedded before" in trained.err
    assert "embedding:" not in trained.err
    assert json.loads((tmp_path / "run/metrics.json").read_text())["clips"] == 18


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --shard, such as --shard=3/64, or --merge"),
        (("--merge", "--shard=1/2"), "give --shard, such as --shard=3/64, or --merge"),
        (("--shard=3/2",), "--shard=3/2: give its number, from 1"),
    ],
)
def test_bad_flags(tmp_path: Path, words: Sequence[str], said: str) -> None:
    outcome = programs.run_here(
        *PROGRAM,
        *words,
        "--dataset=folder",
        f"--data_dir={tmp_path}",
        f"--shards_dir={tmp_path}",
        cache=tmp_path,
    )
    programs.assert_refused(outcome, "extract.py", said)


def test_help_shows_the_flags_of_training(tmp_path: Path) -> None:
    shown = programs.run("-X", "importtime", *PROGRAM, "--help", cache=tmp_path)
    for flag in ("--shard=", "--dataset=", "--window_seconds=", "--precision=", "--cache_dir="):
        assert flag in shown.out
    assert "tensorflow" not in shown.err
