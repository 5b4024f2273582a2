"""Which device, channels and rate are chosen, and what a wrong choice is answered with."""

from __future__ import annotations

import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone import devices
from tests.live.fake_portaudio import PortAudio, device

_DEVICES = [
    device("HDMI", channels=0),
    device("USB Mic: Audio (hw:1,0)", channels=2),
    device("default", channels=32),
    device("USB Mic: Audio (hw:1,0)", channels=2),
    device("default", channels=4, hostapi=1),
]


def _found(default: int = 2) -> list[devices.InputDevice]:
    return devices.input_devices(PortAudio(_DEVICES, default))


def test_only_inputs_are_devices() -> None:
    assert [found.index for found in _found()] == [1, 2, 3, 4]
    assert [found.is_default for found in _found()] == [False, True, False, False]


@pytest.mark.parametrize(
    ("wanted", "index", "expected"),
    [
        ("", -1, 2),
        ("3", -1, 3),
        ("DEFAULT, jack", -1, 4),
        ("jack", -1, 4),
        ("USB Mic: Audio (hw:1,0), ALSA", -1, 1),
        ("USB Mic: Audio (hw:1,0), ALSA", 3, 3),
        ("USB Mic: Audio (hw:1,0), ALSA", 2, 1),
    ],
)
def test_a_device_is_found(wanted: str, index: int, expected: int) -> None:
    assert devices.find_device(_found(), wanted, index).index == expected


def test_a_whole_name_wins_against_a_part() -> None:
    found = devices.input_devices(PortAudio([device("mic array"), device("Mic")]))
    assert devices.find_device(found, "mic").index == 1


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("webcam", ["--device=webcam", "no such", "1: USB Mic", "4: default, JACK"]),
        ("0", ["--device=0", "no such", "1: USB Mic"]),
        ("usb", ["--device=usb", "matches 2", "1: USB Mic", "3: USB Mic"]),
        ("default", ["--device=default", "matches 2", "2: default, ALSA", "4: default, JACK"]),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(wanted: str, words: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        devices.find_device(_found(), wanted)
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


def test_an_ambiguous_name_is_answered_with_its_matches_only() -> None:
    with pytest.raises(UserError) as refused:
        devices.find_device(_found(), "usb")
    assert "default" not in str(refused.value)


def test_no_device_at_all() -> None:
    for wanted in ("", "0", "mic"):
        with pytest.raises(UserError, match="no microphone"):
            devices.find_device(devices.input_devices(PortAudio([_DEVICES[0]], -1)), wanted)
    with pytest.raises(UserError, match="no microphone"):
        devices.listing([])


def test_no_default_device() -> None:
    with pytest.raises(UserError, match="choose one with --device: 1: USB"):
        devices.find_device(_found(default=-1), "")


def test_the_listing_has_a_line_a_device_and_marks_the_default() -> None:
    lines = devices.listing(_found()).splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["1", "USB"], ["*", "2"]]
    assert len(lines) == 4
    assert "32 channels, 44100 Hz" in lines[1]


@pytest.mark.parametrize(("there_are", "opened"), [(1, 1), (2, 2), (8, 8), (9, 1), (64, 1)])
def test_channels(there_are: int, opened: int) -> None:
    [found] = devices.input_devices(PortAudio([device("mic", there_are)]))
    assert devices.choose_channels(found) == opened


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((16000, 44100, 48000), 48000),
        ((8000, 16000, 32000, 44100), 32000),
        ((16000, 44100), 16000),
        ((22050, 44100), 44100),
    ],
)
def test_a_rate_of_the_voice_detector_is_preferred(offered: tuple[int, ...], chosen: int) -> None:
    portaudio = PortAudio([device("mic")], rates_hz={0: offered})
    [found] = devices.input_devices(portaudio)
    assert devices.choose_rate(portaudio, found, 0) == chosen


def test_a_wanted_rate_is_taken_or_answered_with_those_on_offer() -> None:
    portaudio = PortAudio([device("mic")], rates_hz={0: (44100, 48000)})
    [found] = devices.input_devices(portaudio)
    assert devices.choose_rate(portaudio, found, 44100) == 44100
    with pytest.raises(UserError, match=r"--sample_rate=16000.*mic, ALSA.* 44100, 48000 Hz"):
        devices.choose_rate(portaudio, found, 16000)


@pytest.mark.parametrize("wanted_hz", [0, 48000])
def test_a_device_that_refuses_everything(wanted_hz: int) -> None:
    portaudio = PortAudio([device("mic")], rates_hz={0: ()}, error=("Device unavailable", -9985))
    [found] = devices.input_devices(portaudio)
    with pytest.raises(UserError, match=r"mic, ALSA can't be opened.*another program"):
        devices.choose_rate(portaudio, found, wanted_hz)
