"""Ten synthetic city sounds, one for each class of UrbanSound8K.

Every synthesiser imitates the cause of its sound: harmonics of an engine's firing rate, impacts
of a chisel, glides of a child's voice. It draws from two random generators. `source` is seeded
alike for all the slices of one recording and gives what they share: this engine, this dog, this
street. `take` is the slice's own and gives what happens in it: when the dog barks, and how often.
Draws from `source` come first and never depend on `take` or on the slice's length.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rng = np.random.Generator
Curve = Callable[[Array], Array]
Synthesiser = Callable[[Rng, Rng, float, int], Array]

_TABLE_SIZE = 8192
_ACTIVE_FRAME_SECONDS = 0.05
_CURVE_STEP_HZ = 2.0
_PASSER_BY_SHARE = 0.2
_VOWEL_FORMANTS_HZ = np.array(
    [[730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410], [300, 870, 2240]],
    np.float64,
)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _resonances(peaks: Sequence[tuple[float, float, float]]) -> Curve:
    """Returns the sum of resonances (centre in Hz, bandwidth in Hz, gain) over frequency."""

    def curve(frequency_hz: Array) -> Array:
        total = np.zeros_like(frequency_hz)
        for centre, width, gain in peaks:
            total += gain / np.sqrt(1 + np.square((frequency_hz - centre) * (2 / width)))
        return total

    return curve


def _slope(knee_hz: float, db_per_octave: float) -> Curve:
    """Returns a response that is flat below `knee_hz` and falls by `db_per_octave` above."""
    power = db_per_octave / 6.02
    return lambda frequency_hz: (1 + np.square(frequency_hz / knee_hz)) ** (-power / 2)


def _fast_size(samples: int) -> int:
    """Returns a transform size of at least `samples` without large prime factors."""
    step = max(1, 2 ** (samples.bit_length() - 6))
    return -(-samples // step) * step


def _gains(curve: Curve, size: int, rate: float) -> Array:
    """Returns `curve` at the bins of a real transform of `size` samples, in fine steps."""
    bins = size // 2 + 1
    # No curve here has detail finer than some 40 Hz, and evaluating powers is slow.
    step = max(1, int(_CURVE_STEP_HZ * size / rate))
    centres = np.arange(0, bins, step, dtype=np.float64) + 0.5 * (step - 1)
    return np.repeat(curve(centres * (rate / size)), step)[:bins]


def _noise(rng: Rng, samples: int, rate: float, curve: Curve) -> Array:
    """Returns Gaussian noise of unit RMS whose amplitude spectrum follows `curve`."""
    size = _fast_size(samples)
    gains = _gains(curve, size, rate)
    spectrum = gains * rng.standard_normal(2 * len(gains), dtype=np.float32).view(np.complex64)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, size)[:samples]
    return noise / np.sqrt(np.mean(np.square(noise)))


def _wavetable(pitch_hz: float, highest_pitch_hz: float, harmonics: Curve, rate: float) -> Array:
    """Returns one period of unit RMS; `harmonics` gives amplitudes from frequencies in Hz.

    Harmonics that would pass the Nyquist frequency at the highest pitch are left out, so nothing
    aliases.
    """
    count = max(1, min(int(0.45 * rate / highest_pitch_hz), _TABLE_SIZE // 8))
    numbers = np.arange(1, count + 1)
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, np.complex128)
    # Quadratic phases keep the crest low, as a real resonator does.
    spectrum[numbers] = harmonics(numbers.astype(np.float64) * pitch_hz) * np.exp(0.7j * numbers**2)
    table = np.fft.irfft(spectrum)
    return table / np.sqrt(np.mean(np.square(table)))


def _table_places(pitch_hz: Array, rate: float) -> npt.NDArray[np.int64]:
    """Returns where in a table of one period each sample of a tone lies."""
    return np.cumsum(pitch_hz * (_TABLE_SIZE / rate)).astype(np.int64) & (_TABLE_SIZE - 1)


def _tone(pitch_hz: Array, harmonics: Curve, rate: float, last: Curve | None = None) -> Array:
    """Returns a harmonic tone of unit RMS that follows `pitch_hz` [samples].

    Its harmonics keep the amplitudes that `harmonics` gives at the mean pitch, or change evenly
    to those of `last`.
    """
    mean_hz, highest_hz = float(pitch_hz.mean()), float(pitch_hz.max())
    place = _table_places(pitch_hz, rate)
    tone = _wavetable(mean_hz, highest_hz, harmonics, rate)[place]
    if last is None:
        return tone
    change = _wavetable(mean_hz, highest_hz, last, rate)[place] - tone
    return tone + np.linspace(0, 1, len(tone)) * change


def _wander(rng: Rng, samples: int, rate: float, knots_per_second: float) -> Array:
    """Returns a smooth random curve of about unit deviation, a new value every knot."""
    knots = int(samples / rate * knots_per_second) + 3
    positions = np.arange(samples) * (knots_per_second / rate)
    return np.interp(positions, np.arange(knots), rng.standard_normal(knots))


def _pulse(samples: int, rate: float, attack_seconds: float, release_seconds: float) -> Array:
    """Returns an envelope that rises from 0 to 1, holds, and falls to 0 at the end."""
    envelope = np.ones(samples)
    attack = min(samples, int(attack_seconds * rate) + 1)
    release = min(samples, int(release_seconds * rate) + 1)
    envelope[:attack] = np.sin(np.linspace(0, 0.5 * np.pi, attack))
    envelope[-release:] *= np.sin(np.linspace(0.5 * np.pi, 0, release))
    return envelope


def _add(track: Array, event: Array, start: int) -> None:
    """Adds `event` to `track` in place from sample `start`, cut at both ends of the track."""
    skipped = max(0, -start)
    start += skipped
    length = min(len(event) - skipped, len(track) - start)
    if length > 0:
        track[start : start + length] += event[skipped : skipped + length]


def _presence(take: Rng, samples: int, rate: float) -> Array:
    """Returns the level of a lasting sound: mostly steady, sometimes begun or ended in the clip."""
    position = np.arange(samples) / samples
    level = np.ones(samples)
    kind = take.random()
    edge = take.uniform(0.15, 0.55)
    fade = samples / rate / take.uniform(0.1, 1.2)
    if kind < 0.1:
        level = np.clip((position - edge) * fade, 0, 1)
    elif kind < 0.2:
        level = np.clip((1 - edge - position) * fade, 0, 1)
    return level * np.exp(0.15 * _wander(take, samples, rate, 1))


def air_conditioner(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Steady air noise in a duct, with mains hum and the fan's blade-pass tone."""
    air = _slope(_log_uniform(source, 150, 900), source.uniform(4, 10))
    duct = [
        (_log_uniform(source, 120, 3000), _log_uniform(source, 80, 900), source.uniform(0.2, 1.5))
        for _ in range(3)
    ]
    mains_hz = float(source.choice([100, 120]))
    blade_hz = _log_uniform(source, 70, 400)
    hum_level, blade_level = source.uniform(0.05, 0.7, 2)
    whine_hz, whine_level = _log_uniform(source, 700, 3500), source.uniform(0, 0.12)
    beat_hz, beat_depth = source.uniform(0.3, 4), source.uniform(0, 0.2)

    resonances = _resonances(duct)
    sound = _noise(take, samples, rate, lambda f: air(f) * (0.6 + resonances(f)))
    steady = np.ones(samples)
    sound += hum_level * _tone(mains_hz * steady, _slope(150, 9), rate)
    sound += blade_level * _tone(blade_hz * steady, _slope(200, 12), rate)
    sound += whine_level * _tone(whine_hz * steady, _slope(1000, 24), rate)
    beat = np.cos(2 * np.pi * beat_hz * np.arange(samples) / rate + take.uniform(0, 6))
    return sound * (1 + beat_depth * beat) * _presence(take, samples, rate)


