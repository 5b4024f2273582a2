"""What data sets of any size cost: stages measured here, a model of them, and the model checked.

    .venv/bin/python -m benchmarks.embeddings.scaling [--extractors=gabor,MODULE] [--clips=240]

Measured are the processor time of decoding, of features and of the extractor's forward pass, in
float32 and where this machine has it bfloat16, of digests, and of a program's start. From them
follows what UrbanSound8K, ESC-50, AudioSet and a hundred times that would take. Then the first
extractor embeds --clips recordings in 1, 2 and 4 processes at once (python -m
sound_pipeline.extract --shard), which share this machine's cores: beside what that took stands what
the model says. Processor time is compared, which other programs at work on this machine change
little, and the time that went by. The last line is JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.recordings import write_recordings
from sound_pipeline.errors import UserError
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.system import program

_CLIP_SECONDS = 10.0
_RATE_HZ = 44100
_MEASURED_CLIPS = 20


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Recordings to reckon with: how many, how long each, and the bytes of a second of them."""

    name: str
    clips: float
    seconds: float
    bytes_a_second: int = 2 * _RATE_HZ


_DATA_SETS = (
    DataSet("ESC-50", 2_000, 5.0),
    DataSet("UrbanSound8K", 8_732, 4.0, 4 * _RATE_HZ),
    DataSet("AudioSet", 2e6, 10.0),
    DataSet("100 x AudioSet", 2e8, 10.0),
)


@dataclasses.dataclass(frozen=True)
class Costs:
    """Of one extractor in one precision.

    Attributes:
      decode_seconds: of a core, for a second of sound.
      features_seconds: of a core, for a window.
      forward_seconds: of a core, for a window.
      window_bytes: of what is prepared, between the workers of a data service and the network.
      embedding_bytes: of a window, as it is stored.
    """

    decode_seconds: float
    features_seconds: float
    forward_seconds: float
    window_bytes: int
    embedding_bytes: int

    def of_clip(self, seconds: float, windows: int) -> float:
        """The seconds of a core that a recording takes."""
        return seconds * self.decode_seconds + windows * (
            self.features_seconds + self.forward_seconds
        )


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_list("extractors", ["gabor"], "As of train.py; the first is checked too.")
    flags.DEFINE_integer("clips", 240, "Recordings of the check.", lower_bound=20)
    flags.DEFINE_integer("repeats", 3, "Of each measurement; the median counts.", lower_bound=1)


def windows_of(seconds: float, config: FeatureConfig) -> int:
    """Windows and beginnings of a recording, all of it audible."""
    excess = max(0.0, seconds - config.windows.seconds)
    return 1 + math.ceil(excess / config.windows.hop_seconds) + len(config.beginnings)


def processor_seconds(work: Callable[[], Any]) -> float:
    """The median of the processor time that a piece of work takes, after a first go."""
    work()
    taken = []
    for _ in range(flags.FLAGS.repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return float(np.median(taken))


def measure(paths: list[str], handle: str, config: FeatureConfig) -> dict[str, Costs]:
    """The costs of an extractor, by precision."""
    import tensorflow as tf

    from sound_pipeline.audio.decoding import decode_audio
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.features.beginnings import split_beginnings
    from sound_pipeline.features.windows import WINDOWS_AT_ONCE, split_windows
    from sound_pipeline.system.precision import choose_precision, computing_in, this_machine

    extractor = load_extractor(handle, config)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def cut(path: tf.Tensor) -> tf.Tensor:
        decoded = decode_audio(tf.io.read_file(path))
        windows = split_windows(decoded.waveform[None], decoded.sample_rate_hz, config)
        beginnings = split_beginnings(decoded.waveform, decoded.sample_rate_hz, config)
        return tf.concat([windows.waveform[0], beginnings], axis=0)

    prepare = tf.function(extractor.prepare)
    waveforms = [cut(path) for path in paths]
    windows = len(waveforms[0])
    assert windows == windows_of(_CLIP_SECONDS, config)
    decode = processor_seconds(lambda: [cut(path) for path in paths]) / len(paths)
    features = processor_seconds(
        lambda: [prepare(waveform, tf.constant(_RATE_HZ)) for waveform in waveforms]
    ) / (len(paths) * windows)
    batch = tf.concat([prepare(some, tf.constant(_RATE_HZ)) for some in waveforms[:8]], axis=0)
    batch = batch[:WINDOWS_AT_ONCE]
    found = {}
    for precision in ("float32", "bfloat16"):
        if precision == "bfloat16":
            if not extractor.benefits_from_low_precision:
                continue
            try:
                choose_precision(precision, this_machine(), True)
            except UserError:
                continue
        forward = tf.function(extractor)
        with computing_in(precision):
            taken = processor_seconds(lambda: [forward(batch) for _ in range(4)])  # noqa: B023
        found[precision] = Costs(
            decode_seconds=decode / _CLIP_SECONDS,
            features_seconds=features,
            forward_seconds=taken / 4 / WINDOWS_AT_ONCE,
            window_bytes=batch.numpy().nbytes // WINDOWS_AT_ONCE,
            embedding_bytes=2 * extractor.embedding_size,
        )
    return found


def run_shards(
    sounds: Path, extractor: str, processes: int, directory: Path
) -> tuple[float, float]:
    """Embeds a folder in shards, all at once; the seconds that went by, and those of processors."""
    began = time.perf_counter()
    before = os.times()
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "sound_pipeline.extract", f"--shard={n}/{processes}"),
                *("--dataset=folder", f"--data_dir={sounds}", f"--extractor={extractor}"),
                *(f"--shards_dir={directory}/shards", f"--cache_dir={directory}/cache{n}"),
                "--precision=float32",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for n in range(1, processes + 1)
    ]
    if any(process.wait() for process in started):
        raise UserError("a shard failed; run python -m sound_pipeline.extract to see why")
    after = os.times()
    used = after.children_user + after.children_system
    return time.perf_counter() - began, used - before.children_user - before.children_system


