"""How late live labels are.

    benchmarks/live/speed.py --model=runs/esc10/saved_model [--seconds=60]

A sound that goes on is replayed by the clock through the path of serve_mic.py; every call of the
model is timed in the same run. Prints a table and, last, a line of JSON. The target: 95 % of the
labels within 1.5 times the model call.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.targets import Target, report
from sound_pipeline.live.gate import GateConfig
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.live.output import JsonLinesOutput
from sound_pipeline.live.session import ListeningConfig, listen
from sound_pipeline.live.sources import Replay
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.models.info import read_info

_RATE_HZ = 48_000
_TARGET = 1.5

flags.DEFINE_string("model", None, "Exported model.", required=True)
flags.DEFINE_float("seconds", 60.0, "How long to listen.")


class TimedModel(LoadingModel):
    """Notes how long each call takes."""

    def __init__(self, directory: Path) -> None:
        """Starts to load."""
        super().__init__(directory, read_info(directory), _RATE_HZ)
        self.calls: list[float] = []

    def scores(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """As the model's."""
        started = time.perf_counter()
        found = super().scores(waveform, sample_rate_hz)
        self.calls.append(time.perf_counter() - started)
        return found


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    del arguments
    values = flags.FLAGS
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, round(values.seconds * _RATE_HZ)).astype(np.float32)
    statistics = SessionStatistics()
    timed = TimedModel(Path(values.model))
    with timed as model:
        while model.seconds is None:
            time.sleep(0.01)
        output = JsonLinesOutput(model.info.labels, io.StringIO(), windows=True)
        source = Replay("noise", [waveform], _RATE_HZ, is_live=True)
        config = ListeningConfig(GateConfig(kind="always"), events=EventConfig())
        listen(source, model, config, output, statistics)
    calls = np.array(timed.calls)
    figures: dict[str, Any] = {
        "windows": statistics.windows,
        "skipped": statistics.skipped_windows,
        "call_ms": {str(p): round(1e3 * float(np.percentile(calls, p)), 2) for p in (50, 95)},
        "label_ms": {str(p): round(1e3 * statistics.latency.percentile(p), 2) for p in (50, 95)},
    }
    print(f"{'percentile':<12}{'model call':>12}{'label':>12}")
    for p in ("50", "95"):
        print(f"{p + ' %':<12}{figures['call_ms'][p]:>9} ms{figures['label_ms'][p]:>9} ms")
    ratio = statistics.latency.percentile(95) / float(np.percentile(calls, 95))
    report(figures, [Target("window end to label, to the model's call, 95 %", ratio, _TARGET)])


if __name__ == "__main__":
    app.run(main)