def car_horn(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Two steady, harsh tones about a third apart, held once or sounded several times."""
    low_hz = _log_uniform(source, 300, 480)
    interval = float(source.choice([1.19, 1.26, 1.26, 1.33]))
    bell = _resonances(
        [(_log_uniform(source, 900, 3200), source.uniform(600, 1800), 1.0), (500, 900, 0.5)]
    )
    fall = _slope(source.uniform(2500, 5000), 12)
    tap_seconds = _log_uniform(source, 0.12, 0.5)

    seconds = samples / rate
    track = np.zeros(samples)
    held = take.random() < 0.5
    start = take.uniform(-0.3, 0.35) * seconds if held else take.uniform(0, 0.3) * seconds
    for _ in range(1 if held else take.integers(2, 6)):
        duration = take.uniform(0.4, 1.1) * seconds if held else tap_seconds * take.uniform(0.7, 2)
        length = int(duration * rate)
        # The diaphragm takes a moment to reach its pitch.
        settle = 1 - 0.03 * np.exp(-np.arange(length) / (0.03 * rate))
        horn = _tone(low_hz * settle, lambda f: bell(f) * fall(f), rate)
        horn += _tone(low_hz * interval * settle, lambda f: bell(f) * fall(f), rate)
        _add(track, horn * _pulse(length, rate, 0.015, 0.04), int(start * rate))
        start += duration + _log_uniform(take, 0.08, 0.6)
    return track


def _vowel(rng: Rng, tract: float) -> Curve:
    """Returns a vowel's formants for a vocal tract `tract` times shorter than a man's."""
    formants = _VOWEL_FORMANTS_HZ[rng.integers(len(_VOWEL_FORMANTS_HZ))] * tract
    formants = formants * rng.uniform(0.92, 1.08, 3)
    return _resonances(list(zip(formants, (120, 160, 260), (1.0, 0.7, 0.4), strict=True)))


def children_playing(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Several children's voices at once: syllables and squeals that glide in pitch and vowel."""
    voices = int(source.integers(3, 7))
    pitches_hz = [_log_uniform(source, 240, 480) for _ in range(8)][:voices]
    distances = source.uniform(0.15, 1, 8)[:voices]
    liveliness = source.uniform(1.2, 3)

    seconds = samples / rate
    track = np.zeros(samples)
    for pitch_hz, level in zip(pitches_hz, distances, strict=True):
        start = take.uniform(-0.3, 0.3) * seconds
        while start < seconds:
            squeal = take.random() < 0.18
            duration = take.uniform(0.35, 0.9) if squeal else take.uniform(0.1, 0.4)
            length = int(duration * rate)
            height = pitch_hz * (take.uniform(1.7, 3) if squeal else take.uniform(0.85, 1.5))
            time = np.linspace(0, 1, length)
            bend = take.uniform(-0.35, 0.35) * time + take.uniform(-0.1, 0.4) * np.sin(np.pi * time)
            vibrato = 0.015 * np.sin(2 * np.pi * take.uniform(4, 8) * time * duration)
            vowels = (_vowel(take, 1.25), _vowel(take, 1.25))
            voice = _tone(height * np.exp(bend + vibrato), vowels[0], rate, last=vowels[1])
            loud = level * _log_uniform(take, 0.4, 1.2) * (1.5 if squeal else 1)
            _add(track, loud * voice * _pulse(length, rate, 0.03, 0.08), int(start * rate))
            pause = take.exponential(1 / liveliness) if take.random() < 0.4 else 0.04
            start += duration + pause
    return track


def dog_bark(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Short, rough, repeated barks: pitch jumps up and falls, through one throat's formants."""
    size = source.random()
    pitch_hz = 850 * (170 / 850) ** size * source.uniform(0.85, 1.15)
    throat = _resonances(
        [
            (1500 * 0.45**size, 350, 1.0),
            (3000 * 0.5**size, 600, 0.6),
            (source.uniform(2500, 5000), 1200, 0.15),
        ]
    )
    bark_seconds = source.uniform(0.11, 0.26)
    roughness = source.uniform(0.25, 0.8)
    gap_seconds = _log_uniform(source, 0.18, 1.1)

    seconds = samples / rate
    track = np.zeros(samples)
    start = take.uniform(0, 0.4) * seconds
    for _ in range(take.integers(2, 9)):
        duration = bark_seconds * take.uniform(0.75, 1.3)
        length = int(duration * rate)
        time = np.linspace(0, 1, length)
        arch = 0.75 + 0.45 * np.sin(np.pi * np.minimum(1, time * 1.1 + 0.15)) - 0.25 * time
        pitch = pitch_hz * take.uniform(0.9, 1.15) * arch
        bark = _tone(pitch, throat, rate) + roughness * _noise(take, length, rate, throat)
        envelope = _pulse(length, rate, 0.012, 0.6 * duration)
        _add(track, _log_uniform(take, 0.5, 1) * bark * envelope, int(start * rate))
        start += duration + gap_seconds * _log_uniform(take, 0.6, 1.6)
    return track


def drilling(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """A motor's whine that sags under load, with grinding noise; some drills also hammer."""
    whine_hz = _log_uniform(source, 200, 700)
    whine = _resonances(
        [(_log_uniform(source, 900, 4500), _log_uniform(source, 800, 2500), 1.0) for _ in range(2)]
    )
    grind = _resonances(
        [(_log_uniform(source, 1200, 6500), _log_uniform(source, 900, 4000), 1.0) for _ in range(2)]
    )
    grind_level = _log_uniform(source, 0.25, 1.6)
    sag = source.uniform(0.04, 0.3)
    hammer_hz, hammer_depth = source.uniform(25, 55), max(0.0, source.uniform(-0.6, 0.8))
    rough_hz = source.uniform(3, 12)

    load = np.clip(0.6 + 0.5 * _wander(take, samples, rate, 1.2), 0, 1)
    if take.random() < 0.5:
        still = take.uniform(0, 0.35) * samples
        spin_up = (np.arange(samples) - still) / (take.uniform(0.1, 0.4) * rate)
        running = np.clip(spin_up, 0, 1)
    else:
        running = np.ones(samples)
    pitch_hz = whine_hz * (0.4 + 0.6 * running) * (1 - sag * load)
    pitch_hz *= 1 + 0.006 * _wander(take, samples, rate, 25)
    sound = _tone(pitch_hz, whine, rate)
    bite = load * np.exp(0.3 * _wander(take, samples, rate, rough_hz))
    sound += grind_level * bite * _noise(take, samples, rate, grind)
    blows = np.sin(2 * np.pi * hammer_hz * np.arange(samples) / rate)
    return running * (1 + hammer_depth * blows) * sound * _presence(take, samples, rate)


def engine_idling(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Harmonics of a slow firing rate, uneven from cylinder to cylinder, and diesel clatter."""
    firing_hz = _log_uniform(source, 16, 40)
    exhaust = _resonances(
        [
            (_log_uniform(source, 45, 130), 60, 1.0),
            (_log_uniform(source, 130, 600), _log_uniform(source, 60, 250), source.uniform(0.2, 1)),
            (_log_uniform(source, 600, 2500), 900, source.uniform(0.02, 0.2)),
        ]
    )
    cylinders = int(source.choice([1, 2, 4]))
    unevenness = source.uniform(0.1, 0.5, 4)[:cylinders]
    clatter = _slope(_log_uniform(source, 300, 1800), source.uniform(4, 9))
    clatter_level, clatter_depth = source.uniform(0.1, 1.0), source.uniform(0.3, 0.95)
    lope_hz, lope_depth = source.uniform(0.4, 6), source.uniform(0, 0.35)

    drift = 1 + 0.015 * _wander(take, samples, rate, 3) + 0.01 * _wander(take, samples, rate, 15)
    if take.random() < 0.15:
        drift *= 1 + take.uniform(0.2, 0.9) * np.linspace(0, 1, samples) ** 2
    # What repeats with every turn of the engine, as tables over one turn of all its cylinders.
    turn = np.linspace(0, 1, _TABLE_SIZE, endpoint=False)
    order = 1 + sum(
        amount * np.cos(2 * np.pi * cylinder * turn)
        for cylinder, amount in enumerate(unevenness, start=1)
    )
    knock = clatter_level * np.exp(clatter_depth * 3 * (np.cos(2 * np.pi * cylinders * turn) - 1))
    place = _table_places(firing_hz / cylinders * drift, rate)
    sound = order[place] * _tone(firing_hz * drift, exhaust, rate)
    sound += knock[place] * _noise(take, samples, rate, clatter)
    lope = 1 + lope_depth * np.cos(2 * np.pi * lope_hz * np.arange(samples) / rate)
    return sound * lope * _presence(take, samples, rate)


def gun_shot(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """A blast with a sharp onset; high frequencies die first, the surroundings echo."""
    blast = _slope(_log_uniform(source, 500, 2500), source.uniform(5, 9))
    decay_seconds = _log_uniform(source, 0.06, 0.45)
    boom = _slope(_log_uniform(source, 120, 350), 9)
    boom_level = source.uniform(0.2, 0.8)
    echo_seconds, echo_level = _log_uniform(source, 0.06, 0.5), source.uniform(0.05, 0.4)
    volley = source.random() < 0.35
    gap_seconds = _log_uniform(source, 0.09, 0.9)

    seconds = samples / rate
    length = min(samples, int(8 * decay_seconds * rate))
    time = np.arange(length) / rate
    low = _noise(take, length, rate, boom)
    shot = _noise(take, length, rate, blast) * np.exp(-time / (0.4 * decay_seconds))
    shot += boom_level * low * np.exp(-time / decay_seconds)
    shot += 0.12 * low * np.exp(-time / (2.5 * decay_seconds)) * np.minimum(1, time / 0.05)
    shot *= _pulse(length, rate, 0, 0.2)
    crack = int(0.0015 * rate) + 1
    shot[:crack] += 3 * take.standard_normal(crack)
    track = np.zeros(samples)
    start = take.uniform(0.02, 0.5) * seconds
    for _ in range(take.integers(2, 8) if volley else take.integers(1, 3)):
        loud = take.uniform(0.6, 1)
        _add(track, loud * shot, int(start * rate))
        _add(track, loud * echo_level * shot, int((start + echo_seconds) * rate))
        start += gap_seconds * take.uniform(0.8, 1.5) if volley else take.uniform(0.6, 2)
    return track


def jackhammer(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Broadband impacts 10 to 25 times a second that ring in the chisel, over exhaust air."""
    blows_hz = _log_uniform(source, 10, 25)
    chisel = _resonances(
        [(_log_uniform(source, 900, 5500), _log_uniform(source, 40, 400), 1.0) for _ in range(3)]
    )
    ground = _slope(_log_uniform(source, 150, 900), source.uniform(5, 9))
    brightness = source.uniform(0.3, 1.2)
    decay_seconds = _log_uniform(source, 0.006, 0.03)
    air_level = source.uniform(0.03, 0.3)
    air = _resonances([(_log_uniform(source, 500, 5000), 2500, 1.0)])

    seconds = samples / rate
    length = int(min(6 * decay_seconds * rate, samples))
    decay = np.exp(-np.arange(length) / (decay_seconds * rate))
    # Five different blows are enough: the ear and the spectrum take the train for a natural one.
    blows = [
        decay
        * (
            _noise(take, length, rate, ground)
            + brightness * _noise(take, length, rate, chisel)
            + 0.4 * _noise(take, length, rate, _slope(20000, 6))
        )
        for _ in range(5)
    ]
    track = np.zeros(samples)
    start = take.uniform(0, 0.2) * seconds if take.random() < 0.4 else 0.0
    while start < seconds:
        burst_end = start + _log_uniform(take, 0.7, 6)
        while start < min(burst_end, seconds):
            _add(track, take.uniform(0.6, 1) * blows[take.integers(5)], int(start * rate))
            start += take.normal(1, 0.03) / blows_hz
        start += take.uniform(0.2, 0.8)
    track += air_level * _noise(take, samples, rate, air)
    return track * np.exp(0.2 * _wander(take, samples, rate, 2))


def siren(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """A tone that wails, yelps or alternates between two pitches while the vehicle passes."""
    kind = source.choice(["wail", "wail", "yelp", "yelp", "high-low"])
    low_hz = _log_uniform(source, 480, 750)
    high_hz = low_hz * source.uniform(1.6, 2.6)
    wail_seconds, yelp_seconds = source.uniform(1.6, 6), source.uniform(0.22, 0.45)
    change_seconds, step = source.uniform(0.35, 0.7), source.uniform(1.2, 1.45)
    rise_share = source.uniform(0.25, 0.6)
    horn = _resonances(
        [
            (_log_uniform(source, 700, 1600), source.uniform(500, 1500), 1.0),
            (_log_uniform(source, 2000, 4000), 1200, source.uniform(0.1, 0.6)),
        ]
    )
    fall = _slope(3500, source.uniform(6, 18))

    time = np.arange(samples) / rate
    if kind == "high-low":
        position = (time / (2 * change_seconds) + take.random()) % 1
        pitch_hz = low_hz * np.where(position < 0.5, 1.0, step)
    else:
        period = wail_seconds if kind == "wail" else yelp_seconds
        position = (time / period + take.random()) % 1
        sweep = np.where(
            position < rise_share, position / rise_share, (1 - position) / (1 - rise_share)
        )
        pitch_hz = low_hz * (high_hz / low_hz) ** np.sin(0.5 * np.pi * sweep)
    # Doppler shift of a vehicle that drives by.
    pitch_hz = pitch_hz * (1 + take.uniform(-0.04, 0.04) * np.tanh(time - take.uniform(0, 4)))
    sound = _tone(pitch_hz, lambda f: horn(f) * fall(f), rate)
    return sound * np.exp(0.35 * _wander(take, samples, rate, 0.7)) * _presence(take, samples, rate)


def _drums(take: Rng, rate: float) -> tuple[Array, Array]:
    """A closed hi-hat and a bass drum."""
    hat_length, kick_length = int(0.06 * rate), int(0.18 * rate)
    hat = _noise(take, hat_length, rate, lambda f: f / (f + 6000))
    hat *= np.exp(-np.arange(hat_length) / (0.015 * rate))
    kick_time = np.arange(kick_length) / rate
    kick = np.sin(2 * np.pi * (55 * kick_time + 4 * (1 - np.exp(-kick_time / 0.03))))
    kick *= 2.5 * np.exp(-kick_time / 0.06)
    return hat, kick


def street_music(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """A melody over chords on the beat, plucked or blown, with or without percussion."""
    beat_seconds = 60 / source.uniform(75, 150)
    key_hz = _log_uniform(source, 110, 220)
    third, scale = (
        (4, [0, 2, 4, 7, 9, 12, 14, 16, 19])
        if source.random() < 0.6
        else (3, [0, 3, 5, 7, 10, 12, 15, 17, 19])
    )
    plucked = source.random() < 0.5
    body = _resonances(
        [
            (_log_uniform(source, 200, 700), 500, 1.0),
            (_log_uniform(source, 700, 2500), 1200, source.uniform(0.2, 0.9)),
        ]
    )
    melody_fall = _slope(_log_uniform(source, 700, 3000), source.uniform(6, 14))
    chord_level, bass_level = source.uniform(0.15, 0.7), source.uniform(0.1, 0.8)
    drum_level = max(0.0, source.uniform(-0.8, 1))
    melody_octave = float(source.choice([2, 2, 4]))

    @functools.cache
    def note(pitch_hz: float, seconds: float) -> Array:
        length = int(seconds * rate)
        time = np.arange(length) / rate
        vibrato = 1 + (0 if plucked else 0.006) * np.sin(2 * np.pi * 5.5 * time)
        tone = _tone(pitch_hz * vibrato, lambda f: body(f) * melody_fall(f), rate)
        if plucked:
            tone *= np.exp(-time * (4 / seconds))
        return tone * _pulse(length, rate, 0.008 if plucked else 0.04, 0.05)

    seconds = samples / rate
    track = np.zeros(samples)
    hat, kick = _drums(take, rate)
    degree = int(take.integers(len(scale)))
    beat, root_hz = int(take.integers(4)), key_hz
    start = -take.uniform(0, beat_seconds)
    while start < seconds:
        first = int(start * rate)
        if beat % 4 == 0:
            root_hz = key_hz * 2 ** (take.choice([0, 5, 7]) / 12)
            _add(track, bass_level * note(root_hz / 2, 3.5 * beat_seconds), first)
        if beat % 2 == 0 or take.random() < 0.3:
            for step in (0, third, 7):
                strum = note(root_hz * 2 ** (step / 12), 1.9 * beat_seconds)
                _add(track, chord_level * strum, first)
        for half in range(int(take.choice([1, 2], p=[0.5, 0.5]))):
            degree = int(np.clip(degree + take.integers(-2, 3), 0, len(scale) - 1))
            pitch_hz = key_hz * melody_octave * 2 ** (scale[degree] / 12)
            held = beat_seconds * take.choice([0.5, 1, 1.5])
            _add(track, note(pitch_hz, held), int((start + half * beat_seconds / 2) * rate))
        for half in (0, 1):
            hit = int((start + half * beat_seconds / 2) * rate)
            _add(track, drum_level * take.uniform(0.5, 1) * hat, hit)
        if beat % 2 == 0:
            _add(track, drum_level * kick, first)
        beat += 1
        start += beat_seconds
    return track


# In the order of UrbanSound8K's classIDs, 0 to 9.
_SYNTHESISERS: dict[str, Synthesiser] = {
    synthesiser.__name__: synthesiser
    for synthesiser in (
        air_conditioner,
        car_horn,
        children_playing,
        dog_bark,
        drilling,
        engine_idling,
        gun_shot,
        jackhammer,
        siren,
        street_music,
    )
}
CLASS_NAMES: tuple[str, ...] = tuple(_SYNTHESISERS)


def child_seed(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """Returns the descendant of `seed` at `key`; unlike `spawn`, the same one at every call."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))


def _active_rms(sound: Array, rate: float) -> float:
    """Returns the RMS of the frames within 10 dB of the loudest: pauses don't make a sound weak."""
    frame = max(1, min(len(sound), int(_ACTIVE_FRAME_SECONDS * rate)))
    power = np.mean(np.square(sound[: len(sound) // frame * frame].reshape(-1, frame)), axis=1)
    return float(np.sqrt(np.mean(power[power >= 0.1 * power.max()])))


def _reverberate(sound: Array, source: Rng, rate: float) -> Array:
    """Returns `sound` as the recording's microphone hears it, with the place's reverberation."""
    decay_seconds = _log_uniform(source, 0.03, 0.4)
    wet = _log_uniform(source, 0.02, 0.6)
    tilt_db_per_octave = source.uniform(-1, 1)
    rumble_hz = _log_uniform(source, 25, 150)
    treble = _slope(_log_uniform(source, 5000, 20000), 9)
    # As many draws as the tail is long: from a generator of their own, to leave `source` in step.
    echoes = np.random.default_rng(source.integers(2**63))

    def microphone(frequency_hz: Array) -> Array:
        tilt = (np.maximum(frequency_hz, 20) / 1000) ** (tilt_db_per_octave / 6.02)
        rumble = np.square(frequency_hz) / (np.square(frequency_hz) + rumble_hz**2)
        return tilt * rumble * treble(frequency_hz)

    tail = int(min(4 * decay_seconds * rate, len(sound)))
    decay = np.exp(-np.arange(tail) / (0.5 * decay_seconds * rate))
    response = echoes.standard_normal(tail) * decay
    response *= wet / np.sqrt(np.sum(np.square(response)))
    response[0] += 1

    # Room for the tail keeps the clip's end from wrapping around to its start.
    size = _fast_size(len(sound) + tail)
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(response, size)
    spectrum *= _gains(microphone, size, rate)
    return np.fft.irfft(spectrum, size)[: len(sound)]


def _background(source: Rng, take: Rng, rate: float, samples: int) -> Array:
    """Returns the street behind the sound: swelling, coloured noise, of unit RMS at first."""
    fall = _slope(_log_uniform(source, 50, 600), source.uniform(3.5, 6.5))
    bump = _resonances([(_log_uniform(source, 100, 5000), 800, source.uniform(0, 0.8))])
    swell = source.uniform(0, 0.4)
    noise = _noise(take, samples, rate, lambda f: fall(f) * (1 + bump(f)))
    return noise * np.exp(swell * _wander(take, samples, rate, 1.5))


def synthesise(
    class_name: str,
    recording: np.random.SeedSequence,
    slice_index: int,
    sample_rate_hz: int,
    seconds: float,
    snr_db: float = 20.0,
) -> npt.NDArray[np.float32]:
    """Synthesises one slice of a recording of a city sound.

    Args:
      class_name: one of `CLASS_NAMES`.
      recording: the seed of the source recording; its slices share the sound's timbre, the
        place's reverberation, the microphone and the kind of background.
      slice_index: which slice of the recording; each has its own events and noise.
      sample_rate_hz: samples per second, 8,000 or more.
      seconds: duration, at least 0.1 s.
      snr_db: how far the sound's louder moments stand above the background noise.

    Returns:
      float32 [round(seconds * sample_rate_hz)], with a peak between 0.05 and 1. The same
      arguments give the same samples.

    Raises:
      ValueError: for an unknown class, or a rate or duration out of range.
    """
    if class_name not in _SYNTHESISERS:
        raise ValueError(f"no sound named {class_name!r}; there are {', '.join(CLASS_NAMES)}")
    if sample_rate_hz < 8000 or seconds < 0.1:
        raise ValueError(f"can't synthesise {seconds} s at {sample_rate_hz} Hz")
    samples = round(seconds * sample_rate_hz)
    rate = float(sample_rate_hz)
    timbre, place, passer_by = (
        np.random.default_rng(child_seed(recording, 0, role)) for role in range(3)
    )
    take = np.random.default_rng(child_seed(recording, 1, slice_index))

    sound = _SYNTHESISERS[class_name](timbre, take, rate, samples)
    sound = _reverberate(sound, place, rate)
    sound /= _active_rms(sound, rate) + 1e-9
    mix = sound + 10 ** (-snr_db / 20) * _background(place, take, rate, samples)
    if place.random() < _PASSER_BY_SHARE:
        other = _SYNTHESISERS[CLASS_NAMES[place.integers(len(CLASS_NAMES))]]
        distant = other(passer_by, take, rate, samples)
        distance_db = max(snr_db, 10) + place.uniform(-2, 6)
        mix += 10 ** (-distance_db / 20) * distant / (_active_rms(distant, rate) + 1e-9)
    peak = _log_uniform(take, 0.05, 1)
    return (mix * (peak / np.abs(mix).max())).astype(np.float32)
