"""What decoding costs: WAV in-graph against TensorFlow's own decoder, on the same files.

    .venv/bin/python -m benchmarks.audio.decode [--files=200] [--rounds=15]

Files of 5 s lie in memory as strings. Every decoder runs inside `Dataset.map` with two calls in
parallel, all of them in turn in every round; the figures are medians over the rounds, without the
time to the first element, which goes into setting up the data set. The last line is JSON.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import soundfile
from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.system import program

SECONDS = 5
RATE_HZ = 44100
# TensorFlow's decoder takes 16-bit PCM alone; the others have nothing to be compared with.
SUBTYPES = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW")


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("files", 200, "Files a round.", lower_bound=2)
    flags.DEFINE_integer("rounds", 15, "Rounds.", lower_bound=1)


def recording(subtype: str, channels: int, seed: int) -> bytes:
    """A WAV file of noise."""
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (SECONDS * RATE_HZ, channels))
    stream = io.BytesIO()
    soundfile.write(stream, noise, RATE_HZ, format="WAV", subtype=subtype)
    return stream.getvalue()


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    import tensorflow as tf

    from sound_pipeline.audio.wav import decode_wav

    def ours(contents: tf.Tensor) -> tf.Tensor:
        return tf.size(decode_wav(contents).waveform)

    def theirs(contents: tf.Tensor) -> tf.Tensor:
        return tf.size(tf.audio.decode_wav(contents).audio)

    def pass_over(files: list[bytes], decode: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(files).repeat().take(count)
        return dataset.map(decode, num_parallel_calls=2)

    count, rounds = flags.FLAGS.files, flags.FLAGS.rounds
    cases = {}
    for channels in (1, 2):
        contents = [recording("PCM_16", channels, seed) for seed in range(16)]
        cases[f"tf.audio.decode_wav, PCM_16, {channels} channel(s)"] = pass_over(contents, theirs)
        cases[f"decode_wav, PCM_16, {channels} channel(s)"] = pass_over(contents, ours)
    for subtype in SUBTYPES[1:]:
        contents = [recording(subtype, 1, seed) for seed in range(16)]
        cases[f"decode_wav, {subtype}, 1 channel(s)"] = pass_over(contents, ours)

    milliseconds: dict[str, list[float]] = {name: [] for name in cases}
    for counted in [False] + [True] * rounds:
        for name, dataset in cases.items():
            elements = iter(dataset)
            next(elements)
            started = time.perf_counter()
            for _ in elements:
                pass
            if counted:
                milliseconds[name].append((time.perf_counter() - started) * 1e3 / count)
    medians = {name: float(np.median(values)) for name, values in milliseconds.items()}
    ratios = {
        f"decode_wav to tf.audio.decode_wav, {channels} channel(s)": medians[
            f"decode_wav, PCM_16, {channels} channel(s)"
        ]
        / medians[f"tf.audio.decode_wav, PCM_16, {channels} channel(s)"]
        for channels in (1, 2)
    }
    for name, value in medians.items():
        print(f"{name:45} {value:6.3f} ms a file")
    targets = [Target(name, value, 1.3) for name, value in ratios.items()]
    report({"milliseconds": medians}, targets)


if __name__ == "__main__":
    define_flags()
    program.run(main)
