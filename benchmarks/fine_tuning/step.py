"""What a step of fine-tuning costs, in float32 and in what the machine is good at.

    .venv/bin/python -m benchmarks.fine_tuning.step --extractor=MODULE [--batch_size=8] [--steps=5]

Trains the same network on random images in each format, a step of one after a step of the
other; beside it, the network's forward pass as embeddings take it. The table gives milliseconds a
window, the middle one of the steps, and their ratio. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags

from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.system import program

_CLASSES = 10


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("extractor", None, "As of train.py; for images.", required=True)
    flags.DEFINE_string("fine_tune_from", "", "As of train.py.")
    flags.DEFINE_integer("batch_size", 8, "Windows in a step.", lower_bound=1)
    flags.DEFINE_integer("steps", 5, "Steps of each.", lower_bound=1)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    import tensorflow as tf

    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.fine_tuning.network import FineTuningModel, TrainingPlan
    from sound_pipeline.heads.head import Head
    from sound_pipeline.system.precision import choose_precision, computing_in, this_machine

    random = np.random.default_rng(0)
    size = values.batch_size
    labels = np.eye(_CLASSES, dtype=np.float32)[random.integers(0, _CLASSES, size)]
    less = choose_precision("auto", this_machine()).precision
    steps: dict[str, Callable[[], Any]] = {}
    for precision in dict.fromkeys(("float32", less)):
        extractor = load_extractor(values.extractor, FeatureConfig())
        spec = extractor.prepare(tf.zeros([1, SpectrogramConfig().sample_rate_hz * 4]), 22050).shape
        images = random.random((size, *spec[1:])).astype(np.float32)
        width = extractor.embedding_size
        layer = np.zeros((width, _CLASSES), "f4"), np.zeros(_CLASSES, "f4")
        head = Head(np.zeros(width, "f4"), np.ones(width, "f4"), *layer)
        names = [variable.name for variable in extractor.tunable]
        first = next(n for n, name in enumerate(names) if name.startswith(values.fine_tune_from))
        chosen = extractor.tunable[first:]
        network = FineTuningModel(
            extractor, head, chosen, TrainingPlan(FineTuneConfig(), 1, False, precision)
        )

        def trained(network: Any = network, images: Any = images) -> Any:
            return network.train_on_batch(images, labels)

        forward = tf.function(extractor)

        def embedded(forward: Any = forward, images: Any = images) -> Any:
            return forward(images).numpy()

        steps[f"{precision} train"] = trained
        steps[f"{precision} embed"] = embedded
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(values.steps + 1):
        for name, step in steps.items():
            with computing_in(name.split()[0]):
                began = time.perf_counter()
                step()
                if number:  # the first one builds the graph
                    seconds[name].append(time.perf_counter() - began)
    ms = {name: 1000 * float(np.median(taken)) / size for name, taken in seconds.items()}
    for name, taken in ms.items():
        print(f"{name:16} {taken:8.1f} ms a window")
    ratio = ms["float32 train"] / ms[f"{less} train"]
    print(f"{less} trains {ratio:.2f} times as fast as float32")
    print(json.dumps({"ms": ms, "ratio": ratio, "batch_size": size}))


if __name__ == "__main__":
    define_flags()
    program.run(main)
