"""What extraction costs beside the network: recordings to embeddings against the bare network.

    .venv/bin/python -m benchmarks.embeddings.extract --extractor=MODULE \
        [--precision=auto] [--clips=60]

In every round recordings of 5 s become embeddings as in train.py, written to a store, and the
network runs as many times on a ready batch of images, at the same precision. Both are timed from
the seventh batch on, when what was prepared while the graph was being built is used up. The figure
is the median over the rounds; the target is 1.08: decoding and features hide behind the network.
Beside the time that went by stands the time that the processors worked, which tells what there is
to hide, also on a machine busy with other things. The last line is JSON.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.recordings import write_recordings
from benchmarks.targets import Target, report
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system import program

_TARGET = 1.08
_SKIPPED_BATCHES = 6


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("extractor", None, "As of train.py.", required=True)
    system_flags.define_precision()
    flags.DEFINE_integer("clips", 60, "Recordings a round.", lower_bound=40)
    flags.DEFINE_integer("rounds", 2, "Rounds.", lower_bound=1)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    import tensorflow as tf

    from sound_pipeline.embeddings import jobs
    from sound_pipeline.embeddings.embed import embed_recordings
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.features.config import FeatureConfig
    from sound_pipeline.features.windows import WINDOWS_AT_ONCE
    from sound_pipeline.input_pipeline.read import WindowReader
    from sound_pipeline.system.precision import choose_precision, computing_in, this_machine

    values = flags.FLAGS
    config = FeatureConfig()
    extractor = load_extractor(values.extractor, config)
    choice = choose_precision(
        values.precision, this_machine(), extractor.benefits_from_low_precision
    )
    embed, batches_at = jobs._embed_batches, []

    def watched(*inputs: Any) -> Iterator[Any]:
        for batch in embed(*inputs):
            batches_at.append((time.perf_counter(), time.process_time()))
            yield batch

    jobs._embed_batches = watched  # type: ignore[assignment]
    forward = tf.function(extractor)
    milliseconds: dict[str, list[Any]] = {"recordings to embeddings": [], "network alone": []}
    with tempfile.TemporaryDirectory() as directory:
        paths = write_recordings(Path(directory, "sounds"), values.clips, 5.0)
        first = next(WindowReader().read(paths, extractor.prepare, config, WINDOWS_AT_ONCE))
        for counted in [False] + [True] * values.rounds:
            batches_at.clear()
            some = paths if counted else paths[:8]
            with tempfile.TemporaryDirectory() as cache:
                settings = EmbeddingSettings(Path(cache))
                embed_recordings(some, extractor, settings, choice.precision)
            alone_at = []
            with computing_in(choice.precision):
                for _ in batches_at:
                    forward(first.prepared).numpy()
                    alone_at.append((time.perf_counter(), time.process_time()))
            if counted:
                for name, at in zip(milliseconds, (batches_at, alone_at), strict=True):
                    taken = np.subtract(at[-1], at[_SKIPPED_BATCHES - 1])
                    windows = WINDOWS_AT_ONCE * (len(at) - _SKIPPED_BATCHES)
                    milliseconds[name].append(taken * 1e3 / windows)
    whole, alone = (np.array(values) for values in milliseconds.values())
    ratio, processor_ratio = (float(number) for number in np.median(whole / alone, axis=0))
    print(f"{extractor.handle}, {choice.precision} ({choice.why})")
    print(f"{'ms a window':28} {'elapsed':>9} {'of the processors':>18}")
    for name, values_of in milliseconds.items():
        elapsed, used = np.median(values_of, axis=0)
        print(f"{name:28} {elapsed:9.2f} {used:18.2f}")
    print(f"{'ratio':28} {ratio:9.3f} {processor_ratio:18.3f}")
    figures = {
        "precision": choice.precision,
        "ms_a_window": {
            name: np.median(taken, axis=0).round(2).tolist() for name, taken in milliseconds.items()
        },
        "ratios": (whole / alone).round(3).tolist(),
        "processor_ratio": round(processor_ratio, 3),
    }
    report(figures, [Target("recordings to embeddings, to the network alone", ratio, _TARGET)])


if __name__ == "__main__":
    define_flags()
    program.run(main)
