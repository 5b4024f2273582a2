"""Choice of an input device, its channels and its sample rate.

Everything here may hang with a frozen sound server, and prints PortAudio's own remarks to stderr:
it runs in the capture process only (`sound_pipeline.live.microphone.process`). `portaudio` is the
module `sounddevice`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sound_pipeline.errors import UserError

# Of the voice detector's rates: at these the gate needs no copy at another rate.
PREFERRED_RATES_HZ = (48000, 32000, 16000)
_COMMON_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)
# A device with more is a sound server's, which maps any number of channels and mixes them itself
# when asked for one, or a studio interface, whose microphone would drown in a mean of all inputs.
_MOST_MIXED_CHANNELS = 8
_DEVICE_UNAVAILABLE = -9985


@dataclasses.dataclass(frozen=True)
class InputDevice:
    """A device that sound can be taken from.

    Attributes:
      index: PortAudio's number of it; another one may have it after a device was plugged in.
      name: `device, host API`, as sounddevice writes it.
      channels: how many it has at the most.
      default_rate_hz: the rate it runs at when nobody asks for another.
      is_default: whether it is the system's choice.
    """

    index: int
    name: str
    channels: int
    default_rate_hz: int
    is_default: bool


def input_devices(portaudio: Any) -> list[InputDevice]:
    """All devices with at least one input channel."""
    default = portaudio.default.device[0]
    return [
        InputDevice(
            index=index,
            name=f"{device['name']}, {portaudio.query_hostapis(device['hostapi'])['name']}",
            channels=device["max_input_channels"],
            default_rate_hz=round(device["default_samplerate"]),
            is_default=index == default,
        )
        for index, device in enumerate(portaudio.query_devices())
        if device["max_input_channels"] > 0
    ]


def listing(devices: Sequence[InputDevice]) -> str:
    """A table for people: a line a device, the default one marked.

    Raises:
      UserError: there is no device.
    """
    _check_any(devices)
    width = max(len(device.name) for device in devices)
    return "\n".join(
        f"{'*' if device.is_default else ' '} {device.index:>3}  {device.name:<{width}}  "
        f"{device.channels} channels, {device.default_rate_hz} Hz"
        for device in devices
    )


def find_device(devices: Sequence[InputDevice], wanted: str, index: int = -1) -> InputDevice:
    """Device a user means.

    Args:
      devices: those there are.
      wanted: nothing for the default one, a number of the listing, or a name or a part of one in
        any case; the whole name wins against a part of another.
      index: decides between devices whose whole name is `wanted`.

    Raises:
      UserError: there is no such device, or more than one; the message lists the right ones.
    """
    _check_any(devices)
    if not wanted:
        matches = [device for device in devices if device.is_default]
        if not matches:
            raise UserError(f"no default microphone: choose one with --device: {_inline(devices)}")
        return matches[0]
    if wanted.isdecimal():
        matches = [device for device in devices if device.index == int(wanted)]
    else:
        same = [device for device in devices if device.name.casefold() == wanted.casefold()]
        if same:
            return next((device for device in same if device.index == index), same[0])
        matches = [device for device in devices if wanted.casefold() in device.name.casefold()]
        named = [
            device
            for device in matches
            if device.name.casefold().startswith(f"{wanted.casefold()}, ")
        ]
        matches = named or matches
    if not matches:
        raise UserError(f"--device={wanted}: no such microphone; there are {_inline(devices)}")
    if len(matches) > 1:
        raise UserError(
            f"--device={wanted}: matches {len(matches)} microphones; give a number or more of the "
            f"name: {_inline(matches)}"
        )
    return matches[0]


def choose_channels(device: InputDevice) -> int:
    """Number of channels to open: those whose mean is the microphone's sound."""
    return device.channels if device.channels <= _MOST_MIXED_CHANNELS else 1


def choose_rate(portaudio: Any, device: InputDevice, wanted_hz: int) -> int:
    """Rate to open a device at.

    Args:
      portaudio: the module `sounddevice`.
      device: which one.
      wanted_hz: 0 for the first of `PREFERRED_RATES_HZ` that the device offers, or else the
        device's default rate.

    Returns:
      A rate that the device accepted, in Hz.

    Raises:
      UserError: the device doesn't offer the wanted rate (the message lists those it offers), or
        can't be opened at all.
    """
    if wanted_hz:
        refusal = _refusal(portaudio, device, wanted_hz)
        if refusal is None:
            return wanted_hz
        offered = [rate for rate in _COMMON_RATES_HZ if _refusal(portaudio, device, rate) is None]
        if not offered:
            raise cannot_open(device, refusal)
        raise UserError(
            f"--sample_rate={wanted_hz}: {device.name} doesn't offer this rate; it offers "
            f"{', '.join(map(str, offered))} Hz"
        )
    for rate in (*PREFERRED_RATES_HZ, device.default_rate_hz):
        refusal = _refusal(portaudio, device, rate)
        if refusal is None:
            return rate
    assert refusal is not None
    raise cannot_open(device, refusal)


def cannot_open(device: InputDevice, error: Exception) -> UserError:
    """Message for the user when PortAudio refuses a device."""
    in_use = len(error.args) > 1 and error.args[1] == _DEVICE_UNAVAILABLE
    advice = "is another program using it?" if in_use else "--list_devices lists the others"
    return UserError(f"the microphone {device.name} can't be opened: {error}; {advice}")


def _refusal(portaudio: Any, device: InputDevice, rate_hz: int) -> Exception | None:
    """Why a device doesn't open at a rate; None if it does."""
    try:
        portaudio.check_input_settings(
            device=device.index,
            channels=choose_channels(device),
            dtype="int16",
            samplerate=rate_hz,
        )
    except portaudio.PortAudioError as error:
        assert isinstance(error, Exception)
        return error
    return None


def _check_any(devices: Sequence[InputDevice]) -> None:
    if not devices:
        raise UserError(
            "no microphone: the system has no input device; plug one in, or check that the sound "
            "server (PulseAudio, PipeWire) runs"
        )


def _inline(devices: Sequence[InputDevice]) -> str:
    return "; ".join(f"{device.index}: {device.name}" for device in devices)
