"""How much memory a long recording takes while it is labelled.

    benchmarks/label/memory.py --model=runs/esc10/saved_model [--hours=3]

A synthetic recording is written (44.1 kHz, stereo, 16 bits) and labelled in this process. Prints
the peak of the process's resident memory above that of the loaded and warm model, and, last, a
line of JSON. The target: under 1 GiB.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from absl import app, flags

from benchmarks.targets import Target, report
from sound_pipeline.datasets.find_recordings import FoundRecording
from sound_pipeline.events.find_events import LabelConfig
from sound_pipeline.features.windows import WINDOWS_AT_ONCE
from sound_pipeline.label.batch import LabellingTask, label_with
from sound_pipeline.label.destinations import make_destination
from sound_pipeline.label.journal import Journal
from sound_pipeline.models.model import Model

_RATE_HZ = 44_100
_TARGET_MIB = 1024

flags.DEFINE_string("model", None, "Exported model.", required=True)
flags.DEFINE_float("hours", 3.0, "How long the recording is.")


def peak_bytes() -> int:
    """The most resident memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write(path: Path, hours: float) -> None:
    """A minute of noise that comes and goes, again and again, ever quieter and louder."""
    random = np.random.default_rng(0)
    minute = random.standard_normal((60 * _RATE_HZ, 2)).astype(np.float32)
    minute *= 0.1 + 0.08 * np.sin(np.arange(len(minute)) / _RATE_HZ)[:, np.newaxis]
    with soundfile.SoundFile(path, "w", _RATE_HZ, 2, subtype="PCM_16") as file:
        for index in range(round(60 * hours)):
            file.write(minute * (0.5 + 0.4 * np.sin(index)))


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    del arguments
    values = flags.FLAGS
    directory = Path(values.model)
    with tempfile.TemporaryDirectory() as folder:
        sound, out = Path(folder, "long.wav"), Path(folder, "events.csv")
        write(sound, values.hours)
        model = Model(directory)
        info = model.info
        samples = round(info.window_seconds * _RATE_HZ)
        model.window_scores(np.zeros((WINDOWS_AT_ONCE, samples), np.float32), _RATE_HZ)
        warm = peak_bytes()
        task = LabellingTask(directory, info.labels, info.features, LabelConfig(), 1)
        found = [FoundRecording(str(sound), sound.name)]
        destination = make_destination(
            "csv", str(out), "", found, 1, info.features.spectrogram.max_hz
        )
        assert destination.journal_path is not None
        journal = Journal(destination.journal_path, "benchmark")
        journal.open()
        started = time.perf_counter()
        (result,) = label_with(task, lambda: model, [str(sound)], destination, journal)
        seconds = time.perf_counter() - started
    above = peak_bytes() - warm
    figures = {
        "hours": values.hours,
        "events": len(result.events),
        "model_mib": warm >> 20,
        "above_mib": above >> 20,
        "seconds": round(seconds, 1),
        "times_real_time": round(result.seconds / seconds, 1),
    }
    print(f"the model loaded and warm: {warm >> 20} MiB")
    print(f"in {seconds:.0f} s, {figures['times_real_time']} times real time")
    report(figures, [Target(f"{values.hours:g} h, MiB above that", above >> 20, _TARGET_MIB)])


if __name__ == "__main__":
    app.run(main)
