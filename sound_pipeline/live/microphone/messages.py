"""Messages from the capture process to the program that started it, over a pipe."""

from __future__ import annotations

import dataclasses
import enum
import json
import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

_HEADER = struct.Struct("<cIdQ?")


class Kind(enum.Enum):
    """Kinds of messages; the payload is JSON but for BLOCK's.

    STARTED: Python runs, PortAudio comes next. LISTING: the table of devices, a string. READY: a
    stream runs, an `Opened`. BLOCK: audio, int16 in the machine's byte order, channels
    interleaved. USER_ERROR: what a user can act on. DEFECT: a traceback. The last two are the
    last message.
    """

    STARTED = b"S"
    LISTING = b"L"
    READY = b"R"
    BLOCK = b"B"
    USER_ERROR = b"U"
    DEFECT = b"D"


class Message(NamedTuple):
    """One message; the last three fields are BLOCK's.

    Attributes:
      kind: what it says.
      payload: see `Kind`.
      arrived_at: `time.monotonic()` when PortAudio gave the block; that clock is the same in all
        processes of a machine.
      dropped: sample frames thrown away before this block because nobody took them.
      overflowed: PortAudio says that samples were lost before this block, but not how many.
    """

    kind: Kind
    payload: bytes
    arrived_at: float = 0.0
    dropped: int = 0
    overflowed: bool = False

    def value(self) -> Any:
        """Payload of a message that isn't audio."""
        return json.loads(self.payload)


@dataclasses.dataclass(frozen=True)
class Request:
    """Request to the capture process, given to it as its only argument.

    Attributes:
      device: see `devices.find_device`.
      index: see there.
      sample_rate_hz: see `devices.choose_rate`.
      buffer_seconds: PortAudio's buffer between the device and the callback.
      queue_seconds: how much audio waits at the most for a program that doesn't take it.
      list_only: send LISTING and end.
    """

    device: str = ""
    index: int = -1
    sample_rate_hz: int = 0
    buffer_seconds: float = 0.08
    queue_seconds: float = 10.0
    list_only: bool = False


@dataclasses.dataclass(frozen=True)
class Opened:
    """Device that was opened: its whole name and number, rate and channels."""

    name: str
    index: int
    sample_rate_hz: int
    channels: int


def to_argument(request: Request) -> str:
    """A request as one word of a command line."""
    return json.dumps(dataclasses.asdict(request))


def from_argument(word: str) -> Request:
    """Inverse of `to_argument`."""
    return Request(**json.loads(word))


def message(kind: Kind, value: Any) -> Message:
    """A message that isn't audio.

    Args:
      kind: any but BLOCK.
      value: what JSON holds, or a dataclass of such values.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return Message(kind, json.dumps(value).encode())


def opened(values: Mapping[str, Any]) -> Opened:
    """READY's value."""
    return Opened(**values)


def write_message(stream: IO[bytes], sent: Message) -> None:
    """Writes one message; waits where the pipe is full.

    Raises:
      BrokenPipeError: nobody reads any more.
    """
    stream.write(
        _HEADER.pack(
            sent.kind.value, len(sent.payload), sent.arrived_at, sent.dropped, sent.overflowed
        )
    )
    stream.write(sent.payload)
    stream.flush()


def read_messages(stream: IO[bytes]) -> Iterator[Message]:
    """Messages of a stream up to its end; one that is cut off there is left out."""
    while len(header := stream.read(_HEADER.size)) == _HEADER.size:
        kind, size, arrived_at, dropped, overflowed = _HEADER.unpack(header)
        payload = stream.read(size)
        if len(payload) < size:
            return
        yield Message(Kind(kind), payload, arrived_at, dropped, overflowed)
