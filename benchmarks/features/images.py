"""What images cost: sound to coloured spectrogram, against other ways and the bare arithmetic.

    .venv/bin/python -m benchmarks.features.images [--clips=320] [--rounds=5] [--stages]

Every way makes images of the same windows of 4 s, of noise, using both cores; all of them in turn
in every round. "Plainly" is the path as one would write it first (plain_features.py): the profile
before, where --stages gives the one after. Ours takes as many at once as training does of a
recording of 5 s. The figures are medians over the rounds: by the clock, and of the cores, which is
the steadier one where other programs run. The last line is JSON.

The floor is what no way can do without: SciPy's Fourier transform, and as dense products by BLAS
the mel filters and the resizing, each on inputs that are ready. It leaves out the frames, their
window, power, decibels and colours. It runs as two threads that take a core each, and as one whose
libraries take both; the faster counts.

With --stages, each stage of the feature path alone, on a batch that is ready, against its limit on
this machine: for the Fourier transform SciPy's, for the others the time to read what the stage is
given and write what it answers at the speed of a copy, or to compute the products that aren't with
zeros at the speed of a product by BLAS.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.system import program

SECONDS = 4.0
RATES_HZ = (22050, 44100, 48000)
# Of a recording of 5 s: two windows and three beginnings.
BATCH = 5
SIZE = 299
CORES = 2
CONFIG = FeatureConfig(windows=WindowConfig(seconds=SECONDS))

# Speeds of this machine that stages are compared with.
TRANSFORM, COPY, PRODUCT = "SciPy's Fourier transform", "copying", "multiplying"

Floats = npt.NDArray[np.float32]


class Spent(NamedTuple):
    """Seconds a clip: by the clock, and of the cores."""

    clock: float
    cores: float


Way = Callable[[], Spent]


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("clips", 320, "Clips a round of the fast ways.", lower_bound=BATCH)
    flags.DEFINE_integer("rounds", 5, "Rounds.", lower_bound=1)
    flags.DEFINE_boolean("stages", False, "Measure the stages of the feature path instead.")


def timed(work: Callable[[], object], clips: int) -> Spent:
    """What some work on `clips` clips takes in this process."""
    started = time.perf_counter(), time.process_time()
    work()
    ended = time.perf_counter(), time.process_time()
    return Spent(*((end - start) / clips for start, end in zip(started, ended, strict=True)))


def noise(clips: int, rate_hz: int) -> Floats:
    """Windows of noise: float32 [clips, samples]."""
    random = np.random.default_rng(0)
    return random.standard_normal((clips, round(SECONDS * rate_hz)), np.float32) * np.float32(0.1)


def librosas_log_mel(waveform: Floats) -> Floats:
    """Log-mel spectrogram by librosa, [mel_bands, frames]."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=CONFIG.spectrogram.sample_rate_hz,
        n_fft=CONFIG.spectrogram.frame_length,
        hop_length=512,
        n_mels=128,
    )
    spectrogram: Floats = librosa.power_to_db(power, ref=np.max)
    return spectrogram


def image_by_file(waveform: Floats) -> Floats:
    """The way of 2017: librosa, a figure saved as PNG, read back and resized."""
    import librosa.display
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    figure = pyplot.figure(figsize=(0.72, 0.72))
    axes = figure.add_subplot(111)
    axes.set_axis_off()
    librosa.display.specshow(
        librosas_log_mel(waveform), sr=CONFIG.spectrogram.sample_rate_hz, ax=axes
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "image.png"
        figure.savefig(path, dpi=400, bbox_inches="tight", pad_inches=0)
        pyplot.close(figure)
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32) / 255


def in_processes(
    pool: ProcessPoolExecutor, function: Callable[[Floats], Floats], waveforms: Floats
) -> Way:
    """One call of a function a clip, in processes of a pool."""

    def way() -> Spent:
        started = time.perf_counter()
        cores = sum(pool.map(_core_seconds, [function] * len(waveforms), waveforms))
        clock = time.perf_counter() - started
        return Spent(clock / len(waveforms), cores / len(waveforms))

    return way


def _core_seconds(function: Callable[[Floats], Floats], waveform: Floats) -> float:
    """In a process of the pool. Sending the answer back is no part of what is compared."""
    return timed(lambda: function(waveform), 1).cores


