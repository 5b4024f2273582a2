"""The microphone on a real sound system: a private PulseAudio daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import soundfile

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone.capture import (
    Block,
    CaptureConfig,
    Microphone,
    Notice,
    NoticeKind,
    list_devices,
    open_microphone,
)
from tests.live.pulse import SINK_RATE_HZ, PulseAudio

_ROOT = Path(__file__).parents[3]
# Far more than is needed, for a busy machine.
_PATIENCE_SECONDS = 30.0
_COMPARED_RATE_HZ = 192000


def _read_until(microphone: Microphone, done: Callable[[list[Block]], bool]) -> list[Block]:
    """The blocks up to when `done` says so."""
    blocks: list[Block] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done(blocks):
        assert time.monotonic() < deadline
        block = microphone.read(0.05)
        if block is not None:
            blocks.append(block)
    return blocks


def _read_for(microphone: Microphone, seconds: float) -> list[Block]:
    until = time.monotonic() + seconds
    return _read_until(microphone, lambda _: time.monotonic() >= until)


def _sound(seconds: float) -> npt.NDArray[np.float32]:
    """Noise from 200 to 6000 Hz at the sink's rate: all rates under test can hold it."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * SINK_RATE_HZ))
    band = scipy.signal.butter(6, (200, 6000), "bandpass", fs=SINK_RATE_HZ, output="sos")
    heard = scipy.signal.sosfilt(band, noise)
    return (0.3 * heard / np.abs(heard).max()).astype(np.float32)


def _best_correlation(
    heard: npt.NDArray[np.float32], rate_hz: int, played: npt.NDArray[np.float32]
) -> float:
    """The correlation of the whole of `played` with the stretch of `heard` that fits it best."""
    fine_heard, fine_played = (
        scipy.signal.resample(samples, round(len(samples) * _COMPARED_RATE_HZ / rate))
        for samples, rate in ((heard, rate_hz), (played, SINK_RATE_HZ))
    )
    products = scipy.signal.correlate(fine_heard, fine_played, "valid", "fft")
    offset = int(np.argmax(products))
    stretch = fine_heard[offset : offset + len(fine_played)]
    return float(np.corrcoef(stretch, fine_played)[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_what_is_played_is_captured(pulseaudio: PulseAudio, tmp_path: Path, rate_hz: int) -> None:
    played = _sound(1.0)
    recording = tmp_path / "sound.wav"
    soundfile.write(recording, played, SINK_RATE_HZ, subtype="PCM_16")
    with open_microphone(CaptureConfig(sample_rate_hz=rate_hz)) as microphone:
        assert microphone.sample_rate_hz == rate_hz
        before = _read_until(microphone, bool)
        player = pulseaudio.start_playing(recording)
        during = _read_until(microphone, lambda _: player.poll() is not None)
        after = _read_for(microphone, 0.3)
        statistics = microphone.statistics
        assert microphone.take_notices() == []
    blocks = before + during + after
    ends = [block.start + len(block.samples) for block in blocks]
    assert [block.start for block in blocks] == [0, *ends[:-1]]
    assert statistics.lost_seconds == 0
    assert statistics.captured_seconds == ends[-1] / rate_hz
    heard = np.concatenate([block.samples for block in blocks])
    assert heard.dtype == np.float32
    # Played at full volume, whatever the channels.
    assert np.abs(heard).max() == pytest.approx(np.abs(played).max(), rel=0.05)
    assert _best_correlation(heard, rate_hz, played) > 0.99


def _assert_survived(
    microphone: Microphone, fail: Callable[[], None], recover: Callable[[], None], away: float
) -> None:
    """It says so in time when the device fails, and gives sound soon after it is back."""
    _read_for(microphone, 0.5)
    assert microphone.take_notices() == []
    fail()
    failed_at = time.monotonic()
    notices: list[Notice] = []
    while not notices:
        assert time.monotonic() - failed_at < 2.0
        microphone.read(0.05)
        notices = microphone.take_notices()
    assert notices[0].kind is NoticeKind.FAILED
    blocks = _read_for(microphone, away - (time.monotonic() - failed_at))
    assert not blocks
    # Why it can't be reopened yet, the user hears once.
    assert len(microphone.take_notices()) <= 1
    recover()
    back_at = time.monotonic()
    [first] = _read_until(microphone, bool)
    assert time.monotonic() - back_at < 4.0
    assert microphone.take_notices()[-1].kind is NoticeKind.REOPENED
    assert first.captured_at > back_at - 0.1
    away_seconds = time.monotonic() - failed_at
    assert microphone.statistics.lost_seconds == pytest.approx(away_seconds, abs=0.5)
    assert microphone.statistics.reopened == 1
    _read_for(microphone, 1.2)
    assert microphone.take_notices() == []


@pytest.mark.slow
def test_a_daemon_that_is_killed_and_started_again(pulseaudio: PulseAudio) -> None:
    with open_microphone(CaptureConfig()) as microphone:
        _assert_survived(microphone, pulseaudio.kill, pulseaudio.start, away=2.0)


@pytest.mark.slow
def test_a_microphone_that_is_unplugged_and_plugged_in_again(pulseaudio: PulseAudio) -> None:
    with open_microphone(CaptureConfig(device="pulse")) as microphone:
        _assert_survived(microphone, pulseaudio.unload_sink, pulseaudio.load_sink, away=2.0)


@pytest.mark.slow
def test_a_daemon_that_is_frozen_and_goes_on(pulseaudio: PulseAudio) -> None:
    with open_microphone(CaptureConfig()) as microphone:
        _assert_survived(microphone, pulseaudio.freeze, pulseaudio.thaw, away=5.0)


@pytest.mark.slow
def test_closing_a_frozen_microphone_is_quick(pulseaudio: PulseAudio) -> None:
    microphone = open_microphone(CaptureConfig())
    _read_for(microphone, 0.5)
    pulseaudio.freeze()
    time.sleep(0.5)
    before = time.monotonic()
    microphone.close()
    assert time.monotonic() - before < 2.0
    assert not _capture_processes(pulseaudio)


@pytest.mark.slow
def test_what_a_busy_program_does_not_take_is_dropped_and_counted(pulseaudio: PulseAudio) -> None:
    with open_microphone(CaptureConfig(queue_seconds=1.0)) as microphone:
        started_at = time.monotonic()
        _read_for(microphone, 0.2)
        time.sleep(4.5)
        _read_for(microphone, 1.5)
        statistics = microphone.statistics
        passed_seconds = time.monotonic() - started_at
        notices = microphone.take_notices()
    assert 0.5 < statistics.lost_seconds < 4.0
    total_seconds = statistics.captured_seconds + statistics.lost_seconds
    assert total_seconds == pytest.approx(passed_seconds, abs=0.3)
    assert {notice.kind for notice in notices} == {NoticeKind.LOST}
    assert "the program didn't take it in time" in notices[0].text
    assert statistics.reopened == 0


def test_the_devices_are_listed(pulseaudio: PulseAudio, capfd: pytest.CaptureFixture[str]) -> None:
    lines = list_devices().splitlines()
    assert any("pulse, ALSA" in line and not line.startswith("*") for line in lines)
    assert any("default, ALSA" in line and line.startswith("*") for line in lines)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (CaptureConfig(device="webcam"), ["--device=webcam", "pulse, ALSA", "default, ALSA"]),
        (CaptureConfig(device="ALSA"), ["--device=ALSA", "matches 2"]),
        (CaptureConfig(device="99"), ["--device=99", "pulse, ALSA"]),
        (CaptureConfig(sample_rate_hz=1_000_000), ["--sample_rate=1000000", "16000", "48000"]),
    ],
)
def test_a_wrong_choice_is_answered_with_the_right_ones(
    pulseaudio: PulseAudio,
    capfd: pytest.CaptureFixture[str],
    config: CaptureConfig,
    words: list[str],
) -> None:
    with pytest.raises(UserError) as refused:
        open_microphone(config)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)
    # PortAudio and ALSA print their own remarks on each of these.
    assert capfd.readouterr() == ("", "")


