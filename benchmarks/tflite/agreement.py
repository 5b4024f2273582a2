"""Size and speed of an exported model's forms: SavedModel, and .tflite on ai-edge-litert.

    benchmarks/tflite/agreement.py --model=runs/esc10/saved_model [--threads=1] [--calls=40]

All are asked about the same windows in turn, in one process; a call is one window. Prints a table
and, last, a line of JSON. The times are medians; ratios are of calls made one after the other.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags

from sound_pipeline.models.info import read_metadata
from sound_pipeline.models.model import Model
from sound_pipeline.tflite.conversion import export_tflite
from sound_pipeline.tflite.formats import LITE_FORMATS
from sound_pipeline.tflite.model import LiteModel

flags.DEFINE_string("model", None, "Exported SavedModel.", required=True)
flags.DEFINE_integer("threads", 0, "Processor cores for each of them; 0: all.")
flags.DEFINE_integer("calls", 40, "Windows that each is asked about.")


def size_mb(path: Path) -> float:
    """Of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    del arguments
    values = flags.FLAGS
    tf.config.threading.set_intra_op_parallelism_threads(values.threads)
    saved_model = Path(values.model)
    with tempfile.TemporaryDirectory() as folder:
        files = export_tflite(saved_model, Path(folder), LITE_FORMATS)
        models = {"SavedModel": Model(saved_model)} | {
            kind: LiteModel(path, values.threads)
            for kind, path in zip(LITE_FORMATS, files, strict=True)
        }
        sizes = dict(zip(models, map(size_mb, (saved_model, *files)), strict=True))
    rate = read_metadata(saved_model)["sample_rate_hz"]
    info = models["SavedModel"].info
    random = np.random.default_rng(0)
    window = random.normal(0, 0.1, round(info.window_seconds * rate)).astype(np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for call in range(values.calls + 2):
        for name, model in models.items():
            started = time.perf_counter()
            model.scores(window, rate)
            if call >= 2:  # the first calls prepare what all others use
                seconds[name].append(time.perf_counter() - started)
    base = np.array(seconds["SavedModel"])
    figures = {
        name: {
            "mb": round(sizes[name], 2),
            "ms": round(1e3 * float(np.median(times)), 2),
            "ratio": round(float(np.median(np.array(times) / base)), 3),
        }
        for name, times in seconds.items()
    }
    print(f"{'':<12}{'MB':>8}{'ms a window':>14}{'of the SavedModel':>20}")
    for name, found in figures.items():
        print(f"{name:<12}{found['mb']:>8}{found['ms']:>14}{found['ratio']:>20}")
    print(json.dumps({"threads": values.threads, "model": values.model, "forms": figures}))


if __name__ == "__main__":
    app.run(main)
