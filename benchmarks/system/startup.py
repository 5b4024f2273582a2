"""How soon the programs answer: --help of each, and serve_mic.py until it listens and labels.

    .venv/bin/python -m benchmarks.system.startup [--model=runs/esc10/saved_model] [--rounds=5]

--help is timed in turn with an interpreter that imports nothing; the figure is the least of the
rounds, for what the machine does beside it only ever adds. With --model, serve_mic.py labels a
recording of noise by the clock: the table says after how long the model was ready, and the first
label there. The target: --help within 0.5 s, whatever the program. The last line is JSON.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.system import program as program_module

_TARGET_SECONDS = 0.5
_PROGRAMS = {
    "python, nothing imported": ["-c", "pass"],
    "train.py": ["train.py", "--help"],
    "serve_mic.py": ["serve_mic.py", "--help"],
    "sound_pipeline.datasets": ["-m", "sound_pipeline.datasets", "--help"],
    "sound_pipeline.convert": ["-m", "sound_pipeline.convert", "--help"],
    "sound_pipeline.demo_data": ["-m", "sound_pipeline.demo_data", "--help"],
    "sound_pipeline.report": ["-m", "sound_pipeline.report", "--help"],
    "sound_pipeline.label": ["-m", "sound_pipeline.label", "--help"],
    "sound_pipeline.tflite": ["-m", "sound_pipeline.tflite", "--help"],
}


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("model", "", "Exported model; none: only --help is timed.")
    flags.DEFINE_integer("rounds", 5, "Rounds.", lower_bound=1)


def first_label(model: str) -> dict[str, float]:
    """Seconds from the start of serve_mic.py to the model being ready, and to the first label."""
    with tempfile.TemporaryDirectory() as folder:
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, 60 * 44100)
        soundfile.write(Path(folder, "noise.wav"), noise, 44100)
        words = [sys.executable, "serve_mic.py", f"--model={model}", f"--input={folder}/noise.wav"]
        words += ["--realtime", "--format=jsonl", "--windows", "--gate=always"]
        started = time.perf_counter()
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as program:
            assert program.stdout is not None
            found = {}
            for line in program.stdout:
                now = time.perf_counter() - started
                if "the model is ready" in line:
                    found["model ready"] = now
                elif line.startswith("{"):
                    found["first label"] = now
                    break
            program.terminate()
            program.communicate()
    return found


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program_module.no_arguments(arguments)
    values = flags.FLAGS
    taken: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for _ in range(values.rounds):
        for name, words in _PROGRAMS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=False)
            taken[name].append(time.perf_counter() - started)
    least = {name: min(seconds) for name, seconds in taken.items()}
    for name, seconds in least.items():
        print(f"{name:28}{seconds:8.2f} s")
    live = first_label(values.model) if values.model else {}
    for name, seconds in live.items():
        print(f"{'serve_mic.py: ' + name:28}{seconds:8.2f} s")
    rounded = {name: round(seconds, 3) for name, seconds in (least | live).items()}
    slowest = max(least, key=lambda name: least[name])
    what = f"--help, seconds, the slowest ({slowest})"
    report({"seconds": rounded}, [Target(what, least[slowest], _TARGET_SECONDS)])


if __name__ == "__main__":
    define_flags()
    program_module.run(main)
