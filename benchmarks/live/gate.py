"""What the gate notices and what it takes for sound: real recordings, room noise, cost.

    .venv/bin/python -m benchmarks.live.gate --data_dir=ESC-50-master [--clips_per_class=40]

Every recording is played at four levels after two seconds of room (pink noise, which goes on below
it), after digital silence, and at the start of a stream; a clip is noticed when the gate is active
for five frames in a row in it. Then the gate listens to rooms in which nothing happens. The last
line is JSON.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import soundfile
from absl import flags

from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.errors import UserError
from sound_pipeline.live.gate import Gate, GateConfig, make_gate
from sound_pipeline.live.segments import SegmentConfig, SegmentEnd, Segmenter
from sound_pipeline.system import program

GAINS_DB = (0, -10, -20, -30)
# Level of the room before and under a clip; None: digital silence, no room.
BEFORE = {"room at -70 dBFS": -70, "room at -55 dBFS": -55, "silence": None, "nothing": None}
LEAD_SECONDS = 2.0
TRIGGER_FRAMES = 5

GATES = {
    "auto": GateConfig(),
    "vad": GateConfig(kind="vad"),
    "energy": GateConfig(kind="energy"),
}
# The detector's most sensitive mode, where it fires on noise.
ROOM_GATES = GATES | {
    "auto, mode 0": GateConfig(vad_mode=0),
    "vad, mode 0": GateConfig(kind="vad", vad_mode=0),
}
ROOM_LEVELS_DB = (-60, -50, -35)
ROOM_RATE_HZ = 16_000
DRIFT_DB = 3.0
DRIFT_SECONDS = 30.0

COST_SECONDS = 20.0

Samples = npt.NDArray[np.float32]


def define_flags() -> None:
    """Defines the benchmark's flags."""
    assets = os.environ.get("SOUND_PIPELINE_ASSETS")
    flags.DEFINE_string(
        "data_dir",
        os.path.join(assets, "data", "esc10") if assets else None,
        "Folder of ESC-50 as downloaded; by default data/esc10 in SOUND_PIPELINE_ASSETS.",
    )
    flags.DEFINE_integer("clips_per_class", 40, "Recordings of each class.", lower_bound=1)
    flags.DEFINE_integer("minutes", 2, "Of each room in which nothing happens.", lower_bound=1)


