"""Modules are told apart by their files, wherever these are read from."""

from __future__ import annotations

import hashlib
import http.client
from pathlib import Path

import pytest
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.hub import content_hash, load_hub_module


class Doubling(tf.Module):
    """Any module."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        return self.factor * values


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two of the same graph, with other weights."""
    folder = tmp_path_factory.mktemp("modules")
    for factor in (2.0, 3.0):
        tf.saved_model.save(Doubling(factor), str(folder / str(factor)))
    return [folder / "2.0", folder / "3.0"]


def test_a_module_has_one_hash_by_path_url_and_link(modules: list[Path], tmp_path: Path) -> None:
    module, _ = modules
    expected = content_hash(str(module))
    assert content_hash(f"file://{module}") == content_hash(f"{module}/") == expected
    (tmp_path / "linked").symlink_to(module)
    assert content_hash(str(tmp_path / "linked")) == expected
    # As caches have them, that keep the files of all versions in one place.
    of_links = tmp_path / "of links"
    of_links.mkdir()
    for entry in module.iterdir():
        (of_links / entry.name).symlink_to(entry)
    assert content_hash(str(of_links)) == expected


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_other_weights_are_another_module(modules: list[Path], scheme: str) -> None:
    one, other = (load_hub_module(f"{scheme}{module}").content for module in modules)
    assert one != other


def test_a_module_whose_files_cannot_be_listed_is_refused(
    modules: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.io.gfile, "walk", lambda path: iter([]))
    with pytest.raises(UserError, match=r"--extractor=.* its files can't be listed"):
        load_hub_module(str(modules[0]))


def test_a_lock_says_what_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handle = "https://example.invalid/module/1"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    waited: list[str] = []

    def wait(handle: str, lock: str, seconds: float) -> None:
        waited.append(lock)
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr("tensorflow_hub.resolver._wait_for_lock_to_disappear", wait)
    lock = tmp_path / (hashlib.sha1(handle.encode()).hexdigest() + ".lock")
    lock.write_text("host.1.2")
    with pytest.raises(UserError, match="can't be fetched"):
        load_hub_module(handle)
    assert waited == [str(lock)], "it is the file that tensorflow_hub waits for"
    assert f"if there is none, delete {lock}" in caplog.text
