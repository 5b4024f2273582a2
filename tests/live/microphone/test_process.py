"""The capture process: its queue, what it sends, and the process itself with a fake PortAudio."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone import capture, messages, process, reopening
from sound_pipeline.live.microphone.messages import Kind, Message, Request
from tests.live.fake_portaudio import PortAudio, device

_FINE = SimpleNamespace(input_overflow=False)
_OVERFLOWED = SimpleNamespace(input_overflow=True)


def _block(value: int, frames: int = 10, channels: int = 1) -> bytes:
    return np.full(frames * channels, value, np.int16).tobytes()


def test_the_queue_gives_blocks_in_order_with_their_time() -> None:
    blocks = process.BlockQueue(channels=2, capacity_frames=100)
    before = time.monotonic()
    for value in (1, 2):
        blocks.callback(_block(value, channels=2), 10, None, _FINE)
    taken = [blocks.take(0), blocks.take(0)]
    assert [block.payload for block in taken if block] == [_block(1, 10, 2), _block(2, 10, 2)]
    assert all(block and before <= block.arrived_at <= time.monotonic() for block in taken)
    assert blocks.take(0) is None


def test_the_queue_copies_what_portaudio_lends_it() -> None:
    blocks = process.BlockQueue(channels=1, capacity_frames=100)
    lent = bytearray(_block(7))
    blocks.callback(lent, 10, None, _FINE)
    lent[:] = _block(8)
    block = blocks.take(0)
    assert block is not None
    assert block.payload == _block(7)


def test_a_full_queue_drops_and_counts_without_waiting() -> None:
    blocks = process.BlockQueue(channels=1, capacity_frames=35)
    for value in range(1000):
        blocks.callback(_block(value), 10, None, _FINE)
    kept = [blocks.take(0) for _ in range(3)]
    assert [block.payload for block in kept if block] == [_block(0), _block(1), _block(2)]
    assert [block.dropped for block in kept if block] == [0, 0, 0]
    assert blocks.take(0) is None
    blocks.callback(_block(-1), 10, None, _FINE)
    blocks.callback(_block(-2), 10, None, _FINE)
    after = [blocks.take(0), blocks.take(0)]
    assert [block.dropped for block in after if block] == [9970, 0]


def test_an_overflow_is_told_with_the_next_block_that_is_kept() -> None:
    blocks = process.BlockQueue(channels=1, capacity_frames=10)
    blocks.callback(_block(1), 10, None, _FINE)
    blocks.callback(_block(2), 10, None, _OVERFLOWED)
    first = blocks.take(0)
    blocks.callback(_block(3), 10, None, _FINE)
    second = blocks.take(0)
    assert first is not None and not first.overflowed
    assert second is not None and second.overflowed and second.dropped == 10


def test_an_exception_in_the_callback_is_kept_and_stops_the_stream() -> None:
    blocks = process.BlockQueue(channels=1, capacity_frames=10)
    with pytest.raises(AttributeError):
        blocks.callback(_block(1), 10, None, None)
    assert isinstance(blocks.error, AttributeError)


def _served(portaudio: PortAudio, **request: object) -> list[Message]:
    sent: list[Message] = []
    process.serve(
        Request(**request),  # type: ignore[arg-type]
        portaudio,
        sent.append,
        threading.Event(),
    )
    return sent


def test_what_is_sent_until_the_device_stops() -> None:
    portaudio = PortAudio([device("mic", 2)], blocks=[_block(1, 10, 2), _block(2, 10, 2)])
    sent: list[Message] = []
    with pytest.raises(UserError, match="mic, ALSA has stopped"):
        process.serve(Request(), portaudio, sent.append, threading.Event())
    assert [message.kind for message in sent] == [Kind.READY, Kind.BLOCK, Kind.BLOCK]
    opened = messages.opened(sent[0].value())
    assert opened == messages.Opened("mic, ALSA", 0, 48000, 2)
    [stream] = portaudio.streams
    assert stream.arguments["samplerate"] == 48000
    assert stream.arguments["channels"] == 2
    assert stream.arguments["dtype"] == "int16"
    assert stream.arguments["latency"] == Request().buffer_seconds


def test_a_stream_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    stop.set()
    sent: list[Message] = []
    process.serve(Request(), PortAudio([device("mic")]), sent.append, stop)
    assert [message.kind for message in sent] == [Kind.READY]


def test_what_the_callback_raised_ends_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, *arguments: object) -> None:
        raise ZeroDivisionError("in the callback")

    monkeypatch.setattr(process.BlockQueue, "_copy", fail)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with pytest.raises(ZeroDivisionError, match="in the callback"):
        _served(PortAudio([device("mic")], blocks=[_block(1)]))


def test_a_listing_opens_nothing() -> None:
    portaudio = PortAudio([device("mic")])
    [sent] = _served(portaudio, list_only=True)
    assert sent.kind is Kind.LISTING
    assert "mic, ALSA" in sent.value()
    assert not portaudio.streams


def test_messages_survive_the_pipe_and_a_cut_one_is_left_out() -> None:
    pipe = io.BytesIO()
    sent = [
        messages.message(Kind.STARTED, None),
        messages.message(Kind.READY, messages.Opened("Mikrofön", 3, 16000, 2)),
        Message(Kind.BLOCK, _block(5), 1234.56789, 2**40, True),
        messages.message(Kind.USER_ERROR, "no"),
    ]
    for message in sent:
        messages.write_message(pipe, message)
    written = pipe.getvalue()
    assert list(messages.read_messages(io.BytesIO(written))) == sent
    for size in range(len(written)):
        received = list(messages.read_messages(io.BytesIO(written[:size])))
        assert received == sent[: len(received)]
        assert len(received) < len(sent)


@pytest.fixture
def fake_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the capture process imports as `sounddevice`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "sounddevice.py"


def test_portaudio_is_missing(fake_module: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fake_module.write_text("raise OSError('PortAudio library not found')")
    for use in (capture.list_devices, lambda: capture.open_microphone(capture.CaptureConfig())):
        with pytest.raises(UserError) as refused:
            use()
        assert str(refused.value) == (
            "PortAudio is missing: apt-get install libportaudio2 (PortAudio library not found)"
        )
    assert capfd.readouterr() == ("", "")


def test_sounddevice_is_missing(fake_module: Path) -> None:
    fake_module.write_text("raise ModuleNotFoundError(\"No module named 'sounddevice'\")")
    with pytest.raises(UserError, match="No module named 'sounddevice': pip install sounddevice"):
        capture.list_devices()


def test_a_defect_keeps_its_traceback(fake_module: Path) -> None:
    fake_module.write_text("1 / 0")
    with pytest.raises(RuntimeError, match=r"(?s)sounddevice\.py.*ZeroDivisionError"):
        capture.list_devices()


def test_a_process_that_dies_leaves_its_last_words(fake_module: Path) -> None:
    fake_module.write_text("import os; os.write(1, b'ALSA lib: oh no'); os.abort()")
    with pytest.raises(UserError, match=r"status -6: ALSA lib: oh no"):
        capture.list_devices()


def test_a_sound_system_that_hangs(fake_module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_module.write_text("import time; time.sleep(1000)")
    monkeypatch.setattr(reopening, "_FIRST_OPENING_SECONDS", 0.5)
    with pytest.raises(UserError, match="sound system hasn't answered"):
        capture.open_microphone(capture.CaptureConfig())