def test_no_microphone(pulseaudio: PulseAudio, capfd: pytest.CaptureFixture[str]) -> None:
    pulseaudio.kill()
    for use in (list_devices, lambda: open_microphone(CaptureConfig())):
        with pytest.raises(UserError):
            use()
    assert capfd.readouterr() == ("", "")


_PROGRAM = """
from sound_pipeline.live.microphone.capture import CaptureConfig, open_microphone
with open_microphone(CaptureConfig()) as microphone:
    try:
        while True:
            if microphone.read(0.1) is not None:
                print("sound", flush=True)
    except KeyboardInterrupt:
        # Up to the end the program takes sound as long as it likes.
        blocks = [microphone.read(0.5) for _ in range(10)]
        print("interrupted", None not in blocks, microphone.take_notices(), flush=True)
"""


def _start_program() -> subprocess.Popen[str]:
    """A program that has a microphone open, in a process group as a terminal gives it one."""
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "sound\n"
    return program


def _capture_processes(daemon: PulseAudio) -> list[int]:
    """The capture processes that are clients of this daemon."""
    server = f"PULSE_SERVER={daemon.variables['PULSE_SERVER']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"sound_pipeline.live.microphone.process" in command and server in environment:
            found.append(int(folder.name))
    return found


def _assert_none_left(daemon: PulseAudio) -> None:
    deadline = time.monotonic() + 5.0
    while _capture_processes(daemon):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interrupted_program_goes_on_capturing_until_it_ends(pulseaudio: PulseAudio) -> None:
    program = _start_program()
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=_PATIENCE_SECONDS)
    assert out.splitlines()[-1] == "interrupted True []"
    assert err == ""
    assert program.returncode == 0
    _assert_none_left(pulseaudio)


@pytest.mark.slow
@pytest.mark.parametrize("is_frozen", [False, True])
def test_the_capture_process_dies_with_a_killed_program(
    pulseaudio: PulseAudio, is_frozen: bool
) -> None:
    program = _start_program()
    assert len(_capture_processes(pulseaudio)) == 1
    if is_frozen:
        pulseaudio.freeze()
        # Long enough for the next process to hang where it starts PortAudio.
        time.sleep(2.0)
        assert len(_capture_processes(pulseaudio)) == 1
    program.kill()
    program.communicate(timeout=_PATIENCE_SECONDS)
    _assert_none_left(pulseaudio)
