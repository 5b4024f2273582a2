"""Random changes to recordings before they are cut into windows: pure functions of core ops.

Everything is done to the sound, at any sample rate, so that every extractor is trained on it, those
that take waveforms too. Each random number comes from a seed that the caller gives: the same seed
gives the same bits, in whatever order recordings are read.

The masks are those of SpecAugment (Park et al., Interspeech 2019), made by fading and filtering.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sound_pipeline.audio.resampling_ops import resample
from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.features.levels import usable, without_offset
from sound_pipeline.features.mel import hz_to_mel, mel_to_hz
from sound_pipeline.system.arrays import Floats

# Raised whenever the same seed and configuration give another sound.
AUGMENTATION_VERSION = 3

# Gain curves are known at so many frequencies, evenly spaced on the mel scale, and straight between
# them.
_CURVE_POINTS = 256
# The steep sides of masks, as fractions of a mask; they belong to it.
_MASK_EDGE = 0.25
# In time they take so long at the least: a shorter hole doesn't become deep, where it would click.
_LEAST_FADE_SECONDS = 0.01
# Where the power of coloured noise stops growing towards low frequencies.
_LEAST_NOISE_HZ = 20.0
# Power falls as 1 / f ** slope: from white over pink to brown noise.
_STEEPEST_NOISE = 2.0

_GENERATOR = "philox"  # the same numbers on every device


class Augmented(NamedTuple):
    """A changed recording.

    Attributes:
      sound: float32 [samples].
      heard: float32 [samples], the same before noise was mixed in: where it is silent, the noise
        must not be taught under the recording's name.
    """

    sound: tf.Tensor
    heard: tf.Tensor


# Nothing here is left to AutoGraph, which would take seconds to look for it.
@tf.autograph.experimental.do_not_convert
def augment(
    waveform: tf.Tensor,
    sample_rate_hz: tf.Tensor,
    seed: tf.Tensor,
    config: AugmentationConfig,
    background: tf.Tensor | None = None,
) -> Augmented:
    """A recording, changed at random in the ways that a configuration names.

    Args:
      waveform: float32 [samples], -1..1. Samples that are not finite count as zero; a constant
        offset is taken off.
      sample_rate_hz: int32 scalar, Hz.
      seed: int32 or int64 [2], such as the recording's number and the epoch's.
      config: the ways and their strengths.
      background: float32 [any], sound at the same rate to mix in, a random stretch of it; if there
        is none, or it is empty, coloured noise is made.

    Returns:
      It, of about as many samples: another speed changes the length, and a short recording is
      filled up before it is shifted. Loud samples may lie beyond 1.
    """
    sound = usable(waveform)
    sound = without_offset(tf.pad(sound, [[0, tf.maximum(1 - tf.size(sound), 0)]]))
    # A seed for each kind, used or not: leaving one out doesn't change what the others do.
    speed, band, hole, shift, noise, ratio = _seeds(seed, 6)
    if "speed" in config.kinds:
        highest = np.log1p(config.max_speed_change)
        sound = change_speed(sound, sample_rate_hz, tf.exp(_uniform(speed, -highest, highest)))
    if "mask" in config.kinds:
        sound = equalise(sound, sample_rate_hz, band_mask_curve_db(band, config), config)
        sound = mask_time(sound, sample_rate_hz, hole, config)
    if "shift" in config.kinds:
        seconds = _uniform(shift, 0.0, config.max_shift_share * config.stretch_seconds)
        sound = shift_time(sound, sample_rate_hz, seconds, config.stretch_seconds)
    heard = sound
    if "noise" in config.kinds:
        beside = noise_beside(tf.size(sound), sample_rate_hz, noise, background)
        sound = mix(sound, beside, _uniform(ratio, config.min_snr_db, config.max_snr_db))
    return Augmented(sound, heard)


def change_speed(waveform: tf.Tensor, sample_rate_hz: tf.Tensor, speed: tf.Tensor) -> tf.Tensor:
    """A recording played faster or slower: pitch moves with it, the sample rate stays.

    Args:
      waveform: float32 [samples].
      sample_rate_hz: int32 scalar, Hz.
      speed: float32 scalar, 2 for twice as fast; rounded to a whole sample a second.

    Returns:
      float32 [samples / speed, rounded].
    """
    new_rate = tf.cast(tf.round(tf.cast(sample_rate_hz, tf.float32) / speed), tf.int32)
    share = tf.cast(new_rate, tf.float64) / tf.cast(sample_rate_hz, tf.float64)
    samples = tf.cast(tf.round(tf.cast(tf.size(waveform), tf.float64) * share), tf.int32)
    return resample(waveform[None], sample_rate_hz, new_rate, tf.maximum(samples, 1))[0]


def curve_frequencies_hz(config: AugmentationConfig) -> Floats:
    """Frequencies of the points of gain curves: float32 [256], Hz, evenly spaced in mels."""
    mels = np.linspace(0.0, hz_to_mel(config.mask_top_hz), _CURVE_POINTS)
    return np.asarray(mel_to_hz(mels), np.float32)


def band_mask_curve_db(seed: tf.Tensor, config: AugmentationConfig) -> tf.Tensor:
    """Gains that take one random band away: float32 [256], dB, at `curve_frequencies_hz`.

    Args:
      seed: int32 or int64 [2].
      config: how wide the band may be, and how quiet it becomes.
    """
    wide, where = _seeds(seed, 2)
    width = _uniform(wide, 0.0, config.max_frequency_mask_share)
    start = _uniform(where, 0.0, 1.0) * (1.0 - width)
    places = tf.constant(np.linspace(0.0, 1.0, _CURVE_POINTS, dtype=np.float32))
    inside = tf.minimum(places - start, start + width - places)
    return config.mask_depth_db * _rise(inside, _MASK_EDGE * width)


def equalise(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, gains_db: tf.Tensor, config: AugmentationConfig
) -> tf.Tensor:
    """A recording through a filter without delay.

    Args:
      waveform: float32 [samples].
      sample_rate_hz: int32 scalar, Hz.
      gains_db: float32 [256], dB, at `curve_frequencies_hz`; straight between them, level above.
      config: gives these frequencies.
    """
    samples = tf.size(waveform)
    # Silence behind, so that what the filter smears over the end doesn't come out at the start.
    length = (samples // sample_rate_hz + 2) * sample_rate_hz
    spectrum = tf.signal.rfft(waveform, [length])
    known_hz = tf.constant(curve_frequencies_hz(config))
    hz = _bin_frequencies_hz(length, sample_rate_hz)
    above = tf.clip_by_value(tf.searchsorted(known_hz, hz), 1, _CURVE_POINTS - 1)
    low, high = tf.gather(known_hz, above - 1), tf.gather(known_hz, above)
    share = tf.clip_by_value((hz - low) / (high - low), 0.0, 1.0)
    low_db, high_db = tf.gather(gains_db, above - 1), tf.gather(gains_db, above)
    gain = _from_db(low_db + share * (high_db - low_db))
    filtered = tf.signal.irfft(spectrum * tf.complex(gain, 0.0), [length])
    return filtered[:samples]


def mask_time(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, seed: tf.Tensor, config: AugmentationConfig
) -> tf.Tensor:
    """A recording with one random hole in each stretch, faded out and in again.

    Args:
      waveform: float32 [samples].
      sample_rate_hz: int32 scalar, Hz.
      seed: int32 or int64 [2].
      config: how long a stretch is and a hole may be, and how quiet it becomes.
    """
    long, where = _seeds(seed, 2)
    rate = tf.cast(sample_rate_hz, tf.float32)
    stretch = tf.cast(tf.round(config.stretch_seconds * rate), tf.int32)
    stretches = -(-tf.size(waveform) // stretch)
    most = config.max_time_mask_share * config.stretch_seconds
    seconds = tf.random.stateless_uniform([stretches], long, 0.0, most, alg=_GENERATOR)
    place = tf.random.stateless_uniform([stretches], where, alg=_GENERATOR)
    start = place * (config.stretch_seconds - seconds)
    since = tf.cast(tf.range(stretch), tf.float32) / rate - start[:, None]
    inside = tf.minimum(since, seconds[:, None] - since)
    fade = tf.maximum(_MASK_EDGE * seconds[:, None], _LEAST_FADE_SECONDS)
    gain = tf.reshape(_from_db(config.mask_depth_db * _rise(inside, fade)), [-1])
    return waveform * gain[: tf.size(waveform)]


def shift_time(
    waveform: tf.Tensor, sample_rate_hz: tf.Tensor, seconds: tf.Tensor, least_seconds: float
) -> tf.Tensor:
    """A recording that starts later; what is pushed out at its end comes first.

    Args:
      waveform: float32 [samples].
      sample_rate_hz: int32 scalar, Hz.
      seconds: float32 scalar, how much later.
      least_seconds: a shorter recording is filled up with silence, which is then pushed out first.
    """
    rate = tf.cast(sample_rate_hz, tf.float32)
    least = tf.cast(tf.round(least_seconds * rate), tf.int32)
    filled = tf.pad(waveform, [[0, tf.maximum(least - tf.size(waveform), 0)]])
    return tf.roll(filled, tf.cast(tf.round(seconds * rate), tf.int32), axis=0)


def coloured_noise(
    samples: tf.Tensor, sample_rate_hz: tf.Tensor, seed: tf.Tensor, slope: tf.Tensor
) -> tf.Tensor:
    """Gaussian noise whose power falls as 1 / f ** slope from 20 Hz on: float32 [samples].

    Args:
      samples: int32 scalar, how many.
      sample_rate_hz: int32 scalar, Hz.
      seed: int32 or int64 [2].
      slope: float32 scalar: 0 for white noise, 1 for pink, 2 for brown.
    """
    length = (samples // sample_rate_hz + 1) * sample_rate_hz
    hz = tf.maximum(_bin_frequencies_hz(length, sample_rate_hz), _LEAST_NOISE_HZ)
    parts = tf.random.stateless_normal([2, tf.size(hz)], seed, alg=_GENERATOR)
    height = (hz / _LEAST_NOISE_HZ) ** (-0.5 * slope)
    spectrum = tf.complex(height * parts[0], height * parts[1])
    return tf.signal.irfft(spectrum, [length])[:samples]


def noise_beside(
    samples: tf.Tensor,
    sample_rate_hz: tf.Tensor,
    seed: tf.Tensor,
    background: tf.Tensor | None = None,
) -> tf.Tensor:
    """Noise to mix into a recording: float32 [samples].

    Args:
      samples: int32 scalar, how many.
      sample_rate_hz: int32 scalar, Hz.
      seed: int32 or int64 [2].
      background: float32 [any], sound at this rate; a random stretch of it is taken, repeated if
        it is short. Without it, or where it is empty, noise of a random colour is made.
    """
    colour, grains, where = _seeds(seed, 3)

    def made() -> tf.Tensor:
        slope = _uniform(colour, 0.0, _STEEPEST_NOISE)
        return coloured_noise(samples, sample_rate_hz, grains, slope)

    if background is None:
        return made()

    def taken() -> tf.Tensor:
        place = tf.random.stateless_uniform([], where, alg=_GENERATOR, dtype=tf.float64)
        start = tf.cast(place * tf.cast(tf.size(background), tf.float64), tf.int32)
        times = -(-samples // tf.size(background)) + 1
        return tf.tile(without_offset(usable(background)), [times])[start : start + samples]

    return tf.cond(tf.size(background) > 0, taken, made)


def mix(waveform: tf.Tensor, noise: tf.Tensor, snr_db: tf.Tensor) -> tf.Tensor:
    """A recording with noise under it; as it is where one of them is silent.

    Args:
      waveform: float32 [samples].
      noise: float32 [samples].
      snr_db: float32 scalar, mean power of the recording over that of the noise, dB.
    """
    power = tf.reduce_mean(tf.square(waveform))
    ratio = tf.math.divide_no_nan(power, tf.reduce_mean(tf.square(noise)))
    return waveform + noise * (tf.sqrt(ratio) * _from_db(-snr_db))


def _seeds(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    split = tf.random.split(seed, count, alg=_GENERATOR)
    return [split[number] for number in range(count)]


def _uniform(seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """A float32 scalar from low to high."""
    return low + (high - low) * tf.random.stateless_uniform([], seed, alg=_GENERATOR)


def _from_db(level: tf.Tensor) -> tf.Tensor:
    """Amplitude from dB."""
    return 10.0 ** (level / 20.0)


def _rise(inside: tf.Tensor, edge: tf.Tensor) -> tf.Tensor:
    """From 0 at the border of a mask to 1 an edge further inside, along a cosine."""
    share = tf.clip_by_value(tf.math.divide_no_nan(inside, edge), 0.0, 1.0)
    return 0.5 - 0.5 * tf.cos(np.pi * share)


def _bin_frequencies_hz(length: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Of a Fourier transform of so many samples: float32 [length // 2 + 1], Hz."""
    spacing = tf.cast(sample_rate_hz / length, tf.float32)
    return tf.range(length // 2 + 1, dtype=tf.float32) * spacing
