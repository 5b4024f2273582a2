"""A stand-in for the module `sounddevice`, with devices of one's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

INVALID_SAMPLE_RATE = -9997


class PortAudioError(Exception):
    """As sounddevice's: a message, then PortAudio's number of the error."""


def device(
    name: str, channels: int = 1, default_rate_hz: float = 44100.0, hostapi: int = 0
) -> dict[str, Any]:
    """A device as sounddevice describes it."""
    return {
        "name": name,
        "hostapi": hostapi,
        "max_input_channels": channels,
        "default_samplerate": default_rate_hz,
    }


class Stream:
    """A stream whose callback a thread calls with each of some blocks, and which then stops."""

    def __init__(self, blocks: Sequence[bytes], **arguments: Any) -> None:
        self.arguments = arguments
        self._callback: Callable[..., None] = arguments["callback"]
        self._blocks = blocks
        self._thread = threading.Thread(target=self._run)

    @property
    def active(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def abort(self) -> None:
        self._thread.join()

    def close(self) -> None:
        pass

    def _run(self) -> None:
        frame_bytes = 2 * self.arguments["channels"]
        for block in self._blocks:
            status = SimpleNamespace(input_overflow=False)
            self._callback(block, len(block) // frame_bytes, None, status)


class PortAudio:
    """The part of sounddevice's interface that is used.

    Args:
      devices: all of them, in PortAudio's order.
      default: index of the default one; -1 for none.
      rates_hz: those that each device accepts, by its index; any where it isn't named.
      error: what PortAudio says, and its number, where a rate isn't accepted.
      blocks: what every stream gives.
    """

    PortAudioError = PortAudioError

    def __init__(
        self,
        devices: Sequence[Mapping[str, Any]],
        default: int = 0,
        rates_hz: Mapping[int, Sequence[int]] | None = None,
        error: tuple[str, int] = ("Invalid sample rate", INVALID_SAMPLE_RATE),
        blocks: Sequence[bytes] = (),
    ) -> None:
        self.default = SimpleNamespace(device=(default, -1))
        self.streams: list[Stream] = []
        self._devices = devices
        self._rates_hz = rates_hz or {}
        self._error = error
        self._blocks = blocks

    def query_devices(self) -> Sequence[Mapping[str, Any]]:
        return self._devices

    def query_hostapis(self, index: int) -> Mapping[str, Any]:
        return {"name": ("ALSA", "JACK")[index]}

    def check_input_settings(
        self, device: int, channels: int, dtype: str, samplerate: float
    ) -> None:
        assert dtype == "int16"
        assert 1 <= channels <= self._devices[device]["max_input_channels"]
        if samplerate not in self._rates_hz.get(device, (samplerate,)):
            raise PortAudioError(*self._error)

    def RawInputStream(self, **arguments: Any) -> Stream:
        self.streams.append(Stream(self._blocks, **arguments))
        return self.streams[-1]
