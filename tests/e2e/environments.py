"""Environments that hold nothing of this project, made on demand and kept."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers.made_once import locked

OLDEST, NEWEST = "2.16.2", "2.21.0"
VERSIONS = (OLDEST, "2.17.1", NEWEST)
"""Of TensorFlow: those that an exported model is tested with."""

_PYTHON = "py{}.{}".format(*sys.version_info)
_IN_ENVIRONMENT = (
    Path("Scripts", "python.exe") if sys.platform == "win32" else Path("bin", "python")
)
_LONGEST_SECONDS = 900


def bare_tensorflow(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that can import that TensorFlow, what it requires, and nothing else.

    The version that the tests run with costs nothing: its files are linked. Others are
    installed, into the folder that SOUND_PIPELINE_ENVS names or ~/.cache/sound_pipeline/envs.
    """
    if version == metadata.version("tensorflow"):
        return _link_tensorflow(tmp_path_factory.mktemp(f"tensorflow-{version}"))
    return installed_tensorflow(version, _kept())


def installed_tensorflow(version: str, envs: Path) -> Path:
    """The same, installed by pip; skips where there is no such TensorFlow for this Python."""
    if sys.version_info >= (3, 13) and version != NEWEST:
        pytest.skip(f"there is no TensorFlow {version} for Python {_PYTHON[2:]}")

    # The same without what only graphics cards need, where it is published.
    has_small = (sys.platform, platform.machine()) in {("linux", "x86_64"), ("win32", "AMD64")}
    package = "tensorflow-cpu" if has_small else "tensorflow"
    return installed(f"tensorflow-{version}", [f"{package}=={version}"], envs)


def installed(name: str, packages: Sequence[str], envs: Path | None = None) -> Path:
    """An interpreter that can import some packages, which pip installs once, and nothing else."""

    def install(directory: Path) -> None:
        call(sys.executable, "-m", "venv", str(directory))
        python = str(directory / _IN_ENVIRONMENT)
        call(python, "-m", "pip", "install", "--quiet", *packages)

    return _make_once((envs or _kept()) / f"{name}-{_PYTHON}", install) / _IN_ENVIRONMENT


def serving_protos() -> Path:
    """A folder for PYTHONPATH with TensorFlow Serving's messages, of the tests' TensorFlow.

    They are a few files that stand on TensorFlow and gRPC, which are here already.
    """
    minor = metadata.version("tensorflow").rpartition(".")[0]

    def install(directory: Path) -> None:
        package = f"tensorflow-serving-api~={minor}.0"
        target = ("--no-deps", "--target", str(directory))
        call(sys.executable, "-m", "pip", "install", "--quiet", *target, package)

    return _make_once(_kept() / f"tensorflow-serving-api-{minor}-{_PYTHON}", install)


def call(*words: str, cwd: Path | None = None, **variables: str) -> str:
    """Runs a command that must succeed, away from the project; returns what it printed.

    More environment variables may be given, and a folder to run it in.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            cwd=cwd or elsewhere,
            env={**kept, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    assert done.returncode == 0, f"{' '.join(words[:4])}: {done.stderr[-4000:]}"
    return done.stdout


def _kept() -> Path:
    return Path(os.environ.get("SOUND_PIPELINE_ENVS", "~/.cache/sound_pipeline/envs")).expanduser()


def _make_once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Makes a folder that isn't there; what has its final name is whole."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with locked(directory.with_name(f"{directory.name}.lock")):
        if not directory.is_dir():
            aside = tempfile.mkdtemp(prefix=f"{directory.name}-unfinished-", dir=directory.parent)
            try:
                make(Path(aside))
                Path(aside).rename(directory)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    return directory


def _link_tensorflow(directory: Path) -> Path:
    """An environment of links to the TensorFlow of this one and to all that it requires."""
    venv.create(directory, symlinks=sys.platform != "win32")
    python = directory / _IN_ENVIRONMENT
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call(str(python), "-c", code).strip())
    for name in _required("tensorflow"):
        files = metadata.distribution(name).files or []
        for first in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link = packages / first
            if not link.exists():
                link.symlink_to(str(metadata.distribution(name).locate_file(first)))
    return python


def _required(name: str) -> list[str]:
    """The distribution and those that it requires, and they require, in this environment."""
    found, left = [], [name]
    while left:
        distribution = metadata.distribution(left.pop())
        if distribution.name in found:
            continue
        found.append(distribution.name)
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found
