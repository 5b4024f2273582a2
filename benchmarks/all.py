"""All benchmarks that have a target, one after the other, and what they found together.

    .venv/bin/python -m benchmarks.all [--extractor=MODULE] [--full]

`make bench` runs the short forms, about ten minutes on two cores; --full (`make bench-full`) the
long ones. MODULE is what the network's benchmarks run with: by default the Inception
trunk of SOUND_PIPELINE_ASSETS where that is set, else train.py's default, which is downloaded. The
exit status is 1 where a target is missed. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from benchmarks.recordings import write_recordings
from benchmarks.targets import Target
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.flags import DEFAULT_EXTRACTOR
from sound_pipeline.system import program

_ROOT = Path(__file__).parents[1]
# To learn from by the models that are measured; what they say is never looked at.
_LEARNED_FROM = 40


def define_flags() -> None:
    """Defines the flags."""
    assets = os.environ.get("SOUND_PIPELINE_ASSETS")
    trunk = f"{assets}/hub/inception_v3_trunk" if assets else DEFAULT_EXTRACTOR
    flags.DEFINE_string("extractor", trunk, "As of train.py.")
    flags.DEFINE_bool("full", False, "The long forms.")


def benchmarks(extractor: str, full: bool, models: Path) -> dict[str, list[str]]:
    """The words of each command, by a name for it."""
    network, bank = (f"--model={models}/{name}/saved_model" for name in ("network", "gabor"))
    long = {
        "features": ["--rounds=9"],
        "extract": ["--clips=400"],
        "train": ["--clips=400"],
        "memory": ["--full"],
        "manifests": ["--full"],
        "live": ["--seconds=600"],
        "label": ["--clips=1000"],
    }
    short = {"features": ["--rounds=3"], "live": ["--seconds=30"]}
    sizes = long if full else short
    commands = {
        "decode": ["audio.decode"],
        "features": ["features.images", *sizes["features"]],
        "extract": ["embeddings.extract", f"--extractor={extractor}", *sizes.get("extract", [])],
        "train": ["training.train", f"--extractor={extractor}", *sizes.get("train", [])],
        "memory": ["embeddings.memory", *sizes.get("memory", [])],
        "manifests": ["datasets.manifests", *sizes.get("manifests", [])],
        "model_call, network": ["models.call", f"--extractor={extractor}"],
        "model_call, filter bank": ["models.call", "--extractor=gabor"],
        "startup": ["system.startup", network],
        "live, network": ["live.speed", network, *sizes["live"]],
        "live, filter bank": ["live.speed", bank, *sizes["live"]],
        "label, network": ["label.speed", network, *sizes.get("label", [])],
        "label_memory, network": ["label.memory", network],
    }
    if not full:
        del commands["label_memory, network"]
    return commands


def train(extractor: str, sounds: Path, run: Path) -> None:
    """Trains a model on made-up recordings."""
    words = [f"--data_dir={sounds}", f"--extractor={extractor}", f"--output_dir={run}"]
    cache = f"--cache_dir={run.parent}/cache"
    _run(
        [
            str(_ROOT / "train.py"),
            "--dataset=folder",
            "--evaluate=grouped",
            *words,
            cache,
        ]
    )


def _run(words: list[str]) -> str:
    """Runs a Python program, showing what it prints, which is returned."""
    print(f"\n$ python {shlex.join(words)}", flush=True)
    lines = []
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise UserError(f"{words[0]} failed (status {process.returncode}); its reason is above")
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Runs everything; the exit status is 1 where a target is missed."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        write_recordings(models / "sounds", _LEARNED_FROM, 5.0)
        for name, extractor in (("network", values.extractor), ("gabor", "gabor")):
            train(extractor, models / "sounds", models / name)
        for name, words in benchmarks(values.extractor, values.full, models).items():
            printed = _run(["-m", f"benchmarks.{words[0]}", *words[1:]])
            found[name] = json.loads(printed.splitlines()[-1])["targets"]
    print()
    targets = {name: [Target(**target) for target in some] for name, some in found.items()}
    for name, some in targets.items():
        for target in some:
            print(f"{name:24} {target}")
    print(json.dumps(found))
    return 0 if all(target.holds for some in targets.values() for target in some) else 1


if __name__ == "__main__":
    define_flags()
    program.run(main)
