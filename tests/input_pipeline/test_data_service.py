"""Windows from workers in other processes, which may die, against those of this process."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.input_pipeline import data_service
from sound_pipeline.input_pipeline.batches import FILLER, Batch
from sound_pipeline.input_pipeline.data_service import from_workers, parse_address, until_stalled
from sound_pipeline.input_pipeline.read import WindowReader
from tests.helpers import in_process, sounds
from tests.helpers.reading_service import Service, free_port

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5))
BATCH = 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with ExitStack() as stack:
        yield Service(tmp_path_factory.mktemp("service"), stack)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("recordings")
    return [
        str(sounds.write_wav(folder / f"{n}.wav", sounds.noise(8000 + 900 * n, seed=n), 16000))
        for n in range(40)
    ]


def windows_of(batches: Iterator[Batch]) -> dict[tuple[int, int], np.ndarray]:
    """What came for each window of each recording, each once."""
    found: dict[tuple[int, int], np.ndarray] = {}
    for batch in batches:
        for recording, window, prepared in zip(
            batch.recording.tolist(), batch.window.tolist(), batch.prepared.numpy(), strict=True
        ):
            if recording != FILLER:
                assert (recording, window) not in found
                found[recording, window] = prepared
    return found


def assert_equal(
    one: dict[tuple[int, int], np.ndarray], two: dict[tuple[int, int], np.ndarray]
) -> None:
    assert one.keys() == two.keys()
    for key, prepared in one.items():
        np.testing.assert_array_equal(prepared, two[key])


@pytest.mark.slow
def test_workers_give_what_this_process_gives_and_may_die(
    service: Service, paths: Sequence[str]
) -> None:
    extractor = GaborExtractor(CONFIG)
    expected = windows_of(WindowReader().read(paths, extractor.prepare, CONFIG, BATCH))
    whole = WindowReader(service.address).read(paths, extractor.prepare, CONFIG, BATCH)
    assert_equal(windows_of(whole), expected)

    def while_one_dies() -> Iterator[Batch]:
        batches = WindowReader(service.address).read(paths, extractor.prepare, CONFIG, BATCH)
        for number, batch in enumerate(batches):
            if number == 3:
                service.kill_worker(0)
                service.workers[0] = service.start_worker(0)
            yield batch

    assert_equal(windows_of(while_one_dies()), expected)


@pytest.mark.slow
def test_a_worker_may_stay_dead(
    service: Service,
    paths: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(data_service, "_STALLED_SECONDS", 4.0)
    extractor = GaborExtractor(CONFIG)
    # One that no worker delivers, so that even the last pass gets nothing.
    some = [*paths[:12], str(Path(paths[0]).with_name("gone.wav"))]
    expected = windows_of(WindowReader().read(some, extractor.prepare, CONFIG, BATCH))

    def while_one_dies() -> Iterator[Batch]:
        batches = WindowReader(service.address).read(some, extractor.prepare, CONFIG, BATCH)
        for number, batch in enumerate(batches):
            if number == 1:
                service.kill_worker(0)
            yield batch

    assert_equal(windows_of(while_one_dies()), expected)
    assert "1 of 13 recordings didn't come from the workers" in caplog.text
    service.bring_back(0)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("who", ["dispatcher", "workers"])
def test_a_dispatcher_or_all_workers_may_die(
    service: Service, paths: Sequence[str], who: str
) -> None:
    extractor = GaborExtractor(CONFIG)
    expected = windows_of(WindowReader().read(paths, extractor.prepare, CONFIG, BATCH))

    def while_they_die() -> Iterator[Batch]:
        batches = WindowReader(service.address).read(paths, extractor.prepare, CONFIG, BATCH)
        for number, batch in enumerate(batches):
            if number == 3:
                if who == "workers":
                    for worker in range(2):
                        service.kill_worker(worker)
                    service.workers = [service.start_worker(n) for n in range(2)]
                else:
                    service.dispatcher.kill()
                    service.dispatcher.wait()
                    service.dispatcher = service.start_dispatcher()
            yield batch

    assert_equal(windows_of(while_they_die()), expected)


@pytest.mark.slow
def test_what_workers_can_not_decode_is_named(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    soundfile.write(path, sounds.noise(16000), 16000)
    extractor = GaborExtractor(CONFIG)
    with pytest.raises(
        UserError, match=rf"{path}: .*convert it with python -m sound_pipeline\.conv"
    ):
        list(WindowReader(service.address).read([str(path)], extractor.prepare, CONFIG, BATCH))
    service.let_clients_end()


@pytest.mark.nightly
@pytest.mark.slow
def test_what_workers_lose_is_read_here_and_said(
    service: Service, paths: Sequence[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The path means something else to the workers, as on a machine without that folder.
    inside = Path(os.path.relpath(tmp_path)) / "only here.wav"
    shutil.copy(paths[0], inside)
    extractor = GaborExtractor(CONFIG)
    seen = [paths[1], str(inside)]
    expected = windows_of(WindowReader().read(seen, extractor.prepare, CONFIG, BATCH))
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(tmp_path)
        elsewhere = [paths[1], inside.name]
        found = windows_of(
            WindowReader(service.address).read(elsewhere, extractor.prepare, CONFIG, BATCH)
        )
    assert_equal(found, expected)
    assert "1 of 2 recordings didn't come from the workers" in caplog.text
    assert inside.name in caplog.text


@pytest.mark.slow
def test_they_end_when_told_to(service: Service) -> None:
    for process in (*service.workers, service.dispatcher):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_elements_come_in_order_to_their_end() -> None:
    assert list(until_stalled(range(7))) == list(range(7))
    assert list(until_stalled([])) == []


def test_an_error_comes_after_the_elements_before_it() -> None:
    def elements() -> Iterator[int]:
        yield 1
        raise RuntimeError("a worker failed")

    came = until_stalled(elements())
    assert next(came) == 1
    with pytest.raises(RuntimeError, match="a worker failed"):
        next(came)


def test_the_first_element_is_waited_for_and_others_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data_service, "_STALLED_SECONDS", 0.2)
    end = threading.Event()

    def elements() -> Iterator[int]:
        time.sleep(0.6)
        yield from range(3)
        end.wait()
        yield 3

    assert list(until_stalled(elements())) == [0, 1, 2]
    end.set()


def test_nobody_there() -> None:
    dataset = tf.data.Dataset.range(3)
    with pytest.raises(UserError, match=r"--data_service=grpc://localhost:.*start a dispatcher"):
        from_workers(dataset, f"grpc://localhost:{free_port()}")


@pytest.mark.parametrize(
    "address", ["localhost:5050", "grpc://:5050", "grpc://host", "grpc://host:x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UserError, match=r"--data_service=.*give a dispatcher's address"):
        parse_address("data_service", address)


def test_an_address() -> None:
    assert parse_address("data_service", "grpc://there.example:5050") == ("there.example", 5050)


@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="lists sockets as Linux does")
def test_services_listen_on_all_interfaces_as_is_said() -> None:
    dispatcher_port, worker_port = free_port(), free_port()
    dispatcher = data_service.start_dispatcher(dispatcher_port, "")
    worker = data_service.start_worker(
        f"grpc://127.0.0.1:{dispatcher_port}", "127.0.0.1", worker_port
    )
    for port in (dispatcher_port, worker_port):
        lines = [Path(f"/proc/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6")]
        local = [line.split()[1] for line in lines[0][1:] + lines[1][1:] if line.split()[3] == "0A"]
        addresses = {end.split(":")[0] for end in local if int(end.split(":")[1], 16) == port}
        assert addresses and not any(address.strip("0") for address in addresses)
    del worker, dispatcher


def test_a_worker_says_that_it_listens_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def start_worker(*arguments: object) -> object:
        given.append(arguments)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        return object()

    monkeypatch.setattr(data_service, "start_worker", start_worker)
    words = ["worker", "--dispatcher=grpc://there:5050", "--host=127.0.0.1"]
    ended = in_process.run(["-m", "sound_pipeline.data_worker", *words], tmp_path, os.environ)
    assert ended.status == 0
    assert given == [("grpc://there:5050", "127.0.0.1", 0)]
    assert "working for grpc://there:5050 as 127.0.0.1" in ended.err
    assert "all network interfaces" in ended.err
