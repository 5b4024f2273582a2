"""Who computes: the devices of --strategy, and a process's place in a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.embeddings.embed import embed_recordings
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.system.devices import Devices, make_devices
from tests.helpers.sound_folders import SHORT, write_folder
from tests.helpers.trainable_modules import save_trainable_module

WORKERS = {"worker": ["localhost:1", "localhost:2"]}


def cluster(tasks: dict[str, list[str]], kind: str, index: int) -> str:
    return json.dumps({"cluster": tasks, "task": {"type": kind, "index": index}})


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy of several processes can only be made first in a process, and waits for them."""
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "several processes")


@pytest.mark.parametrize(
    ("tasks", "kind", "index", "worker", "workers"),
    [
        (WORKERS, "worker", 0, 0, 2),
        (WORKERS, "worker", 1, 1, 2),
        ({"chief": ["a:1"], **WORKERS}, "chief", 0, 0, 3),
        ({"chief": ["a:1"], **WORKERS}, "worker", 0, 1, 3),
        ({"worker": ["a:1"]}, "worker", 0, 0, 1),
    ],
)
def test_a_place_in_the_cluster(
    tasks: dict[str, list[str]],
    kind: str,
    index: int,
    worker: int,
    workers: int,
    no_cluster: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_CONFIG", cluster(tasks, kind, index))
    devices = make_devices("multi_worker")
    assert devices.training == "several processes"
    # Alone, even where others train along.
    assert devices.extraction is tf.distribute.get_strategy()
    assert (devices.worker, devices.workers) == (worker, workers)
    assert devices.is_chief == (worker == 0)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "not json",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        cluster(WORKERS, "worker", 2),
        cluster(WORKERS, "worker", -1),
        cluster(WORKERS, "chief", 0),
        cluster(WORKERS, "evaluator", 0),
        cluster({**WORKERS, "ps": ["b:1"]}, "worker", 0),
    ],
)
def test_a_cluster_that_is_none_is_refused(
    text: str | None, no_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r"--strategy=multi_worker: .*TF_CONFIG") as caught:
        make_devices("multi_worker")
    assert "\n" not in str(caught.value)


def test_one_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is meant for others doesn't concern it.
    monkeypatch.setenv("TF_CONFIG", cluster(WORKERS, "worker", 1))
    devices = make_devices("one")
    assert devices.training.num_replicas_in_sync == 1
    assert devices.is_chief
    devices.wait_for_all()


def test_another_process_that_has_gone_away_is_a_message() -> None:
    gone: Any = tf.errors.UnavailableError(None, None, "heartbeat\nand more")
    several = Devices(None, None, 0, 2)
    with pytest.raises(UserError, match=r"away \(heartbeat\)") as caught, several.together():
        raise gone
    assert "\n" not in str(caught.value)
    with pytest.raises(tf.errors.UnavailableError), Devices(None, None).together():
        raise gone
    own: Any = tf.errors.InvalidArgumentError(None, None, "of this process")
    with pytest.raises(tf.errors.InvalidArgumentError), several.together():
        raise own


@pytest.mark.nightly
@pytest.mark.slow
def test_mirrored_on_a_single_device_embeds_as_one(tmp_path: Path) -> None:
    module = save_trainable_module(tmp_path / "module")
    write_folder(tmp_path / "sounds", 4)
    paths = sorted(str(path) for path in (tmp_path / "sounds").rglob("*.wav"))
    values = []
    for strategy in ("one", "mirrored"):
        devices = make_devices(strategy)
        with devices.extraction.scope():
            extractor = load_extractor(module, SHORT)
            embedded = embed_recordings(paths, extractor, EmbeddingSettings(tmp_path / strategy))
        values.append(np.asarray(embedded.values))
    assert np.abs(values[0]).max() > 0.01
    np.testing.assert_array_equal(values[0], values[1])
