"""How often intervals hold the true accuracy, in simulation, as a table in Markdown.

    .venv/bin/python -m benchmarks.evaluation.coverage [--repeats=1000] [--seed=0]

Made up are answers to clips of source recordings, in three ways: the chance to be right differs
from source to source, by a beta distribution that makes two clips of one source correlated by 0.3;
all clips of a source are right or all are wrong; or a few sources are nearly all wrong while clips
of others are wrong by chance, which some hundred clips can't tell from chance alone ("mixed").
Compared with the package's interval are the percentile bootstrap over sources, which it had before,
and Wilson's interval at the effective number of clips with a design effect that is not pulled
towards anything. A row gives the least coverage over numbers of clips a source (1, 4, 20, and 1 to
20 at random) at a nominal 95 %. The targets are for the first two ways. About twenty minutes on two
cores. The last line is JSON.
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

_ACCURACIES = (0.5, 0.9, 0.98, 0.995)
_SOURCES = (30, 100, 240, 1000)
_WAYS = ("0.3", "1", "mixed")
_CLIPS = (1, 4, 20, 0)  # 0: 1 to 20
_RESAMPLES = 200

Interval = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.intp]], tuple[float, float]]


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("repeats", 1000, "Data sets made up for each case.", lower_bound=10)
    flags.DEFINE_integer("seed", 0, "Of what is made up.")


def main(arguments: list[str]) -> None:
    """Prints the table."""
    program.no_arguments(arguments)
    found = {
        (accuracy, sources, way): coverage(accuracy, sources, way)
        for way, sources, accuracy in itertools.product(_WAYS, _SOURCES, _ACCURACIES)
    }
    names = list(intervals())
    print(f"\n| correlation | sources | accuracy | {' | '.join(names)} |")
    print(f"|---|---|---|{'---|' * len(names)}")
    for (accuracy, sources, way), held in found.items():
        cells = " | ".join(f"{100 * held[name]:.1f} %" for name in names)
        print(f"| {way} | {sources} | {accuracy} | {cells} |")
    usual = [held for (_, _, way), held in found.items() if way != "mixed"]
    least = {name: min(held[name] for held in usual) for name in names}
    print()
    # The least of many shares that were counted lies lower than each.
    limit = 0.95 - 3 * float(np.sqrt(0.95 * 0.05 / flags.FLAGS.repeats))
    report(
        {"least": least, "repeats": flags.FLAGS.repeats},
        [Target("least coverage of the package's interval", least["ours"], limit, at_least=True)],
    )


def coverage(accuracy: float, sources: int, way: str) -> dict[str, float]:
    """Least coverage of each interval, over the numbers of clips."""
    random = np.random.default_rng([flags.FLAGS.seed, sources, round(1000 * accuracy)])
    repeats = flags.FLAGS.repeats
    least: dict[str, float] = {}
    for clips in _CLIPS:
        held = dict.fromkeys(intervals(), 0)
        for _ in range(repeats):
            counts = random.integers(1, 21, sources) if clips == 0 else np.full(sources, clips)
            source_of = np.repeat(np.arange(sources), counts)
            right = made_up(random, accuracy, source_of, way)
            for name, interval in intervals().items():
                low, high = interval(right, source_of)
                held[name] += low <= accuracy <= high
        for name, count in held.items():
            least[name] = min(least.get(name, 1.0), count / repeats)
    print(f"correlation {way}, {sources} sources, accuracy {accuracy}: done", flush=True)
    return least


def made_up(
    random: np.random.Generator, accuracy: float, source_of: npt.NDArray[np.intp], way: str
) -> npt.NDArray[np.bool_]:
    """Whether each clip is right: bool [clips]."""
    sources = int(source_of.max()) + 1
    if way == "0.3":
        strength = 1 / 0.3 - 1
        chance = random.beta(accuracy * strength, (1 - accuracy) * strength, sources)
        return random.random(len(source_of)) < chance[source_of]
    of_source = (random.random(sources) < accuracy)[source_of]
    if way == "1":
        return of_source
    of_clip = random.random(len(source_of)) < accuracy
    return np.where(random.random(len(source_of)) < np.sqrt(0.3), of_source, of_clip)


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