def in_dataset(function: Callable[[Any, Any], Any], rate_hz: int, clips: int) -> Way:
    """A function of a batch of windows and their rate, in the way of training's data set."""
    import tensorflow as tf

    windows = tf.data.Dataset.from_tensor_slices(noise(2 * BATCH, rate_hz)).batch(BATCH)
    # In batches once and for all: the other ways get their windows ready too.
    prepared = (
        windows.cache()
        .repeat()
        .map(
            lambda waveform: function(waveform, tf.fill([1], rate_hz)[0]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    )
    batches = iter(prepared.prefetch(2))
    # What may lie ready when the clock starts: prefetched, and made by the parallel calls.
    ready = 2 + CORES

    def take(count: int) -> None:
        for _ in range(count):
            next(batches)

    def way() -> Spent:
        take(ready)
        spent = timed(lambda: take(clips // BATCH), clips // BATCH * BATCH)
        # Until as much lies ready again, and the cores are free for the next.
        while timed(lambda: time.sleep(0.1), 1).cores > 0.01:
            pass
        return spent

    return way


class Floor:
    """The Fourier transform, mel filters and resizing of a batch, on inputs that are ready."""

    def __init__(self, rate_hz: int, clips: int) -> None:
        """Makes the inputs."""
        from sound_pipeline.features.frames import hann_frames
        from sound_pipeline.features.image import resize_matrix
        from sound_pipeline.features.mel import mel_matrix

        frames, length = hann_frames(noise(BATCH, rate_hz), rate_hz, CONFIG)
        random = np.random.default_rng(0)
        self.clips = clips
        self.frames = frames.numpy()[..., : int(length)]
        self.power = random.random((BATCH, CONFIG.frames, CONFIG.spectrogram.bins), np.float32)
        self.spectrogram = random.random(
            (BATCH, CONFIG.frames, CONFIG.spectrogram.mel_bands), np.float32
        )
        spacing = CONFIG.spectrogram.sample_rate_hz / CONFIG.spectrogram.frame_length
        self.filters = mel_matrix(
            CONFIG.spectrogram.bins,
            spacing,
            CONFIG.spectrogram.mel_bands,
            CONFIG.spectrogram.min_hz,
            CONFIG.spectrogram.max_hz,
        )
        self.columns = resize_matrix(CONFIG.frames, SIZE)
        self.rows = resize_matrix(CONFIG.spectrogram.mel_bands, SIZE)

    def transform(self, workers: int) -> None:
        """The Fourier transform of the batch."""
        import scipy.fft

        scipy.fft.rfft(self.frames, workers=workers)

    def filter(self) -> None:
        """The mel filters on the batch, as one product."""
        _ = self.power.reshape(-1, CONFIG.spectrogram.bins) @ self.filters

    def resize(self) -> None:
        """Resizing the batch, the axis first that makes it less work."""
        _ = self.rows @ (self.columns @ self.spectrogram).transpose(0, 2, 1)

    def all(self, workers: int) -> None:
        """The three in turn."""
        self.transform(workers)
        self.filter()
        self.resize()

    def in_threads(
        self, threads: ThreadPoolExecutor, step: Callable[[int], None] | None = None
    ) -> Way:
        """A batch a thread at a time, each with a core: all steps, or one, told its number."""
        from threadpoolctl import threadpool_limits

        work = step or (lambda number: self.all(1))

        def batches() -> None:
            list(threads.map(work, range(self.clips // BATCH)))

        def way() -> Spent:
            with threadpool_limits(1):
                return timed(batches, self.clips // BATCH * BATCH)

        return way

    def in_libraries(self) -> Way:
        """Whole batches, and the libraries share the cores out."""
        from threadpoolctl import threadpool_limits

        def batches() -> None:
            for _ in range(self.clips // BATCH):
                self.all(CORES)

        def way() -> Spent:
            with threadpool_limits(CORES):
                return timed(batches, self.clips // BATCH * BATCH)

        return way


def ways(clips: int, stack: ExitStack) -> dict[str, Way]:
    """Everything that is compared."""
    import keras
    import tensorflow as tf

    from benchmarks.features.plain_images import plain_image
    from sound_pipeline.features.image import coloured_image

    # The children must not inherit TensorFlow's threads.
    spawn = multiprocessing.get_context("spawn")
    one = stack.enter_context(ProcessPoolExecutor(1, spawn))
    two = stack.enter_context(ProcessPoolExecutor(CORES, spawn))
    threads = stack.enter_context(ThreadPoolExecutor(CORES))
    kerass = keras.layers.MelSpectrogram(
        fft_length=CONFIG.spectrogram.frame_length,
        sequence_stride=512,
        sampling_rate=CONFIG.spectrogram.sample_rate_hz,
        num_mel_bins=CONFIG.spectrogram.mel_bands,
        min_freq=CONFIG.spectrogram.min_hz,
        max_freq=CONFIG.spectrogram.max_hz,
    )
    found: dict[str, Way] = {
        "by PNG, one process": in_processes(one, image_by_file, noise(4, 22050)),
        "by PNG, two processes": in_processes(two, image_by_file, noise(8, 22050)),
        "librosa alone, two processes": in_processes(two, librosas_log_mel, noise(16, 22050)),
        "Keras MelSpectrogram alone": in_dataset(lambda windows, _: kerass(windows), 22050, clips),
        "plainly, a window at a time": in_dataset(
            lambda windows, _: tf.map_fn(
                lambda window: plain_image(window, SIZE, SIZE, CONFIG), windows
            ),
            22050,
            clips,
        ),
    }
    for rate_hz in RATES_HZ:
        floor = Floor(rate_hz, clips)
        found[f"coloured_image, {rate_hz} Hz"] = in_dataset(
            lambda windows, rate: coloured_image(windows, rate, SIZE, SIZE, CONFIG),
            rate_hz,
            clips,
        )
        found[f"floor in threads, {rate_hz} Hz"] = floor.in_threads(threads)
        found[f"floor in libraries, {rate_hz} Hz"] = floor.in_libraries()
    return found


def compare(clips: int, rounds: int) -> None:
    """All ways, and what ours is to them."""
    with ExitStack() as stack:
        spent = medians(ways(clips, stack), rounds)
    print(f"{'ms a clip':48} {'clock':>8} {'cores':>8}")
    for name, value in spent.items():
        print(f"{name:48} {value.clock:8.3f} {value.cores:8.3f}")
    ratios = {}
    for rate_hz in RATES_HZ:
        floors = [spent[f"floor in {how}, {rate_hz} Hz"] for how in ("threads", "libraries")]
        least = Spent(*(min(values) for values in zip(*floors, strict=True)))
        ours = spent[f"coloured_image, {rate_hz} Hz"]
        ratios[f"coloured_image to the floor, {rate_hz} Hz"] = _ratio(ours, least)
    ours = spent["coloured_image, 22050 Hz"]
    for other in list(spent)[:5]:
        ratios[f"{other}, to coloured_image"] = _ratio(spent[other], ours)
    for name, ratio in ratios.items():
        print(f"{name:48} {ratio.clock:8.2f} {ratio.cores:8.2f}")
    measured = {name: value._asdict() for name, value in spent.items()}
    targets = [
        Target(f"{name}, by {kind}", getattr(ratios[name], kind), limit, at_least)
        for name, limit, at_least in (
            ("coloured_image to the floor, 22050 Hz", 1.5, False),
            ("by PNG, one process, to coloured_image", 40.0, True),
        )
        for kind in Spent._fields
    ]
    everything = {name: ratio._asdict() for name, ratio in ratios.items()}
    report({"milliseconds": measured, "ratios": everything}, targets)


def _ratio(spent: Spent, other: Spent) -> Spent:
    return Spent(spent.clock / other.clock, spent.cores / other.cores)


def medians(compared: dict[str, Way], rounds: int) -> dict[str, Spent]:
    """Milliseconds a clip, after a round that doesn't count."""
    spent: dict[str, list[Spent]] = {name: [] for name in compared}
    for counted in [False] + [True] * rounds:
        for name, way in compared.items():
            measured = way()
            if counted:
                spent[name].append(measured)
    return {
        name: Spent(*(1e3 * np.median(values, axis=0)).tolist()) for name, values in spent.items()
    }


def on_batch(function: Callable[..., Any], *given: Any, calls: int) -> tuple[Way, Any]:
    """A graph of a function, called on a batch that is ready; and what it answers."""
    import tensorflow as tf

    graph = tf.function(function)
    given = tuple(tf.convert_to_tensor(value) for value in given)
    answer = graph(*given)

    def repeat() -> None:
        for _ in range(calls):
            graph(*given)

    return lambda: timed(repeat, calls * BATCH), answer


def stages_at(rate_hz: int, clips: int, threads: ThreadPoolExecutor) -> dict[str, Way]:
    """The stages, each on what the one before it answers; and three speeds of this machine."""
    import soundfile
    import tensorflow as tf

    from sound_pipeline.audio.wav import decode_wav
    from sound_pipeline.features import image as image_module
    from sound_pipeline.features import log_mel
    from sound_pipeline.features.frames import hann_frames

    calls = clips // BATCH
    floor = Floor(rate_hz, clips)
    rate = tf.constant(rate_hz)
    files = []
    for waveform in noise(BATCH, rate_hz):
        stream = io.BytesIO()
        soundfile.write(stream, waveform, rate_hz, format="WAV", subtype="PCM_16")
        files.append(stream.getvalue())
    contents = tf.data.Dataset.from_tensor_slices(files).repeat().take(clips)
    decoded = contents.map(lambda file: decode_wav(file).waveform, num_parallel_calls=CORES)

    def decode() -> Spent:
        elements = iter(decoded)
        next(elements)  # setting the data set up takes longer than decoding
        return timed(lambda: sum(1 for _ in elements), clips - 1)

    found: dict[str, Way] = {"decode (WAV of 16 bits)": decode}
    found["frames, windowed"], (frames, length) = on_batch(
        lambda waveform, rate: hann_frames(waveform, rate, CONFIG),
        noise(BATCH, rate_hz),
        rate,
        calls=calls,
    )
    found["Fourier transform"], spectrum = on_batch(
        lambda frames, length: tf.signal.rfft(frames, [length]), frames, length, calls=calls
    )
    value = spectrum
    for name, stage in (
        ("power", lambda spectrum: log_mel.power_spectrum(spectrum, CONFIG.spectrogram)),
        ("mel filters", lambda power: log_mel.mel_power(power, CONFIG.spectrogram)),
        ("decibels", lambda mel: log_mel.decibels(mel, CONFIG.spectrogram)),
        ("resize", lambda spectrogram: image_module.grey_image(spectrogram, SIZE, SIZE, CONFIG)),
        ("colour", lambda grey: image_module.apply_colormap(grey, CONFIG.spectrogram.colormap)),
    ):
        found[name], value = on_batch(stage, value, calls=calls)
    source = np.ones((CORES, 1 << 23), np.float32)
    target = np.empty_like(source)
    square = np.ones((1024, 1024), np.float32)
    found[TRANSFORM] = floor.in_threads(threads, lambda number: floor.transform(1))
    found[COPY] = floor.in_threads(
        threads, lambda number: np.copyto(target[number % CORES], source[number % CORES])
    )
    found[PRODUCT] = floor.in_threads(threads, lambda number: np.matmul(square, square))
    return found


def limits_at(rate_hz: int, found: dict[str, float]) -> dict[str, float]:
    """The least milliseconds a clip of each stage, from this machine's speeds."""
    from sound_pipeline.features.image import resize_matrix
    from sound_pipeline.features.mel import mel_matrix

    # A call a batch, of BATCH clips.
    bytes_a_ms = 2 * 4 * (1 << 23) / (found[COPY] * BATCH)
    flops_a_ms = 2 * 1024**3 / (found[PRODUCT] * BATCH)
    samples, length = SECONDS * rate_hz, round(CONFIG.spectrogram.frame_seconds * rate_hz)
    bins = length // 2 + 1
    cells, pixels = CONFIG.frames * CONFIG.spectrogram.mel_bands, SIZE * SIZE
    filters = mel_matrix(
        CONFIG.spectrogram.bins,
        rate_hz / length,
        CONFIG.spectrogram.mel_bands,
        0,
        CONFIG.spectrogram.max_hz,
    )
    columns, rows = (
        resize_matrix(CONFIG.frames, SIZE),
        resize_matrix(CONFIG.spectrogram.mel_bands, SIZE),
    )
    kept = [np.count_nonzero(matrix) for matrix in (filters, rows, columns)]
    copied = {
        "decode (WAV of 16 bits)": (2 + 4) * samples,
        "frames, windowed": 4 * (samples + CONFIG.frames * length),
        "power": (8 + 4) * CONFIG.frames * bins,
        "mel filters": 4 * (CONFIG.frames * min(bins, CONFIG.spectrogram.bins) + cells),
        "decibels": (4 + 4) * cells,
        "resize": 4 * (cells + pixels),
        "colour": (4 + 12) * pixels,
    }
    multiplied = {
        "mel filters": 2 * CONFIG.frames * kept[0],
        "resize": 2 * (CONFIG.frames * kept[1] + SIZE * kept[2]),
    }
    limits = {
        name: max(size / bytes_a_ms, multiplied.get(name, 0) / flops_a_ms)
        for name, size in copied.items()
    }
    return limits | {"Fourier transform": found[TRANSFORM]}


def stages(clips: int, rounds: int) -> None:
    """Each stage of the feature path by the clock, beside its limit."""
    results = {}
    with ThreadPoolExecutor(CORES) as threads:
        for rate_hz in RATES_HZ:
            spent = medians(stages_at(rate_hz, clips, threads), rounds)
            found = {name: value.clock for name, value in spent.items()}
            limits = limits_at(rate_hz, found)
            measured = {name: found[name] for name in found if name in limits}
            print(f"{f'{rate_hz} Hz, ms a clip':28} {'measured':>8} {'limit':>8}")
            for name, value in measured.items():
                print(f"{name:28} {value:8.3f} {limits[name]:8.3f}")
            totals = sum(measured.values()), sum(limits.values())
            print(f"{'together':28} {totals[0]:8.3f} {totals[1]:8.3f}")
            results[str(rate_hz)] = {"milliseconds": measured, "limits": limits}
    print(json.dumps(results))


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    run = stages if flags.FLAGS.stages else compare
    run(flags.FLAGS.clips, flags.FLAGS.rounds)


if __name__ == "__main__":
    define_flags()
    program.run(main)
