"""How much memory extraction takes, by the number of recordings.

    .venv/bin/python -m benchmarks.embeddings.memory [--full]

Short recordings become embeddings of 2,048 numbers in a store, by an extractor that costs next to
nothing; each number of recordings in a process of its own, whose largest resident memory is the
figure. The target: from the first number to the last it grows by less than 10 %. 500, 2,000 and
8,000 recordings; with --full 1,000, 10,000 and 50,000. The last line is JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from benchmarks.recordings import write_recordings
from benchmarks.targets import Target, report
from sound_pipeline.system import program

_TARGET = 1.1
_SHORT = (500, 2_000, 8_000)
_FULL = (1_000, 10_000, 50_000)


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_bool("full", False, "1,000, 10,000 and 50,000 recordings.")
    flags.DEFINE_integer("count", 0, "Embeds so many of --directory and prints its memory.")
    flags.DEFINE_string("directory", "", "For --count: folder of recordings.")


def embed(directory: Path, count: int) -> None:
    """Embeds some recordings of a folder; prints the resident memory before and at its peak."""
    import tensorflow as tf

    from sound_pipeline.embeddings.embed import embed_recordings
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.extractors.base import Extractor
    from sound_pipeline.features.config import FeatureConfig, WindowConfig

    class Loudness(Extractor):
        """The root mean square of 32 parts of a window, 64 times."""

        def __init__(self, config: FeatureConfig) -> None:
            super().__init__("loudness", 2048, "loudness-1", config)

        def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
            part = tf.shape(waveform)[1] // 32
            return tf.reshape(waveform[:, : 32 * part], [-1, 32, part])

        def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
            return tf.tile(tf.sqrt(tf.reduce_mean(tf.square(prepared), axis=2)), [1, 64])

    config = FeatureConfig(windows=WindowConfig(seconds=0.5), beginning_seconds=())
    paths = sorted(str(path) for path in directory.rglob("*.wav"))[:count]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as cache:
        found = embed_recordings(paths, Loudness(config), EmbeddingSettings(Path(cache)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(found.values) == count
    print(json.dumps({"before_mib": before / 1024, "peak_mib": peak / 1024}))


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    if values.count:
        embed(Path(values.directory), values.count)
        return
    counts = _FULL if values.full else _SHORT
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        write_recordings(Path(directory), counts[-1], 0.3, sample_rate_hz=8000)
        print(f"{'recordings':>10}{'before, MiB':>14}{'peak, MiB':>14}")
        for count in counts:
            words = [
                sys.executable,
                "-m",
                "benchmarks.embeddings.memory",
                f"--count={count}",
                f"--directory={directory}",
            ]
            done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
            found[count] = json.loads(done.stdout.splitlines()[-1])
            before, peak = found[count].values()
            print(f"{count:>10,}{before:>14.0f}{peak:>14.0f}", flush=True)
    ratio = found[counts[-1]]["peak_mib"] / found[counts[0]]["peak_mib"]
    what = f"memory of {counts[-1]:,} recordings to that of {counts[0]:,}"
    report({"mib": found}, [Target(what, ratio, _TARGET)])


if __name__ == "__main__":
    define_flags()
    program.run(main)
