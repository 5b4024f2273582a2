"""The microphone, with capture processes and a clock that are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone import messages
from sound_pipeline.live.microphone.capture import Block, CaptureConfig, Microphone, NoticeKind
from sound_pipeline.live.microphone.client import CaptureEnded
from sound_pipeline.live.microphone.messages import Kind, Message, Opened, Request

_RATE_HZ = 16000
_BLOCK = 320
_BLOCK_SECONDS = _BLOCK / _RATE_HZ

# What a simulated process does next: gives a message, is silent for so many seconds, or ends.
Step = Message | float | CaptureEnded


class World:
    """A clock, and the capture processes that were started."""

    def __init__(self, *scripts: Callable[[World], Iterator[Step]]) -> None:
        self.now = 1000.0
        self.requests: list[Request] = []
        self.started: list[FakeCapture] = []
        self._scripts = list(scripts)

    def start(self, request: Request) -> FakeCapture:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.requests.append(request)
        self.started.append(FakeCapture(self, script(self)))
        return self.started[-1]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def microphone(self, config: CaptureConfig | None = None) -> Microphone:
        return Microphone(config or CaptureConfig(), self.start, lambda: self.now, self.sleep)


class FakeCapture:
    """A capture process that follows a script."""

    def __init__(self, world: World, steps: Iterator[Step]) -> None:
        self.is_over = False
        self._world = world
        self._steps = steps
        self._silent_until = world.now

    def receive(self, timeout_seconds: float) -> Message | None:
        assert not self.is_over
        deadline = self._world.now + timeout_seconds
        while True:
            if self._silent_until > deadline:
                self._world.now = deadline
                return None
            self._world.now = max(self._world.now, self._silent_until)
            step = next(self._steps)
            if isinstance(step, CaptureEnded):
                raise step
            if isinstance(step, Message):
                return step
            self._silent_until = self._world.now + step

    def close(self) -> None:
        self.is_over = True

    def kill(self) -> None:
        self.is_over = True


def _ready(channels: int = 1) -> Message:
    return messages.message(Kind.READY, Opened("mic, ALSA", 3, _RATE_HZ, channels))


def _started() -> Message:
    return messages.message(Kind.STARTED, None)


def _refused(text: str) -> Message:
    return messages.message(Kind.USER_ERROR, text)


def _block(world: World, value: int = 0, dropped: int = 0, overflowed: bool = False) -> Message:
    payload = np.full(_BLOCK, value, np.int16).tobytes()
    return Message(Kind.BLOCK, payload, world.now, dropped, overflowed)


def _sound(world: World, seconds: float) -> Iterator[Step]:
    for _ in range(round(seconds / _BLOCK_SECONDS)):
        yield _BLOCK_SECONDS
        yield _block(world)


def _good(world: World) -> Iterator[Step]:
    yield from (_started(), _ready())
    while True:
        yield from _sound(world, 1)


def _read_for(microphone: Microphone, world: World, seconds: float) -> list[Block]:
    until = world.now + seconds
    blocks = []
    while world.now < until:
        block = microphone.read(0.1)
        if block is not None:
            blocks.append(block)
    return blocks


def test_blocks_are_mono_float_at_their_positions() -> None:
    def script(world: World) -> Iterator[Step]:
        yield from (_started(), _ready(channels=2))
        stereo = np.array([[-32768, -32768], [32767, -32767], [16384, 0]], np.int16)
        yield Message(Kind.BLOCK, stereo.tobytes(), world.now)
        yield Message(Kind.BLOCK, stereo.tobytes(), world.now)
        yield 1000.0

    world = World(script)
    microphone = world.microphone()
    first, second = microphone.read(1), microphone.read(1)
    assert first is not None and second is not None
    assert first.samples.dtype == np.float32
    np.testing.assert_array_equal(first.samples, [-1.0, 0.0, 0.25])
    assert (first.start, second.start) == (0, 3)
    assert (microphone.name, microphone.sample_rate_hz) == ("mic, ALSA", _RATE_HZ)


def test_read_waits_no_longer_than_it_is_told() -> None:
    def script(world: World) -> Iterator[Step]:
        yield from (_started(), _ready(), 1.3)
        yield _block(world)
        yield 1000.0

    world = World(script)
    microphone = world.microphone()
    before = world.now
    assert microphone.read(0.75) is None
    assert world.now == pytest.approx(before + 0.75)
    assert microphone.read(0.75) is not None
    assert world.now == pytest.approx(before + 1.3)


def test_a_device_that_cannot_be_opened_at_first_is_the_users_error() -> None:
    world = World(lambda world: iter([_started(), _refused("no microphone")]))
    with pytest.raises(UserError, match="no microphone"):
        world.microphone()
    assert all(started.is_over for started in world.started)


def test_a_device_that_hangs_when_opened_at_first_is_the_users_error() -> None:
    world = World(lambda world: iter([_started(), 1000.0]))
    with pytest.raises(UserError, match="sound system hasn't answered for 10 s"):
        world.microphone()
    assert world.now < 1011
    assert all(started.is_over for started in world.started)


def test_an_interruption_while_opening_leaves_no_process() -> None:
    def script(world: World) -> Iterator[Step]:
        yield _started()
        raise KeyboardInterrupt

    world = World(script)
    with pytest.raises(KeyboardInterrupt):
        world.microphone()
    assert all(started.is_over for started in world.started)


def test_a_frozen_device_is_noticed_and_reopened() -> None:
    def freezing(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 10)
        yield 1000.0

    def hanging(world: World) -> Iterator[Step]:
        yield from (_started(), 1000.0)

    world = World(freezing, hanging, _good)
    microphone = world.microphone()
    frozen_at = world.now + 10
    blocks = _read_for(microphone, world, 10)
    assert microphone.take_notices() == []
    while not (notices := microphone.take_notices()):
        assert microphone.read(0.1) is None
    assert world.now - frozen_at < 1.5
    assert [notice.kind for notice in notices] == [NoticeKind.FAILED]
    assert "given nothing for 1.0 s" in notices[0].text
    while (block := microphone.read(0.1)) is None:
        assert world.now - frozen_at < 6
    away_seconds = world.now - frozen_at
    notices = microphone.take_notices()
    assert [notice.kind for notice in notices] == [NoticeKind.FAILED, NoticeKind.REOPENED]
    gap = block.start - blocks[-1].start - _BLOCK
    assert gap / _RATE_HZ == pytest.approx(away_seconds - _BLOCK_SECONDS, abs=0.01)
    statistics = microphone.statistics
    assert statistics.lost_seconds == pytest.approx(gap / _RATE_HZ)
    assert statistics.reopened == 1
    # A loss that the notice of the return has told of isn't told of again.
    _read_for(microphone, world, 10)
    assert microphone.take_notices() == []
    assert microphone.statistics.lost_seconds == statistics.lost_seconds
    assert [started.is_over for started in world.started] == [True, True, False]


def test_a_device_that_is_away_is_tried_again_and_again_and_complained_of_once() -> None:
    def stopping(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 10)
        yield _refused("mic has stopped")

    def refusing(world: World) -> Iterator[Step]:
        yield from (_started(), 0.3, _refused("no microphone"))

    world = World(stopping, refusing)
    microphone = world.microphone()
    _read_for(microphone, world, 70)
    notices = microphone.take_notices()
    assert [notice.kind for notice in notices] == [NoticeKind.FAILED, NoticeKind.FAILED]
    assert "mic has stopped" in notices[0].text
    assert "no microphone" in notices[1].text
    # Once every 1.3 s: soon enough to be back within 2 s, and far from a busy loop.
    assert 44 <= len(world.requests) <= 52
    assert microphone.statistics.lost_seconds == pytest.approx(60, abs=0.5)
    microphone.close()
    world.now += 100
    assert microphone.statistics.lost_seconds == pytest.approx(60, abs=0.5)


def test_a_process_that_dies_or_fails_is_started_again_and_told_of() -> None:
    def dying(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 6)
        yield CaptureEnded("status -9")

    def failing(world: World) -> Iterator[Step]:
        traceback = "Traceback ...\nZeroDivisionError: in the callback\n"
        yield from (_started(), _ready())
        yield from _sound(world, 6)
        yield messages.message(Kind.DEFECT, traceback)

    world = World(dying, failing, _good)
    microphone = world.microphone()
    _read_for(microphone, world, 20)
    notices = microphone.take_notices()
    failed, reopened = NoticeKind.FAILED, NoticeKind.REOPENED
    assert [notice.kind for notice in notices] == [failed, reopened, failed, reopened]
    assert "status -9" in notices[0].text
    assert "ZeroDivisionError: in the callback" in notices[2].text
    assert all("\n" not in notice.text for notice in notices)


def test_a_device_that_fails_at_once_each_time_is_not_reopened_in_a_busy_loop() -> None:
    def flapping(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 0.1)
        yield _refused("mic has stopped")

    world = World(flapping)
    microphone = world.microphone()
    _read_for(microphone, world, 60)
    assert len(world.requests) < 62


def test_a_program_that_was_stopped_does_not_blame_the_device() -> None:
    world = World(_good)
    microphone = world.microphone()
    _read_for(microphone, world, 5)
    for _ in range(3):
        world.now += 30
        microphone.read(0.01)
        _read_for(microphone, world, 1)
    assert len(world.requests) == 1


@pytest.mark.parametrize(("device", "reopened"), [("", ""), ("mi", "mic, ALSA")])
def test_the_same_device_is_reopened_at_the_same_rate(device: str, reopened: str) -> None:
    def stopping(world: World) -> Iterator[Step]:
        yield from (_started(), _ready(), _refused("mic has stopped"))

    world = World(stopping, _good)
    microphone = world.microphone(CaptureConfig(device=device))
    _read_for(microphone, world, 2)
    first, second = world.requests
    assert (first.device, first.sample_rate_hz) == (device, 0)
    assert (second.device, second.index, second.sample_rate_hz) == (reopened, 3, _RATE_HZ)


def test_dropped_blocks_and_overflows_are_counted_and_told_of() -> None:
    def script(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 3)
        yield 10 * _BLOCK_SECONDS
        yield _block(world, dropped=9 * _BLOCK, overflowed=True)
        yield from _sound(world, 1000)

    world = World(script)
    microphone = world.microphone()
    blocks = _read_for(microphone, world, 10)
    starts = np.array([block.start for block in blocks])
    assert sorted(set(np.diff(starts))) == [_BLOCK, 10 * _BLOCK]
    statistics = microphone.statistics
    assert statistics.lost_seconds == pytest.approx(9 * _BLOCK_SECONDS)
    assert statistics.captured_seconds == pytest.approx(len(blocks) * _BLOCK_SECONDS)
    assert statistics.overflows == 1
    [notice] = microphone.take_notices()
    assert notice.kind is NoticeKind.LOST
    assert notice.text == "0.18 s of sound lost: the program didn't take it in time"


def test_a_loss_that_only_the_clock_shows_is_told_of() -> None:
    def script(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        yield from _sound(world, 3)
        yield 0.5
        yield from _sound(world, 1000)

    world = World(script)
    microphone = world.microphone()
    _read_for(microphone, world, 6)
    [notice] = microphone.take_notices()
    assert notice.text == "0.50 s of sound lost: the sound system dropped it"
    assert microphone.statistics.lost_seconds == pytest.approx(0.5, abs=0.01)


def test_losses_that_go_on_are_told_of_once_a_second() -> None:
    def script(world: World) -> Iterator[Step]:
        yield from (_started(), _ready())
        while True:
            yield 2 * _BLOCK_SECONDS
            yield _block(world, dropped=_BLOCK)

    world = World(script)
    microphone = world.microphone()
    _read_for(microphone, world, 10)
    assert 9 <= len(microphone.take_notices()) <= 11


def test_close_ends_the_process_and_may_be_called_again() -> None:
    world = World(_good)
    with world.microphone() as microphone:
        microphone.read(0.1)
        microphone.close()
        assert [started.is_over for started in world.started] == [True]
        microphone.close()
    with pytest.raises(ValueError, match="closed"):
        microphone.read(0.1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sample_rate_hz": -1}, "--sample_rate=-1"),
        ({"buffer_seconds": 0.0}, "buffer_seconds=0"),
        ({"queue_seconds": 0.5}, "queue_seconds=0.5"),
    ],
)
def test_wrong_settings(values: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        CaptureConfig(**values)  # type: ignore[arg-type]
