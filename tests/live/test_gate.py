"""The gate: its levels, its noise floor, webrtcvad at any rate, and what it takes for sound."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import soundfile
import webrtcvad
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.errors import UserError
from sound_pipeline.live.gate import GATES, FrameState, GateConfig, make_gate
from sound_pipeline.live.segments import SegmentConfig, SegmentEnd, Segmenter
from sound_pipeline.live.vad import NATIVE_RATES_HZ, interpolation

Samples = npt.NDArray[np.float32]
RATE = 16_000
FRAME = RATE // 100
STARTUP = 30  # frames


def noise(seconds: float, level_db: float, seed: int = 0, rate: int = RATE) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (samples * 10 ** (level_db / 20)).astype(np.float32)


def pink(seconds: float, level_db: float, seed: int = 0) -> Samples:
    spectrum = np.fft.rfft(noise(seconds, 0, seed))
    samples = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum))))
    return (samples / samples.std() * 10 ** (level_db / 20)).astype(np.float32)


def sine(hz: float, seconds: float, amplitude: float, rate: int = RATE) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def syllables(seconds: float, rate: int) -> Samples:
    """A buzz that comes and goes over faint noise: webrtcvad fires on parts of it."""
    times = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 150 * k * times) / k for k in range(1, 20))
    envelope = np.maximum(0, np.sin(2 * np.pi * 0.7 * times)) ** 2
    return (0.1 * buzz * envelope).astype(np.float32) + noise(seconds, -60, rate=rate)


def states_of(samples: Samples, rate: int = RATE, **config: object) -> list[FrameState]:
    return make_gate(GateConfig(**config), rate).feed(samples)  # type: ignore[arg-type]


def active(states: list[FrameState]) -> npt.NDArray[np.bool_]:
    return np.array([state.is_active for state in states])


def levels(states: list[FrameState]) -> npt.NDArray[np.float64]:
    return np.array([state.level_db for state in states])


def floors(states: list[FrameState]) -> npt.NDArray[np.float64]:
    return np.array([state.floor_db for state in states])


def segments(samples: Samples, **config: object) -> list[tuple[float, float]]:
    """Start and end in seconds of what a segmenter makes of the gate's answers."""
    gate = make_gate(GateConfig(**config), RATE)  # type: ignore[arg-type]
    segmenter = Segmenter(SegmentConfig(), gate, RATE, 4.0)
    found = []
    opened = 0.0
    was_open = False
    for start in range(0, len(samples), FRAME):
        items = segmenter.feed(samples[start : start + FRAME])
        if segmenter.is_open and not was_open:
            opened = start / RATE
        was_open = segmenter.is_open
        found += [(opened, item.end / RATE) for item in items if isinstance(item, SegmentEnd)]
    if was_open:
        found.append((opened, len(samples) / RATE))
    return found


