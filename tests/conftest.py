"""What all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.made_once import made_once
from tests.live import pulse

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As in the programs.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")
# What a script starts in the background ignores Ctrl-C, and so would the programs that tests
# start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

_HOW_TO_GET = (
    "set SOUND_PIPELINE_ASSETS to a folder with data/esc10 (the ESC-50 release of "
    "github.com/karolpiczak/ESC-50, reduced to its ESC-10 rows) and hub/ (inception_v3_trunk and "
    "yamnet: SavedModels of tfhub.dev/google/imagenet/inception_v3/feature_vector/5 and "
    "tfhub.dev/google/yamnet/1)"
)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real recordings and modules; skips, or fails in CI, where there is none."""
    folder = os.environ.get("SOUND_PIPELINE_ASSETS")
    if folder:
        return Path(folder)
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {_HOW_TO_GET}")
    pytest.skip(_HOW_TO_GET)


@pytest.fixture(scope="session")
def esc10(assets: Path) -> Path:
    """400 real recordings in ESC-50's layout."""
    return assets / "data" / "esc10"


@pytest.fixture(scope="session")
def inception(assets: Path) -> Path:
    """The real Inception v3 weights up to mixed_8, as a TF Hub module."""
    return assets / "hub" / "inception_v3_trunk"


@pytest.fixture(scope="session")
def loudness_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that tells quiet sounds from loud ones: to be read only."""

    def make(folder: Path) -> Path:
        from tests.helpers import tiny_models  # TensorFlow takes seconds to import

        return tiny_models.export_loudness_model(folder / "saved_model")

    return made_once(tmp_path_factory, "loudness_model", make)


@pytest.fixture
def figures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares runs in this process the time for a model, a TensorBoard log and a page.

    Empty ones are in their place.
    """
    # TensorFlow takes seconds to import.
    from sound_pipeline.report import run_report
    from sound_pipeline.training import run

    def make_folder(directory: Path, *_: object, **__: object) -> None:
        directory.mkdir()

    monkeypatch.setattr(run, "export_model", lambda _, directory, *__: directory.mkdir())
    monkeypatch.setattr(run_report, "write_tensorboard", make_folder)
    monkeypatch.setattr(run_report, "write_page", lambda path, *_: path.touch())


@pytest.fixture
def pulseaudio(monkeypatch: pytest.MonkeyPatch) -> Iterator[pulse.PulseAudio]:
    """A virtual microphone: a running private daemon that this process's clients find.

    Skips, or fails in CI, without PulseAudio.
    """
    missing = pulse.missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {missing}")
    if missing:
        pytest.skip(missing)
    with pulse.PulseAudio() as daemon:
        for name, value in daemon.variables.items():
            monkeypatch.setenv(name, value)
        yield daemon
