"""serve_mic.py on a real PortAudio stream that fails in all the ways devices do."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.tiny_models import LOUD
from tests.live.pulse import PulseAudio
from tests.live.serving import Serving, is_event, is_window

pytestmark = pytest.mark.slow

RATE = 16000
# What is asked of the program, in seconds.
SAYS_SO, LABELS_AGAIN = 2.0, 5.0


@pytest.fixture(scope="module")
def model(loudness_model: Path) -> Path:
    return loudness_model


def beeps(path: Path, count: int) -> Path:
    """A loud beep of 0.7 s, then 1.3 s of quiet, again and again."""
    times = np.arange(2 * RATE) / RATE
    beep = LOUD * np.sqrt(2) * np.sin(2 * np.pi * 440 * times) * (times < 0.7)
    soundfile.write(path, np.tile(beep, count), RATE, subtype="PCM_16")
    return path


def killed(daemon: PulseAudio) -> Callable[[], None]:
    daemon.kill()
    return daemon.start


def unloaded(daemon: PulseAudio) -> Callable[[], None]:
    daemon.unload_sink()
    return daemon.load_sink


def frozen(daemon: PulseAudio) -> Callable[[], None]:
    daemon.freeze()
    return daemon.thaw


def test_labels_what_is_played_and_ends_with_a_summary(
    model: Path, pulseaudio: PulseAudio, tmp_path: Path
) -> None:
    with Serving(model, pulseaudio.variables, "--preroll_seconds=0.1") as serving:
        serving.wait_until_ready()
        pulseaudio.play(beeps(tmp_path / "beeps.wav", 2))
        events = [serving.wait_for(is_event, 10)[1] for _ in range(2)]
        assert [event["label"] for event in events] == ["loud"] * 2
        for event in events:
            assert event["end_seconds"] - event["start_seconds"] == pytest.approx(0.7, abs=0.15)
        steps = np.diff([event["start_seconds"] for event in events])
        np.testing.assert_allclose(steps, 2.0, atol=0.1)
        summary = serving.stop()
    assert re.search(r"captured 0:\d\d of sound, lost 0\.0 s", summary)
    assert "2 events" in summary


@pytest.mark.parametrize(
    "fails",
    [killed, *(pytest.param(fails, marks=pytest.mark.nightly) for fails in (unloaded, frozen))],
)
def test_a_device_that_fails_is_told_of_and_labels_go_on_when_it_is_back(
    model: Path,
    pulseaudio: PulseAudio,
    tmp_path: Path,
    fails: Callable[[PulseAudio], Callable[[], None]],
) -> None:
    sound = beeps(tmp_path / "beeps.wav", 60)
    with Serving(model, pulseaudio.variables) as serving:
        serving.wait_until_ready()
        player = pulseaudio.start_playing(sound)
        serving.wait_for(is_window, 10)
        failed_at = time.monotonic()
        comes_back = fails(pulseaudio)
        told_at, said = serving.wait_for(
            lambda found: isinstance(found, str) and "microphone" in found, 10
        )
        time.sleep(max(0.0, failed_at + 3 - time.monotonic()))
        serving.forget()
        comes_back()
        back_at = time.monotonic()
        # A player that hung on the daemon does not always come back with it.
        player.kill()
        player.wait()
        player = pulseaudio.start_playing(sound)
        labelled_at, _ = serving.wait_for(is_window, 20)
        player.kill()
        player.wait()
        summary = serving.stop()
    print(
        f"\n{fails.__name__}: told after {told_at - failed_at:.2f} s ({said}), labelled "
        f"{labelled_at - back_at:.2f} s after its return"
    )
    assert told_at - failed_at <= SAYS_SO
    assert labelled_at - back_at <= LABELS_AGAIN
    lost = re.search(r"lost (\d+\.\d) s", summary)
    assert lost and float(lost[1]) == pytest.approx(labelled_at - failed_at, abs=3.0)


@pytest.mark.nightly
@pytest.mark.parametrize("seconds", [20, 600])
def test_nothing_is_lost_beside_a_busy_core(
    model: Path, pulseaudio: PulseAudio, tmp_path: Path, seconds: int
) -> None:
    sound = beeps(tmp_path / "beeps.wav", seconds)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with Serving(
            model, pulseaudio.variables, f"--seconds={seconds}", "--hop_seconds=0.5"
        ) as serving:
            serving.wait_until_ready()
            player = pulseaudio.start_playing(sound)
            summary = serving.end(seconds + 30)
            player.kill()
            player.wait()
    finally:
        busy.kill()
        busy.wait()
    print(f"\n{summary}")
    minutes, rest = re.search(r"captured (\d+):(\d\d) of sound", summary).groups()  # type: ignore[union-attr]
    assert int(minutes) * 60 + int(rest) >= seconds - 2
    assert "lost 0.0 s" in summary
