"""How often intervals hold the true accuracy, in simulation, as a table in Markdown.

    .venv/bin/python -m benchmarks.evaluation.coverage [--repeats=2000] [--seed=0]

Made up are answers to clips of source recordings: each clip is right with the true accuracy as its
chance, and two clips of one source are correlated by as much as a row says (at 1 all clips of a
source are right or all are wrong). Compared with the package's interval are the percentile
bootstrap over sources, which it had before, and Wilson's interval at the effective number of clips
with a design effect that is not pulled towards anything. A row gives the least coverage over
numbers of clips a source (1, 4, 20, and 1 to 20 at random) at a nominal 95 %. About ten minutes on
two cores. The last line is JSON.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from absl import flags
from scipy import special

from benchmarks.targets import Target, report
from sound_pipeline.evaluation.significance import accuracy_interval
from sound_pipeline.system import program

_ACCURACIES = (0.5, 0.8, 0.9, 0.98, 0.993, 0.995)
_SOURCES = (30, 100, 240, 1000)
_ALIKE = (0.3, 1.0)
_CLIPS = (1, 4, 20, 0)  # 0: 1 to 20
_RESAMPLES = 400
_LEAST = 0.94

Interval = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.intp]], tuple[float, float]]


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("repeats", 2000, "Data sets made up for each case.", lower_bound=10)
    flags.DEFINE_integer("seed", 0, "Of what is made up.")


def main(arguments: list[str]) -> None:
    """Prints the table."""
    program.no_arguments(arguments)
    found = {
        (accuracy, sources, alike): coverage(accuracy, sources, alike)
        for sources, accuracy, alike in itertools.product(_SOURCES, _ACCURACIES, _ALIKE)
    }
    names = list(intervals())
    print(f"\n| sources | accuracy | correlation | {' | '.join(names)} |")
    print(f"|---|---|---|{'---|' * len(names)}")
    for (accuracy, sources, alike), held in found.items():
        cells = " | ".join(f"{100 * held[name]:.1f} %" for name in names)
        print(f"| {sources} | {accuracy} | {alike} | {cells} |")
    least = {name: min(held[name] for held in found.values()) for name in names}
    print()
    report(
        {"least": least, "repeats": flags.FLAGS.repeats},
        [Target("least coverage of the package's interval", least["ours"], _LEAST, at_least=True)],
    )


def coverage(accuracy: float, sources: int, alike: float) -> dict[str, float]:
    """Least coverage of each interval, over the numbers of clips."""
    random = np.random.default_rng([flags.FLAGS.seed, sources, round(1000 * accuracy)])
    repeats = flags.FLAGS.repeats
    least: dict[str, float] = {}
    for clips in _CLIPS:
        held = dict.fromkeys(intervals(), 0)
        for _ in range(repeats):
            counts = random.integers(1, 21, sources) if clips == 0 else np.full(sources, clips)
            source_of = np.repeat(np.arange(sources), counts)
            right = made_up(random, accuracy, source_of, alike)
            for name, interval in intervals().items():
                low, high = interval(right, source_of)
                held[name] += low <= accuracy <= high
        for name, count in held.items():
            least[name] = min(least.get(name, 1.0), count / repeats)
    print(f"{sources} sources, accuracy {accuracy}, correlation {alike}: done", flush=True)
    return least


def made_up(
    random: np.random.Generator, accuracy: float, source_of: npt.NDArray[np.intp], alike: float
) -> npt.NDArray[np.bool_]:
    """Whether each clip is right: bool [clips]."""
    of_source = (random.random(source_of.max() + 1) < accuracy)[source_of]
    of_clip = random.random(len(source_of)) < accuracy
    return np.where(random.random(len(source_of)) < np.sqrt(alike), of_source, of_clip)


def intervals() -> dict[str, Interval]:
    """Each way to an interval, by its name in the table."""
    return {"ours": ours, "bootstrap": bootstrap, "Wilson": wilson}


def ours(right: npt.NDArray[np.bool_], source_of: npt.NDArray[np.intp]) -> tuple[float, float]:
    """The package's, of one fold."""
    groups = source_of.astype(np.str_)
    return accuracy_interval(right, np.zeros(len(right), "<U1"), groups)


def bootstrap(right: npt.NDArray[np.bool_], source_of: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Percentiles of what resampled sources give."""
    random = np.random.default_rng(0)
    hits, clips = np.bincount(source_of, right), np.bincount(source_of)
    times = random.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), _RESAMPLES)
    low, high = np.quantile((times @ hits) / (times @ clips), [0.025, 0.975])
    return float(low), float(high)


def wilson(right: npt.NDArray[np.bool_], source_of: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Wilson's at the clips divided by the estimated design effect, at least 1."""
    clips, accuracy, sources = len(right), float(right.mean()), int(source_of.max()) + 1
    sums = np.bincount(source_of, right - accuracy)
    spread = accuracy * (1 - accuracy)
    variance = sources / (sources - 1) * float(sums @ sums) / clips**2
    count = clips / max(1.0, variance * clips / spread if spread else 1.0)
    squared = float(special.stdtrit(sources - 1, 0.975)) ** 2
    middle = (accuracy + squared / (2 * count)) / (1 + squared / count)
    half = np.sqrt(squared * (spread / count + squared / (4 * count**2))) / (1 + squared / count)
    return middle - float(half), middle + float(half)


if __name__ == "__main__":
    define_flags()
    program.run(main)
