"""What labelling costs beside the model alone.

    benchmarks/label/speed.py --model=runs/esc10/saved_model [--clips=1000]

Synthetic clips like those of ESC-10 (5 s, 44.1 kHz, 16 bits) are written, then labelled by the
code of `sound-label`, reading and writing included; in turn with that, the exported model alone is
asked about the same windows, ready in memory, in batches of the same size. Prints a table and,
last, a line of JSON. The target: a ratio of at most 1.1.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import tensorflow as tf
from absl import app, flags

from benchmarks.targets import Target, report
from sound_pipeline.datasets.find_recordings import FoundRecording
from sound_pipeline.events.find_events import LabelConfig
from sound_pipeline.features.window_stream import WindowStream
from sound_pipeline.features.windows import WINDOWS_AT_ONCE
from sound_pipeline.label.batch import LabellingTask, label_with
from sound_pipeline.label.destinations import make_destination
from sound_pipeline.label.journal import Journal
from sound_pipeline.models.model import Model

_RATE_HZ = 44_100
_CLIP_SECONDS = 5
_TARGET = 1.1

flags.DEFINE_string("model", None, "Exported model.", required=True)
flags.DEFINE_integer("clips", 128, "How many clips in all.")
flags.DEFINE_integer("rounds", 8, "Parts that they are measured in, in turn.")


class Cost(NamedTuple):
    """What some work took.

    Attributes:
      seconds: by the clock.
      cpu_seconds: of all cores: other programs on the machine change it less.
    """

    seconds: float
    cpu_seconds: float


def write_clips(folder: Path, count: int) -> list[str]:
    """Noise that comes and goes."""
    random = np.random.default_rng(0)
    seconds = np.arange(_CLIP_SECONDS * _RATE_HZ) / _RATE_HZ
    paths = []
    for number in range(count):
        level = 0.1 + 0.08 * np.sin(2 * np.pi * random.uniform(0.2, 2) * seconds)
        path = folder / f"{number:05}.wav"
        soundfile.write(path, level * random.standard_normal(len(seconds)), _RATE_HZ)
        paths.append(str(path))
    return paths


def bare_cost(model: Model, paths: list[str]) -> tuple[Cost, int]:
    """What the model alone takes for the clips' windows, and how many they are."""
    windows = [
        window.waveform
        for path in paths
        for window in WindowStream(
            [soundfile.read(path, dtype="float32")[0]], _RATE_HZ, model.info.features
        )
    ]
    rate = tf.constant(_RATE_HZ)
    batches = [
        tf.constant(np.stack(windows[start : start + WINDOWS_AT_ONCE]))
        for start in range(0, len(windows), WINDOWS_AT_ONCE)
    ]
    answer = model.signature("windows")
    started = time.perf_counter()
    used = time.process_time()
    for batch in batches:
        answer(waveform=batch, sample_rate=rate)["scores"].numpy()
    return Cost(time.perf_counter() - started, time.process_time() - used), len(windows)


def labelling_cost(model: Model, directory: Path, paths: list[str], out: Path) -> Cost:
    """What labelling the clips into a file takes, the model being loaded."""
    info = model.info
    task = LabellingTask(directory, info.labels, info.features, LabelConfig(), 1)
    found = [FoundRecording(path, Path(path).name) for path in paths]
    destination = make_destination("csv", str(out), "", found, 1, info.features.spectrogram.max_hz)
    assert destination.journal_path is not None
    started, used = time.perf_counter(), time.process_time()
    journal = Journal(destination.journal_path, "benchmark")
    journal.open()
    label_with(task, lambda: model, paths, destination, journal)
    return Cost(time.perf_counter() - started, time.process_time() - used)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    del arguments
    values = flags.FLAGS
    directory = Path(values.model)
    model = Model(directory)
    bare: list[Cost] = []
    labelled: list[Cost] = []
    windows = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), values.clips)
        warm = paths[:WINDOWS_AT_ONCE]
        bare_cost(model, warm)
        labelling_cost(model, directory, warm, Path(folder, "warm.csv"))
        for index in range(values.rounds):
            part = paths[index :: values.rounds]
            out = Path(folder, f"{index}.csv")
            # Whichever comes first, in turn.
            for which in (("bare", "label"), ("label", "bare"))[index % 2]:
                if which == "bare":
                    cost, count = bare_cost(model, part)
                    bare.append(cost)
                    windows += count
                else:
                    labelled.append(labelling_cost(model, directory, part, out))
    ratios = [slow.seconds / fast.seconds for slow, fast in zip(labelled, bare, strict=True)]
    totals = {
        name: Cost(*map(sum, zip(*costs, strict=True)))
        for name, costs in (("model", bare), ("labelling", labelled))
    }
    fast, slow = totals["model"], totals["labelling"]
    figures = {
        "clips": values.clips,
        "windows": windows,
        **{
            name: {key: round(value, 2) for key, value in cost._asdict().items()}
            for name, cost in totals.items()
        },
        "ratio": round(slow.seconds / fast.seconds, 3),
        "cpu_ratio": round(slow.cpu_seconds / fast.cpu_seconds, 3),
    }
    print(f"{'part':<8}{'model alone':>14}{'labelling':>14}{'ratio':>10}")
    for index, (fast, slow) in enumerate(zip(bare, labelled, strict=True)):
        print(f"{index + 1:<8}{fast.seconds:>12.2f} s{slow.seconds:>12.2f} s{ratios[index]:>10.3f}")
    print(f"processor time: {figures['cpu_ratio']} times that of the model alone")
    report(
        figures,
        [Target("labelling to the model alone, median", statistics.median(ratios), _TARGET)],
    )


if __name__ == "__main__":
    app.run(main)