def noise(kind: str, seconds: float, rate_hz: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Noise of mean square 1: white, pink (1/f), rumble (1/f^2 from 15 Hz) or hum (50 Hz)."""
    generator = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    samples = generator.standard_normal(count)
    if kind == "hum":
        times = np.arange(count) / rate_hz
        harmonics = ((1, 1.0), (2, 0.3), (3, 0.5), (5, 0.2), (7, 0.1))
        samples *= 0.03
        for harmonic, amplitude in harmonics:
            phase = generator.uniform(0, 2 * np.pi)
            samples += amplitude * np.sin(2 * np.pi * 50 * harmonic * times + phase)
    elif kind != "white":
        hz = np.maximum(np.fft.rfftfreq(count, 1 / rate_hz), 1 / seconds)
        slope = 0.5 if kind == "pink" else np.where(hz < 15, 5.0, 1.0)
        samples = np.fft.irfft(np.fft.rfft(samples) * hz**-slope, count)
    return samples / np.sqrt(np.mean(samples**2))


def as_captured(samples: npt.NDArray[np.float64]) -> Samples:
    """As a microphone of 16 bits delivers it."""
    return (np.clip(np.rint(samples * 32768), -32768, 32767) / 32768).astype(np.float32)


def triggers(gate: Gate, samples: Samples, rate_hz: int) -> bool:
    """Whether the gate is active for so long that a segment opens."""
    run = 0
    # In pieces: most clips are noticed in the first.
    for start in range(0, len(samples), rate_hz // 2):
        for state in gate.feed(samples[start : start + rate_hz // 2]):
            run = run + 1 if state.is_active else 0
            if run == TRIGGER_FRAMES:
                return True
    return False


def clips(folder: str, per_class: int) -> dict[str, list[str]]:
    """Paths of recordings by class."""
    paths: dict[str, list[str]] = defaultdict(list)
    for recording in load_manifest(DatasetConfig("esc50", folder, subset="esc10")).recordings:
        if len(paths[recording.label]) < per_class:
            paths[recording.label].append(recording.path)
    return dict(sorted(paths.items()))


def measure_clips(paths: dict[str, list[str]]) -> dict[str, dict[str, list[float]]]:
    """Shares noticed: gate, then 'room, level', then one for each class; prints the tables."""
    shares: dict[str, dict[str, list[float]]] = {}
    rooms: dict[int, npt.NDArray[np.float64]] = {}
    loaded = {label: [soundfile.read(path) for path in files] for label, files in paths.items()}
    for name, config in GATES.items():
        shares[name] = {}
        false = 0
        for before, room_db in BEFORE.items():
            for gain_db in GAINS_DB:
                row = []
                for recordings in loaded.values():
                    noticed = 0
                    for clip, rate_hz in recordings:
                        if rate_hz not in rooms:
                            rooms[rate_hz] = noise("pink", 10, rate_hz)
                        lead = 0 if before == "nothing" else round(LEAD_SECONDS * rate_hz)
                        samples = np.zeros(lead + len(clip))
                        samples[lead:] = clip * 10 ** (gain_db / 20)
                        if room_db is not None:
                            room = np.resize(rooms[rate_hz], len(samples))
                            samples += room * 10 ** (room_db / 20)
                        captured = as_captured(samples)
                        gate = make_gate(config, rate_hz)
                        false += triggers(gate, captured[:lead], rate_hz)
                        noticed += triggers(gate, captured[lead:], rate_hz)
                    row.append(noticed / len(recordings))
                shares[name][f"{before}, {gain_db} dB"] = row
        print(f"\n--gate={name}: % of the clips noticed; {false} times active before one")
        print(
            f"{'before the clip, its level':28}{'all':>7}", *(f"{label[:8]:>8}" for label in paths)
        )
        for case, row in shares[name].items():
            cells = (f"{100 * share:8.0f}" for share in row)
            print(f"{case:28}{100 * np.mean(row):7.2f}", *cells)
    return shares


def measure_rooms(minutes: int) -> dict[str, dict[str, list[float]]]:
    """Segments a minute and share of the time open, by room and gate; prints the table."""
    print(f"\nNothing happens: segments a minute (% of the time open), {minutes} minutes a room")
    print(f"{'room':28}", *(f"{name:>14}" for name in ROOM_GATES))
    results: dict[str, dict[str, list[float]]] = {}
    seconds = 60.0 * minutes
    times = np.arange(round(seconds * ROOM_RATE_HZ)) / ROOM_RATE_HZ
    drift = 10 ** (DRIFT_DB * np.sin(2 * np.pi * times / DRIFT_SECONDS) / 20)
    for kind in ("white", "pink", "rumble", "hum"):
        room = noise(kind, seconds, ROOM_RATE_HZ)
        for level_db in ROOM_LEVELS_DB:
            for change, factor in (("steady", np.ones_like(drift)), ("drifting", drift)):
                case = f"{kind} at {level_db} dBFS, {change}"
                samples = as_captured(room * factor * 10 ** (level_db / 20))
                results[case] = {}
                for name, config in ROOM_GATES.items():
                    gate = make_gate(config, ROOM_RATE_HZ)
                    segmenter = Segmenter(SegmentConfig(), gate, ROOM_RATE_HZ, 4.0)
                    segments, frames_open = 0, 0
                    for frame in samples.reshape(-1, ROOM_RATE_HZ // 100):
                        items = segmenter.feed(frame)
                        segments += sum(isinstance(item, SegmentEnd) for item in items)
                        frames_open += segmenter.is_open
                    segments += segmenter.is_open
                    share = frames_open / (100 * seconds)
                    results[case][name] = [segments / minutes, share]
                row = (
                    f"{each:6.1f} ({100 * share:4.1f})" for each, share in results[case].values()
                )
                print(f"{case:28}", *(f"{cell:>14}" for cell in row))
    return results


def measure_cost() -> dict[str, float]:
    """Share of one core in real time, fed as the segmenter feeds it: frame by frame."""
    print("\n% of one core in real time, frame by frame")
    shares = {}
    for rate_hz in (8_000, 16_000, 44_100, 48_000, 96_000, 192_000):
        samples = as_captured(0.1 * noise("pink", COST_SECONDS, rate_hz))
        frame = round(rate_hz / 100)
        for name, config in GATES.items():
            gate = make_gate(config, rate_hz)
            started = time.process_time()
            for start in range(0, len(samples), frame):
                gate.feed(samples[start : start + frame])
            shares[f"{name}, {rate_hz} Hz"] = (time.process_time() - started) / COST_SECONDS
        print(f"{rate_hz:7} Hz", *(f"{g} {100 * shares[f'{g}, {rate_hz} Hz']:.2f}" for g in GATES))
    return shares


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    folder = flags.FLAGS.data_dir
    if not folder:
        raise UserError("--data_dir is missing: give the folder of ESC-50 as downloaded")
    paths = clips(folder, flags.FLAGS.clips_per_class)
    noticed = measure_clips(paths)
    rooms = measure_rooms(flags.FLAGS.minutes)
    cost = measure_cost()
    result = {"classes": list(paths), "noticed": noticed, "rooms": rooms, "core_share": cost}
    print(json.dumps(result))


if __name__ == "__main__":
    define_flags()
    program.run(main)
