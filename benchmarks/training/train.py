"""What a second run of train.py costs: everything embedded before, against the first run.

    .venv/bin/python -m benchmarks.training.train --extractor=MODULE [--clips=60] \
        [--data_dir=ESC-50-master]

Runs the main job three times, each in a process of its own and all with one cache: first, again,
and with another split. The table shows the stages of each. Two figures compare the first run's
extraction (decoding, features and network for every window) with what comes after it is cached:
the work from the cached embeddings to evaluated heads, and the whole run as a user sees it, the
import of TensorFlow and the export included. The target is 50. The last line is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.recordings import write_recordings
from benchmarks.targets import Target, report
from sound_pipeline.system import program

_TARGET = 50.0
# Stages of the main job by the functions that do them.
_STAGES = {
    "load_extractor": "load the extractor",
    "embed_by_each": "embed, or find embedded",
    "evaluate": "evaluate heads",
    "train_head": "train the final head",
    "write_report": "write the report",
    "export_model": "export the model",
}
_RUNS = {"first": 0, "again": 0, "another split": 1}


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("extractor", None, "As of train.py.", required=True)
    flags.DEFINE_string("data_dir", "", "ESC-50 or its ESC-10 part; if empty, made-up recordings.")
    flags.DEFINE_integer("clips", 60, "Made-up recordings of 5 s.", lower_bound=40)
    flags.DEFINE_string("run_in", "", "Does one run, with its output and the cache in this folder.")
    flags.DEFINE_integer("split_seed", 0, "Of that run.")


def run(directory: Path, seed: int) -> None:
    """Does the main job once; prints the seconds of its stages."""
    values = flags.FLAGS
    started = time.perf_counter()
    from sound_pipeline.config import RunConfig
    from sound_pipeline.datasets import DatasetConfig, load_manifest
    from sound_pipeline.datasets.splits import SplitConfig, make_splits
    from sound_pipeline.features.config import FeatureConfig
    from sound_pipeline.heads.config import HeadConfig
    from sound_pipeline.training import extraction as extraction_module
    from sound_pipeline.training import run as run_module

    seconds = {"import TensorFlow": time.perf_counter() - started}
    within: list[str] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            # Evaluation trains heads too: they count as a part of it.
            if within:
                return function(*arguments)
            within.append(name)
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[_STAGES[name]] = time.perf_counter() - began
                within.pop()

        return call

    for name in _STAGES:
        caller = extraction_module if name in vars(extraction_module) else run_module
        setattr(caller, name, timed(name, getattr(caller, name)))
    made_up = DatasetConfig("folder", str(directory / "sounds"))
    dataset = DatasetConfig("esc50", values.data_dir) if values.data_dir else made_up
    kind = "folds" if values.data_dir else "grouped"
    split = SplitConfig(kind, seed=seed)
    config = RunConfig(dataset, split, FeatureConfig(), values.extractor, HeadConfig())
    manifest = load_manifest(dataset)
    figures = run_module.run(
        extraction_module.Extraction(
            config, manifest, make_splits(manifest, split), directory / "cache"
        ),
        directory / "run",
        "python -m benchmarks.training.train",
    )
    assert figures is not None  # this process is alone
    seconds["all"] = time.perf_counter() - started
    print(
        json.dumps({"seconds": seconds, "clips": figures["clips"], "made in": figures["precision"]})
    )


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    if values.run_in:
        run(Path(values.run_in), values.split_seed)
        return
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        if not values.data_dir:
            write_recordings(directory / "sounds", values.clips, 5.0)
        for name, seed in _RUNS.items():
            words = [
                sys.executable,
                "-m",
                "benchmarks.training.train",
                f"--run_in={directory}",
                f"--split_seed={seed}",
            ]
            words += [f"--extractor={values.extractor}", f"--data_dir={values.data_dir}"]
            done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
            runs[name] = json.loads(done.stdout.splitlines()[-1])
    print(f"{runs['first']['clips']} recordings, {values.extractor}, {runs['first']['made in']}")
    print(f"{'seconds':28}" + "".join(f"{name:>15}" for name in runs))
    for stage in runs["first"]["seconds"]:
        print(f"{stage:28}" + "".join(f"{r['seconds'][stage]:>15.2f}" for r in runs.values()))
    extraction = runs["first"]["seconds"]["embed, or find embedded"]
    ratios = {}
    for name in ("again", "another split"):
        seconds = runs[name]["seconds"]
        heads = seconds["embed, or find embedded"] + seconds["evaluate heads"]
        ratios[name] = {
            "cached embeddings": extraction / seconds["embed, or find embedded"],
            "evaluated heads": extraction / heads,
            "whole run": extraction / seconds["all"],
        }
        print(
            f"the first run's extraction took, {name}: "
            + ", ".join(f"{ratio:.1f} times the {what}" for what, ratio in ratios[name].items())
        )
    least = min(found["evaluated heads"] for found in ratios.values())
    report(
        {"runs": runs, "ratios": ratios},
        [Target("a first run's extraction to cached training", least, _TARGET, at_least=True)],
    )


if __name__ == "__main__":
    define_flags()
    program.run(main)
