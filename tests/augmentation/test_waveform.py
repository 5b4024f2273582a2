"""Augmentation: each change measured against what it says, the same bits for the same seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import numpy.testing as npt
import pytest
import scipy.interpolate
import scipy.signal
import tensorflow as tf

from sound_pipeline.augmentation import waveform as waveform_module
from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.errors import UserError
from tests.helpers import sounds
from tests.helpers.sounds import Floats

CONFIG = AugmentationConfig()
RATES_HZ = (8000, 22050, 44101)
SEED = np.array([3, 5], np.int32)


def run(function: Callable[..., Any], *arguments: Any, tolerance: float = 1e-5) -> Floats:
    """Eagerly and inside `Dataset.map`, which must agree."""
    result = sounds.eager_and_mapped(function, *arguments, tolerance=tolerance)
    assert isinstance(result, np.ndarray) and result.dtype == np.float32
    return result


def power_db(waveform: Floats) -> float:
    return 10 * float(np.log10(np.mean(np.square(waveform, dtype=np.float64))))


def seeds(count: int) -> Floats:
    return np.stack([np.arange(count), np.full(count, 7)], axis=1).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("speed", [0.9, 1.0, 1.07])
def test_speed_moves_pitch_and_length_by_the_ratio(rate_hz: int, speed: float) -> None:
    tone = sounds.tone(1000, 2 * rate_hz, rate_hz)
    found = run(waveform_module.change_speed, tone, rate_hz, np.float32(speed))
    assert len(found) == pytest.approx(len(tone) / speed, abs=3)
    power = np.abs(np.fft.rfft(found * np.hanning(len(found)), 16 * rate_hz))
    assert np.argmax(power) / 16 == pytest.approx(1000 * speed, rel=2e-4)
    assert power_db(found) == pytest.approx(power_db(tone), abs=0.05)


def test_speed_is_scipys_resampling() -> None:
    sweep = sounds.chirp(16000, 16000, 5000)
    found = run(waveform_module.change_speed, sweep, 16000, np.float32(16000 / 15000))
    expected = scipy.signal.resample_poly(sweep, 15, 16)
    inner = slice(1000, -1000)
    npt.assert_allclose(found[inner], expected[: len(found)][inner], atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_equalised_noise_has_the_curves_gain_at_every_frequency(rate_hz: int) -> None:
    gains = np.linspace(-12, 12, 256).astype(np.float32)
    noise = sounds.noise(40 * rate_hz)
    found = run(
        lambda waveform, rate, curve: waveform_module.equalise(waveform, rate, curve, CONFIG),
        noise,
        rate_hz,
        gains,
        tolerance=1e-4,
    )
    assert found.shape == noise.shape
    hz, before = scipy.signal.welch(noise, rate_hz, nperseg=2048)
    _, after = scipy.signal.welch(found, rate_hz, nperseg=2048)
    known_hz = waveform_module.curve_frequencies_hz(CONFIG)
    expected = scipy.interpolate.interp1d(
        known_hz, gains, bounds_error=False, fill_value=(gains[0], gains[-1])
    )(hz)
    measured = 10 * np.log10(after / before)
    # Up to 12 bins the curve is steep beside the resolution of the measurement.
    assert np.abs(measured - expected)[12:-1].max() < 0.5


def test_curves_are_known_at_mel_spaced_frequencies() -> None:
    hz = waveform_module.curve_frequencies_hz(CONFIG)
    expected = librosa.mel_frequencies(256, fmin=0.0, fmax=CONFIG.mask_top_hz)
    npt.assert_allclose(hz, expected, rtol=1e-5)


def test_equaliser_does_not_delay_and_nothing_comes_round_the_end() -> None:
    click = np.zeros(8000, np.float32)
    click[7990] = 1.0
    curve = run(lambda seed: waveform_module.band_mask_curve_db(seed, CONFIG), SEED)
    found = waveform_module.equalise(click, tf.constant(8000), curve, CONFIG).numpy()
    assert np.argmax(np.abs(found)) == 7990
    assert np.abs(found[:4000]).max() < 1e-4


def test_band_masks_take_one_band_of_bounded_width() -> None:
    curves = np.stack([waveform_module.band_mask_curve_db(seed, CONFIG) for seed in seeds(80)])
    assert curves.max() == 0.0
    assert curves.min() == pytest.approx(CONFIG.mask_depth_db)
    widths = (curves < 0).sum(axis=1)
    assert widths.max() <= CONFIG.max_frequency_mask_share * 256 + 1
    assert widths.max() > 0.75 * CONFIG.max_frequency_mask_share * 256
    for curve in curves:
        masked = np.flatnonzero(curve < 0)
        assert len(masked) == 0 or len(masked) == np.ptp(masked) + 1
    assert (curves[:, :64] < 0).any() and (curves[:, -64:] < 0).any()


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_time_masks_are_one_hole_in_each_stretch(rate_hz: int) -> None:
    config = dataclasses.replace(CONFIG, stretch_seconds=0.5, max_time_mask_share=0.4)
    level = np.ones(round(20.2 * rate_hz), np.float32)
    found = run(
        lambda waveform, rate, seed: waveform_module.mask_time(waveform, rate, seed, config),
        level,
        rate_hz,
        SEED,
    )
    assert found.shape == level.shape
    stretch = round(0.5 * rate_hz)
    holes = found[: 40 * stretch].reshape(40, stretch) < 1
    lengths = holes.sum(axis=1) / stretch
    assert lengths.max() <= 0.4 + 1e-3
    assert lengths.max() > 0.3 and lengths.min() < 0.1
    for hole in holes:
        assert np.count_nonzero(np.diff(hole.astype(int))) <= 2
    assert len(np.unique(holes.argmax(axis=1))) > 30, "always the same place"
    assert 20 * np.log10(found.min()) == pytest.approx(config.mask_depth_db, abs=0.1)
    # No clicks: fading takes 10 ms at the least, and most of a cosine in dB within 2 of them.
    assert np.abs(np.diff(found)).max() < 1 / (0.002 * rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_shift_is_numpys_roll_after_silence(rate_hz: int) -> None:
    noise = sounds.noise(rate_hz)
    short = run(
        lambda w, rate, s: waveform_module.shift_time(w, rate, s, 1.5),
        noise,
        rate_hz,
        np.float32(0.7),
    )
    filled = np.pad(noise, (0, round(1.5 * rate_hz) - rate_hz))
    npt.assert_array_equal(short, np.roll(filled, round(np.float32(0.7) * rate_hz)))
    long = waveform_module.shift_time(noise, tf.constant(rate_hz), tf.constant(0.25), 0.5).numpy()
    npt.assert_array_equal(long, np.roll(noise, round(0.25 * rate_hz)))


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [8000, 44101])
@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_coloured_noise_falls_as_it_says(rate_hz: int, slope: float) -> None:
    found = run(
        waveform_module.coloured_noise,
        np.int32(30 * rate_hz + 17),
        rate_hz,
        SEED,
        np.float32(slope),
        tolerance=1e-3,
    )
    assert found.shape == (30 * rate_hz + 17,)
    hz, power = scipy.signal.welch(found, rate_hz, nperseg=8192)
    some = (hz > 100) & (hz < 3500)
    fitted = np.polyfit(np.log(hz[some]), np.log(power[some]), 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.06)
    below = power[(hz > 2) & (hz < 20)]
    assert below.mean() < 4 * power[(hz > 20) & (hz < 30)].mean()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_mixing_at_a_signal_to_noise_ratio(snr_db: float) -> None:
    tone = sounds.tone(440, 16000, 16000, 0.3)
    noise = sounds.noise(16000, 2.0)
    found = run(waveform_module.mix, tone, noise, np.float32(snr_db))
    added = found - tone
    assert power_db(tone) - power_db(added) == pytest.approx(snr_db, abs=0.01)
    assert np.corrcoef(added, noise)[0, 1] > 0.999


def test_mixing_with_silence_changes_nothing() -> None:
    silence, noise = np.zeros(100, np.float32), sounds.noise(100)
    npt.assert_array_equal(run(waveform_module.mix, silence, noise, np.float32(3)), silence)
    npt.assert_array_equal(run(waveform_module.mix, noise, silence, np.float32(3)), noise)


def test_background_is_a_stretch_of_it_repeated_where_it_is_short() -> None:
    background = np.arange(1, 101, dtype=np.float32)
    starts = set()

    def taken(samples: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        rate = tf.constant(8000)
        return waveform_module.noise_beside(samples, rate, seed, tf.constant(background))

    by_graph = tf.function(taken)
    npt.assert_array_equal(run(taken, np.int32(330), SEED), by_graph(np.int32(330), SEED))
    for seed in seeds(20):
        for samples in (40, 330):
            found = by_graph(tf.constant(samples), tf.constant(seed)).numpy()
            # Without the offset of the whole.
            expected = (found[0] + 49.5 + np.arange(samples)) % 100 - 49.5
            npt.assert_array_equal(found, expected)
        starts.add(found[0])
    assert len(starts) > 15


def test_no_background_is_noise_of_many_colours() -> None:
    empty = np.zeros(0, np.float32)
    slopes = []
    for seed in seeds(12):
        count, rate = tf.constant(64000), tf.constant(16000)
        made = waveform_module.noise_beside(count, rate, seed, tf.constant(empty)).numpy()
        npt.assert_array_equal(made, waveform_module.noise_beside(count, rate, seed).numpy())
        hz, power = scipy.signal.welch(made, 16000, nperseg=2048)
        slopes.append(-np.polyfit(np.log(hz[20:900]), np.log(power[20:900]), 1)[0])
    assert min(slopes) < 0.6 and max(slopes) > 1.4
    assert min(slopes) > -0.1 and max(slopes) < 2.1


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [1000, *RATES_HZ])
@pytest.mark.parametrize("kinds", [AUGMENTATIONS, *[(kind,) for kind in AUGMENTATIONS]])
def test_the_same_seed_gives_the_same_bits_and_others_others(
    rate_hz: int, kinds: tuple[str, ...]
) -> None:
    config = AugmentationConfig(kinds=kinds, stretch_seconds=0.5)
    noise = sounds.noise(round(0.7 * rate_hz))

    def changed(waveform: tf.Tensor, rate: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return waveform_module.augment(waveform, rate, seed, config).sound

    by_graph = tf.function(changed)
    first = run(changed, noise, rate_hz, SEED, tolerance=1e-5)
    again = by_graph(noise, rate_hz, SEED).numpy()
    npt.assert_array_equal(again, by_graph(noise, rate_hz, SEED).numpy())
    npt.assert_allclose(again, first, atol=1e-5)
    assert np.isfinite(first).all()
    assert len(first) == len(noise) or kinds in (AUGMENTATIONS, ("speed",))
    assert first.shape != noise.shape or not np.array_equal(first, noise)
    for other in ([3, 6], [4, 5]):
        different = by_graph(noise, rate_hz, np.array(other, np.int32)).numpy()
        assert different.shape != again.shape or not np.allclose(different, again, atol=1e-4)


def test_leaving_a_kind_out_does_not_change_the_others() -> None:
    noise, rate = sounds.noise(8000), tf.constant(8000)
    everything = dataclasses.replace(CONFIG, stretch_seconds=0.5)
    without = dataclasses.replace(everything, kinds=("mask", "shift"))
    silent = dataclasses.replace(everything, max_speed_change=0.0, max_snr_db=100, min_snr_db=100)
    found = [
        waveform_module.augment(noise, rate, SEED, each).sound.numpy() for each in (without, silent)
    ]
    npt.assert_allclose(found[0], found[1], atol=1e-4)


def test_what_is_heard_is_the_sound_without_its_noise() -> None:
    sound, rate = sounds.noise(8000), tf.constant(8000)
    sound[4000:] = 0
    config = dataclasses.replace(CONFIG, stretch_seconds=0.5)
    changed = waveform_module.augment(sound, rate, SEED, config)
    kinds = tuple(kind for kind in config.kinds if kind != "noise")
    without = dataclasses.replace(config, kinds=kinds)
    quiet = waveform_module.augment(sound, rate, SEED, without)
    npt.assert_array_equal(changed.heard, quiet.sound)
    npt.assert_array_equal(quiet.heard, quiet.sound)
    # What is silent before, but for the ringing of the mask's filter, is not with noise.
    loud = np.abs(changed.sound.numpy()) > 1e-3
    assert (np.abs(changed.heard.numpy()) < 1e-4)[loud].sum() > 1000


def test_samples_that_are_not_finite_count_as_zero_and_none_are_one_of_silence() -> None:
    waveform = sounds.noise(4000)
    bad = waveform.copy()
    waveform[[5, 700]], bad[[5, 700]] = 0, (np.nan, np.inf)
    rate = tf.constant(8000)
    found = waveform_module.augment(bad, rate, SEED, CONFIG).sound.numpy()
    expected = waveform_module.augment(waveform, rate, SEED, CONFIG).sound.numpy()
    npt.assert_array_equal(found, expected)
    nothing = waveform_module.augment(tf.zeros([0]), rate, SEED, CONFIG).sound.numpy()
    assert len(nothing) == 4 * 8000 and (nothing == 0).all()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"kinds": ("speed", "reverb")}, "'reverb'"),
        ({"kinds": ()}, "--augment="),
        ({"kinds": ("mask", "mask")}, "--augment=mask,mask"),
        ({"max_speed_change": 0.6}, "max_speed_change=0.6"),
        ({"min_snr_db": 50.0}, "min_snr_db=50"),
        ({"mask_depth_db": 3.0}, "mask_depth_db=3"),
        ({"min_snr_db": float("nan")}, "min_snr_db=nan"),
        ({"max_time_mask_share": 0.7}, "max_time_mask_share=0.7"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as caught:
        AugmentationConfig(**values)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
