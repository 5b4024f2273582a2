"""What the exported model costs beside its parts: its call against the classifier's, in turn.

    .venv/bin/python -m benchmarks.models.call [--extractor=gabor] [--rounds=40]

A classifier with an untrained head is exported and loaded again. One window, and a batch of 16,
go through the loaded model's `with_rate` signature, and through the extractor's `prepare`, the
extractor and the head, called bare as one function in the same process. Every round does both;
the figures are medians over the rounds. The last line is JSON.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system import program

_TARGET = 1.1
_RATE_HZ = 44100


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("extractor", "gabor", "As of train.py.")
    system_flags.define_precision()
    flags.DEFINE_integer("rounds", 40, "Rounds.", lower_bound=2)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    import tensorflow as tf

    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.features.config import FeatureConfig
    from sound_pipeline.heads.head import Head
    from sound_pipeline.models.classifier import SoundClassifier
    from sound_pipeline.models.export import export_model
    from sound_pipeline.system.precision import choose_precision, computing_in, this_machine

    values = flags.FLAGS
    config = FeatureConfig()
    extractor = load_extractor(values.extractor, config)
    choice = choose_precision(
        values.precision, this_machine(), extractor.benefits_from_low_precision
    )
    size = extractor.embedding_size
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.1, [size, 10]).astype(np.float32)
    bias = np.zeros(10, np.float32)
    head = Head(np.zeros(size, np.float32), np.ones(size, np.float32), kernel, bias)
    names = [str(number) for number in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "saved_model")
        export_model(SoundClassifier(extractor, head, names, config), directory, {})
        loaded = tf.saved_model.load(str(directory))
        signature = loaded.signatures["with_rate"]

    @tf.function
    def bare(waveform: tf.Tensor, sample_rate: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(head(extractor(extractor.prepare(waveform, sample_rate))))

    rate = tf.constant(_RATE_HZ)
    samples = round(config.windows.seconds * _RATE_HZ)
    figures = {}
    print(f"{extractor.handle}, {choice.precision} ({choice.why})")
    print(f"{'windows':>8}{'exported, ms':>15}{'bare, ms':>12}{'ratio':>8}")
    for windows in (1, 16):
        waveform = tf.constant(random.normal(0, 0.1, [windows, samples]).astype(np.float32))
        taken: dict[str, list[float]] = {"exported": [], "bare": []}
        with computing_in(choice.precision):
            for counted in range(values.rounds + 3):
                started = time.perf_counter()
                signature(waveform=waveform, sample_rate=rate)["scores"].numpy()
                between = time.perf_counter()
                bare(waveform, rate).numpy()
                if counted >= 3:
                    taken["exported"].append(1e3 * (between - started))
                    taken["bare"].append(1e3 * (time.perf_counter() - between))
        exported, alone = (float(np.median(values)) for values in taken.values())
        ratio = float(np.median(np.divide(taken["exported"], taken["bare"])))
        figures[windows] = {"exported_ms": exported, "bare_ms": alone, "ratio": ratio}
        print(f"{windows:>8}{exported:>15.2f}{alone:>12.2f}{ratio:>8.3f}")
    targets = [
        Target(f"exported model to its parts, {windows} window(s) a call", found["ratio"], _TARGET)
        for windows, found in figures.items()
    ]
    report({"precision": choice.precision, "windows": figures}, targets)


if __name__ == "__main__":
    define_flags()
    program.run(main)