@pytest.mark.parametrize("rate", [1000, 8000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_sine_has_its_level(rate: int) -> None:
    frame = round(rate / 100)
    hz = 20 * rate / frame / 10  # whole periods in a frame
    found = levels(states_of(sine(hz, 1, 0.1, rate), rate, kind="energy"))
    assert len(found) == rate // frame
    np.testing.assert_allclose(found[1:], -20 - 10 * np.log10(2), atol=0.02)


def test_levels_are_those_of_the_signal_less_its_running_mean() -> None:
    samples = noise(0.5, -30) + 0.1
    mean = np.convolve(samples.astype(np.float64), np.full(FRAME, 1 / FRAME))[FRAME - 1 :]
    # The mean over samples i to i + FRAME - 1 belongs to their middle.
    rest = samples[FRAME // 2 :] - mean[: len(samples) - FRAME // 2]
    rows = rest[: len(rest) // FRAME * FRAME].reshape(-1, FRAME)
    expected = 10 * np.log10(np.mean(rows**2, axis=1))
    found = levels(states_of(samples, kind="energy"))
    np.testing.assert_allclose(found[1:], expected[: len(found) - 1], atol=1e-6)
    np.testing.assert_allclose(np.median(found), -30, atol=0.3)


@pytest.mark.parametrize(("hz", "lost_db"), [(20, 24), (50, 9), (100, 0), (1000, 0)])
def test_rumble_and_offset_count_little(hz: int, lost_db: float) -> None:
    found = levels(states_of(sine(hz, 2, 0.1) + np.float32(0.3), kind="energy"))[10:]
    power = np.mean(10 ** (found / 10))
    assert 10 * np.log10(power) == pytest.approx(-23 - lost_db, abs=0.5)


def test_digital_silence_has_the_least_level() -> None:
    assert set(levels(states_of(np.zeros(RATE, np.float32)))) == {-120.0}


@pytest.mark.parametrize("rate", NATIVE_RATES_HZ)
@pytest.mark.parametrize("mode", range(4))
def test_vad_alone_is_webrtcvad(rate: int, mode: int) -> None:
    samples = syllables(5, rate)
    pcm = np.rint(samples * 32768).astype(np.int16)
    oracle = webrtcvad.Vad(mode)
    expected = [oracle.is_speech(row.tobytes(), rate) for row in pcm.reshape(-1, rate // 100)]
    assert 0.1 < np.mean(expected) < 0.9
    found = active(states_of(samples, rate, kind="vad", vad_mode=mode, startup_seconds=0))
    assert found.tolist() == expected


@pytest.mark.parametrize("rate", [11_025, 22_050, 24_000, 44_100, 96_000, 192_000])
def test_at_other_rates_webrtcvad_hears_the_same(rate: int) -> None:
    samples = syllables(10, rate)
    copy = scipy.signal.resample_poly(samples.astype(np.float64), 8000, rate)
    pcm = np.rint(copy * 32768).astype(np.int16)
    oracle = webrtcvad.Vad(2)
    expected = np.array([oracle.is_speech(row.tobytes(), 8000) for row in pcm.reshape(-1, 80)])
    found = active(states_of(samples, rate, kind="vad", startup_seconds=0))
    # At 11,025 Hz a frame is 110 samples, not 110.25.
    step = round(rate / 100) / (rate / 100)
    at = np.minimum(np.rint(np.arange(len(found)) * step).astype(int), len(expected) - 1)
    assert np.mean(found == expected[at]) > 0.97
    assert 0.1 < expected.mean() < 0.9


@pytest.mark.parametrize("rate", [4000, 22_050, 44_100, 96_000])
def test_the_copy_runs_on_from_frame_to_frame(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    class Vad:
        def __init__(self, mode: int) -> None:
            self.mode = mode

        def is_speech(self, pcm: bytes, rate_hz: int) -> bool:
            assert rate_hz == 8000
            heard.append(pcm)
            return False

    monkeypatch.setattr(webrtcvad, "Vad", Vad)
    states_of(sine(700, 1, 0.5, rate), rate)
    copy = np.frombuffer(b"".join(heard), np.int16)[160:] / 32768
    # In a sine, the sum of its neighbours is in proportion to each sample.
    pace = 2 * np.pi * 700 * round(rate / 100) / rate / 80
    residue = copy[2:] + copy[:-2] - 2 * np.cos(pace) * copy[1:-1]
    assert np.abs(copy).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(residue).max() < 0.01


def test_below_8_khz_webrtcvad_gets_the_bands_there_are() -> None:
    samples = syllables(10, 4000)
    found = active(states_of(samples, 4000, kind="vad"))
    loud = levels(states_of(samples, 4000)) > -30
    assert found[loud].mean() > 0.9
    assert found.mean() < 0.9


@pytest.mark.parametrize("frame", [10, 110, 220, 441, 960])
def test_interpolation_keeps_what_both_rates_have(frame: int) -> None:
    matrix = interpolation(frame, 80)
    past = matrix.shape[1] - frame
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    times = np.arange(-past, frame)
    wanted = (np.arange(80) + 0.5) * frame / 80 - 0.5 - past / 2
    for cycles_per_frame in (0.5, 1, 0.1 * min(frame, 80), 0.3 * min(frame, 80)):
        pace = 2 * np.pi * cycles_per_frame / frame
        np.testing.assert_allclose(matrix @ np.cos(pace * times), np.cos(pace * wanted), atol=0.01)


@pytest.mark.parametrize("frame", [220, 441, 960])
def test_interpolation_takes_off_what_would_fold_back(frame: int) -> None:
    matrix = interpolation(frame, 80)
    times = np.arange(matrix.shape[1])
    for cycles_per_frame in (50, 60, 79):  # 5, 6 and 7.9 kHz
        copy = matrix @ np.cos(2 * np.pi * cycles_per_frame / frame * times)
        assert np.abs(copy).max() < 0.01


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([1000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    kind=st.sampled_from(GATES),
    lengths=st.lists(st.integers(0, 3000), max_size=30),
)
def test_blocks_make_no_difference(rate: int, kind: str, lengths: list[int]) -> None:
    samples = syllables(2, rate)
    samples[:: rate // 3] = np.nan
    config = {"kind": kind, "startup_seconds": 0.1}
    whole = states_of(samples, rate, **config)
    gate = make_gate(GateConfig(kind=kind, startup_seconds=0.1), rate)
    found = []
    for block in np.split(samples, np.cumsum(lengths)):
        found += gate.feed(block)
    assert found == whole
    assert len(whole) == len(samples) // round(rate / 100)


def test_the_floor_starts_at_the_prior_and_becomes_the_rooms_level() -> None:
    found = floors(states_of(noise(3, -62), prior_floor_db=-50))
    assert (found[: STARTUP + 50] == -50).all()
    np.testing.assert_allclose(found[STARTUP + 50 :], -62, atol=0.5)


def test_the_floor_is_bounded_below() -> None:
    silence = np.zeros(2 * RATE, np.float32)
    assert states_of(silence)[-1].floor_db == -70
    assert states_of(silence, min_floor_db=-90.0)[-1].floor_db == -90


def test_a_quieter_room_lowers_the_floor_at_once_and_a_louder_one_later() -> None:
    samples = np.concatenate((noise(6, -50), noise(2, -60), noise(8, -50)))
    found = floors(states_of(samples, memory_seconds=5.0))
    np.testing.assert_allclose(found[600 + 100 : 800 + 400], -60, atol=0.6)
    np.testing.assert_allclose(found[800 + 600 :], -50, atol=0.6)


def test_loud_moments_and_dropouts_leave_the_floor_alone() -> None:
    samples = noise(10, -55)
    for second in range(1, 10):
        start = second * RATE
        samples[start : start + RATE // 5] = 0.5 if second % 2 else 0
    np.testing.assert_allclose(floors(states_of(samples))[100:], -55, atol=0.7)


def test_an_open_segment_keeps_the_floor_for_a_while() -> None:
    gate = make_gate(GateConfig(hold_seconds=8.0), RATE)
    gate.feed(noise(2, -60))
    gate.hold(True)
    held = floors(gate.feed(noise(12, -30)))
    np.testing.assert_allclose(held[:850], -60, atol=0.6)
    np.testing.assert_allclose(held[852:], -30, atol=0.6)


def test_saying_twice_that_a_segment_is_open_gives_it_no_more_time() -> None:
    gate = make_gate(GateConfig(hold_seconds=4.0), RATE)
    gate.feed(noise(2, -60))
    for _ in range(10):
        gate.hold(True)
        state = gate.feed(noise(0.5, -30))[-1]
    assert state.floor_db == pytest.approx(-30, abs=0.6)
    assert not state.is_active


def test_learning_goes_on_when_the_segment_is_closed() -> None:
    gate = make_gate(GateConfig(), RATE)
    gate.feed(noise(2, -60))
    gate.hold(True)
    gate.feed(noise(5, -30))
    gate.hold(False)
    assert gate.feed(noise(1, -66))[-1].floor_db == pytest.approx(-66, abs=0.6)


def test_a_fan_that_is_switched_on_is_one_event_with_an_end() -> None:
    room, fan = pink(5, -65), pink(60, -35, seed=1)
    ((start, end),) = segments(np.concatenate((room, fan)))
    assert start == pytest.approx(5.05, abs=0.06)
    assert end == pytest.approx(5 + 20 + 1, abs=0.5)


def test_a_sound_in_a_room_with_a_fan_is_noticed() -> None:
    samples = np.concatenate((pink(5, -65), pink(40, -40, seed=1)))
    samples[40 * RATE : 41 * RATE] += sine(440, 1, 0.1)
    assert segments(samples)[1][0] == pytest.approx(40.05, abs=0.06)


def test_a_stream_may_start_in_the_middle_of_a_sound() -> None:
    assert segments(noise(10, -35)) == [(pytest.approx(0.34), 10.0)]
    # And in a room that is not quiet.
    assert segments(noise(10, -50)) == []


@pytest.mark.parametrize("kind", ["auto", "energy", "vad"])
def test_startup_is_neither_active_nor_learned_from(kind: str) -> None:
    samples = noise(1, -60)
    samples[: STARTUP * FRAME] = syllables(1, RATE)[RATE // 5 : RATE // 5 + STARTUP * FRAME]
    found = states_of(samples, kind=kind)
    assert not active(found)[:STARTUP].any()
    assert active(states_of(samples, kind=kind, startup_seconds=0))[:STARTUP].any()
    silent = np.concatenate((np.zeros(STARTUP * FRAME, np.float32), noise(2, -50)))
    assert states_of(silent, kind=kind)[-1].floor_db == pytest.approx(-50, abs=0.6)


@pytest.mark.parametrize(("margin_db", "is_noticed"), [(6, True), (9, True), (12, False)])
def test_the_margin_is_what_a_sound_must_rise(margin_db: float, is_noticed: bool) -> None:
    samples = noise(4, -50)
    samples[3 * RATE :] += sine(1000, 1, 0.01 * 2**0.5)
    found = active(states_of(samples, kind="energy", energy_margin_db=margin_db))
    assert not found[:300].any()
    assert found[302:].all() if is_noticed else not found[302:].any()


def test_a_click_of_one_frame_is_enough() -> None:
    samples = noise(3, -60)
    samples[2 * RATE + FRAME : 2 * RATE + FRAME + 8] += 0.05
    for kind in ("auto", "energy"):
        found = active(states_of(samples, kind=kind))
        assert 5 <= found.sum() <= 7
        assert found[202:206].all()
    assert not active(states_of(samples, kind="energy", linger_seconds=0))[203:].any()


@pytest.mark.parametrize("linger_seconds", [0.0, 0.02, 0.04, 0.1])
def test_frames_stay_active_for_just_the_linger(linger_seconds: float) -> None:
    samples = np.concatenate((noise(2, -60), sine(1000, 0.2, 0.1), noise(1, -60)))
    found = np.flatnonzero(active(states_of(samples, kind="energy", linger_seconds=linger_seconds)))
    # The last loud frame is that after the sound: it is measured beside it.
    assert found[0] == 200
    plain = np.flatnonzero(active(states_of(samples, kind="energy", linger_seconds=0)))
    assert found[-1] - plain[-1] == round(linger_seconds * 100)


def test_infinite_samples_are_of_full_scale() -> None:
    samples = noise(1, -40)
    for bad, limit in ((np.inf, 1.0), (-np.inf, -1.0)):
        broken, loud = samples.copy(), samples.copy()
        broken[5000:5300], loud[5000:5300] = bad, limit
        assert states_of(broken) == states_of(loud)


def test_quiet_rain_is_noticed_from_its_start() -> None:
    samples = np.concatenate((pink(3, -65), noise(4, -48)))
    rain = active(states_of(samples))[300:]
    assert rain[1:].all()
    # What the energy is there for.
    assert not active(states_of(samples, kind="vad"))[-200:].all()


def test_speech_just_above_the_room_is_noticed() -> None:
    """What webrtcvad is there for: it rises less than the energy's margin."""
    voice = syllables(6, RATE)
    samples = pink(8, -45)
    samples[2 * RATE :] += voice * 10 ** (-22 / 20)
    assert active(states_of(samples)).sum() > 20
    assert active(states_of(samples, kind="energy")).sum() < 10


@pytest.mark.slow
@pytest.mark.parametrize("level_db", [-70, -60, -48])
def test_a_steady_room_is_no_sound(level_db: float) -> None:
    for room in (noise(20, level_db), pink(20, level_db)):
        for mode in (0, 2):
            assert segments(room, vad_mode=mode) == []
        assert segments(room, kind="energy") == []


def test_where_the_gate_differs_from_webrtcvad_alone() -> None:
    assert len(segments(pink(60, -48), kind="vad", vad_mode=0)) > 2


@pytest.mark.parametrize("kind", ["auto", "energy"])
def test_dither_after_silence_is_no_sound(kind: str) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 5 * RATE) / np.float32(32768)
    silence = np.zeros(5 * RATE, np.float32)
    samples = np.concatenate((silence, dither, silence)).astype(np.float32)
    assert not active(states_of(samples, kind=kind)).any()


def test_always_is_all_that_is_not_silent() -> None:
    faint = (1e-5 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    for samples, expected in ((faint, True), (np.zeros(RATE, np.float32), False)):
        found = states_of(samples, kind="always")
        assert len(found) == 100
        assert (active(found) == expected).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_broken_samples_break_their_frame_at_most(bad: float) -> None:
    clean = noise(4, -60)
    broken = clean.copy()
    broken[2 * RATE + 20] = bad
    found, expected = states_of(broken), states_of(clean)
    assert np.isfinite(levels(found)).all()
    assert (levels(found) <= 0).all()
    assert found[:200] == expected[:200]
    assert levels(found)[202:].tolist() == levels(expected)[202:].tolist()
    assert not active(found)[215:].any()


def test_a_stream_of_nan_is_silence() -> None:
    assert states_of(np.full(RATE, np.nan, np.float32)) == states_of(np.zeros(RATE, np.float32))


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("kind", "loud", "--gate=loud"),
        ("vad_mode", 4, "--vad_mode=4"),
        ("vad_mode", -1, "--vad_mode=-1"),
        ("energy_margin_db", -1, "energy_margin_db=-1"),
        ("vad_margin_db", float("nan"), "vad_margin_db=nan"),
        ("linger_seconds", -0.1, "linger_seconds=-0.1"),
        ("memory_seconds", 0.1, "memory_seconds=0.1"),
        ("hold_seconds", float("inf"), "hold_seconds=inf"),
        ("min_floor_db", 1, "min_floor_db=1"),
        ("prior_floor_db", -80, "prior_floor_db=-80"),
        ("startup_seconds", -1, "startup_seconds=-1"),
    ],
)
def test_values_out_of_range_are_named(field: str, value: object, flag: str) -> None:
    with pytest.raises(UserError) as error:
        GateConfig(**{field: value})  # type: ignore[arg-type]
    assert flag in str(error.value)
    assert "\n" not in str(error.value)


def test_webrtcvad_is_imported_only_where_it_is_needed() -> None:
    script = (
        "import sys\n"
        "from sound_pipeline.live.gate import GateConfig, make_gate\n"
        "for kind in ('energy', 'always'): make_gate(GateConfig(kind), 16000)\n"
        "print({'webrtcvad', 'tensorflow', 'sounddevice'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.parametrize(("gain_db", "least"), [(0, 0.99), (-20, 0.95)])
def test_real_recordings_are_noticed(esc10: Path, gain_db: float, least: float) -> None:
    """Fold 5, 80 clips, in a room of -55 dBFS; benchmarks/live/gate.py has all of them."""
    with (esc10 / "meta" / "esc50.csv").open(newline="") as table:
        files = [row["filename"] for row in csv.DictReader(table) if row["fold"] == "5"]
    assert len(files) == 80
    noticed = 0
    for seed, name in enumerate(files):
        clip, rate = soundfile.read(esc10 / "audio" / name, dtype="float32")
        samples = noise(7, -55, seed, rate)[: 2 * rate + len(clip)]
        samples[2 * rate :] += clip * np.float32(10 ** (gain_db / 20))
        found = active(states_of(samples, rate))
        assert not found[:199].any()
        runs = np.convolve(found[199:].astype(int), np.ones(5, int), "valid")
        noticed += int(runs.max() == 5)
    assert noticed / len(files) >= least