def print_data_sets(costs: dict[str, Costs], config: FeatureConfig) -> list[dict[str, Any]]:
    """Prints what data sets take, and returns it."""
    print(
        f"\n{'':46}{'core hours':>12}{'decode':>8}{'features':>9}{'forward':>8}"
        f"{'TB read':>9}{'TB images':>12}{'GB kept':>10}"
    )
    found = []
    for name, cost in costs.items():
        for data in _DATA_SETS:
            windows = windows_of(data.seconds, config)
            clip = cost.of_clip(data.seconds, windows)
            row: dict[str, Any] = {
                "costs": name,
                "data_set": data.name,
                "core_hours": data.clips * clip / 3600,
                "shares": [
                    data.seconds * cost.decode_seconds / clip,
                    windows * cost.features_seconds / clip,
                    windows * cost.forward_seconds / clip,
                ],
                "terabytes_read": data.clips * data.seconds * data.bytes_a_second / 1e12,
                "terabytes_of_images": data.clips * windows * cost.window_bytes / 1e12,
                "gigabytes_kept": data.clips * windows * cost.embedding_bytes / 1e9,
            }
            found.append(row)
            shares = "".join(
                f"{share:{w}.0%}" for share, w in zip(row["shares"], (8, 9, 8), strict=True)
            )
            print(
                f"{name[-30:]:31}{data.name:15}{row['core_hours']:12.2f}{shares}"
                f"{row['terabytes_read']:9.3f}{row['terabytes_of_images']:12.3f}"
                f"{row['gigabytes_kept']:10.3f}"
            )
    return found


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    config = FeatureConfig()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        sounds = directory / "sounds"
        paths = write_recordings(sounds, values.clips, _CLIP_SECONDS, _RATE_HZ)
        few = directory / "few"
        write_recordings(few, 20, 0.5, _RATE_HZ)
        costs = {
            f"{handle.rpartition('/')[2]} {precision}": cost
            for handle in values.extractors
            for precision, cost in measure(paths[:_MEASURED_CLIPS], handle, config).items()
        }
        block = bytes(1 << 24)
        digest = len(block) / processor_seconds(lambda: hashlib.sha256(block).digest())
        print(f"milliseconds of a core of {cores}; digests: {digest / 1e6:.0f} MB a second of one")
        for name, cost in costs.items():
            print(
                f"{name:31} decode {cost.decode_seconds * 1e3:.3f} a second of sound; a window: "
                f"features {cost.features_seconds * 1e3:.2f}, forward "
                f"{cost.forward_seconds * 1e3:.2f}, {cost.window_bytes} bytes prepared, "
                f"{cost.embedding_bytes} kept"
            )
        rows = print_data_sets(costs, config)

        cost = costs[f"{values.extractors[0].rpartition('/')[2]} float32"]
        alike = cost.of_clip(0.5, windows_of(0.5, config))
        start_elapsed, start_used = run_shards(few, values.extractors[0], 1, directory / "start")
        start_used -= 20 * alike
        start_elapsed -= 20 * alike / cores
        clip = cost.of_clip(_CLIP_SECONDS, windows_of(_CLIP_SECONDS, config))
        print(f"\na program's start: {start_elapsed:.1f} s, {start_used:.1f} s of a core")
        print(
            f"{'processes':>9}{'core s':>9}{'predicted':>10}{'ratio':>7}{'s':>9}{'predicted':>10}"
        )
        checked = []
        for processes in (1, 2, 4):
            elapsed, used = run_shards(
                sounds, values.extractors[0], processes, directory / str(processes)
            )
            work = values.clips * clip
            predicted_used = processes * start_used + work
            # Starts are made side by side, until there are more than cores.
            start = start_elapsed * max(1.0, processes * start_used / start_elapsed / cores)
            predicted = start + work / cores
            checked.append(
                {
                    "processes": processes,
                    "core_seconds": [used, predicted_used],
                    "seconds": [elapsed, predicted],
                }
            )
            print(
                f"{processes:9}{used:9.1f}{predicted_used:10.1f}{used / predicted_used:7.2f}"
                f"{elapsed:9.1f}{predicted:10.1f}"
            )
    figures = {
        "cores": cores,
        "digest_bytes_a_second": digest,
        "costs": {name: dataclasses.asdict(cost) for name, cost in costs.items()},
        "data_sets": rows,
        "checked": checked,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    define_flags()
    program.run(main)
