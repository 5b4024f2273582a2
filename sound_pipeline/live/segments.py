"""A stream of sound cut into segments where something is heard, and these into windows.

Positions are samples from the start of the stream, lost ones included. Everything happens at the
ends of the gate's frames, so what comes out doesn't depend on how the stream is cut into blocks.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import check
from sound_pipeline.live.gate import FrameState, Gate
from sound_pipeline.live.vad import FRAME_SECONDS

# Less active sound than this after a segment's latest window is not worth asking the model again.
_MIN_NEW_SECONDS = 0.1
# How often `Quiet` is said.
_QUIET_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class SegmentConfig:
    """Begin, end and hop of segments.

    Attributes:
      trigger_frames: active frames of 10 ms in a row that open a segment.
      hang_seconds: time without an active frame that closes it.
      preroll_seconds: sound before the first of the trigger frames that belongs to it: onsets
        are faint at first.
      hop_seconds: from the end of one window to the end of the next.
    """

    trigger_frames: int = 5
    hang_seconds: float = 0.5
    preroll_seconds: float = 0.3
    hop_seconds: float = 0.5

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(
            1 <= self.trigger_frames <= 100,
            f"--trigger_frames={self.trigger_frames}: give a number from 1 to 100",
        )
        check(
            0.01 <= self.hang_seconds <= 60,
            f"--hang_seconds={self.hang_seconds:g}: give a time from 0.01 to 60 s",
        )
        check(
            0 <= self.preroll_seconds <= 60,
            f"--preroll_seconds={self.preroll_seconds:g}: give a time from 0 to 60 s",
        )
        check(
            0.05 <= self.hop_seconds <= 60,
            f"--hop_seconds={self.hop_seconds:g}: give a time from 0.05 to 60 s",
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """Sound of a segment for the model to label.

    Attributes:
      segment: 0, 1, 2, ...: which segment it belongs to.
      start: position of its first sample.
      end: position after its last sample.
      onset: where the segment's sound starts: the first of the trigger frames.
      active_until: end of the last active frame up to `end`.
      samples: float32 [end - start], mono, its own memory.
      is_whole: whether the segment is over and this is all of it, the quiet at its end included.
    """

    segment: int
    start: int
    end: int
    onset: int
    active_until: int
    samples: npt.NDArray[np.float32]
    is_whole: bool = False


@dataclasses.dataclass(frozen=True)
class SegmentEnd:
    """A segment is over; comes after its last window.

    Attributes:
      segment: which.
      end: where it closed; the next segment starts here or later.
      active_until: where its sound ended: without the time it took to be sure.
    """

    segment: int
    end: int
    active_until: int


@dataclasses.dataclass(frozen=True)
class Quiet:
    """No segment is open.

    Attributes:
      until: the sound of the next segment starts here or later.
    """

    until: int


Item = Window | SegmentEnd | Quiet


class Segmenter:
    """Finds segments and cuts their windows.

    A segment opens after `trigger_frames` active frames in a row and starts `preroll_seconds`
    before the first of them, though not before the end of the previous segment. It closes after
    `hang_seconds` without an active frame; that time belongs to it, because a sound's decay falls
    below the gate before it is over.

    Windows end every `hop_seconds` after the segment's start (at the nearest end of a frame),
    beginning with the first such time after the opening: a hop after the opening at the latest.
    A window spans the last `window_seconds` and never reaches before the segment's start. One that
    would hear less than 0.1 s of active sound more than the one before is left out.
    When a segment closes, a last window ends there: the whole segment with the quiet at its end, if
    that fits into a window.

    Later windows of a segment supersede earlier ones: whoever can't keep up may leave out a window
    when a newer one of the same segment is there.
    """

    def __init__(
        self, config: SegmentConfig, gate: Gate, sample_rate_hz: int, window_seconds: float
    ) -> None:
        """Starts at position 0.

        Args:
          config: lengths and times.
          gate: says which frames are active; asked frame by frame and told when a segment opens
            and closes, so it must be this segmenter's own.
          sample_rate_hz: of the stream.
          window_seconds: the model's window.

        Raises:
          UserError: `hop_seconds` is longer than the window.
        """
        check(
            config.hop_seconds <= window_seconds,
            f"--hop_seconds={config.hop_seconds:g}: what lies between two of the model's windows "
            f"of {window_seconds:g} s would not be heard; give at most {window_seconds:g}",
        )
        self._gate = gate
        self._frame = round(FRAME_SECONDS * sample_rate_hz)
        self._window = round(window_seconds * sample_rate_hz)
        self._hop = config.hop_seconds * sample_rate_hz
        self._trigger = config.trigger_frames * self._frame
        self._preroll = round(config.preroll_seconds * sample_rate_hz / self._frame) * self._frame
        self._hang = round(config.hang_seconds * sample_rate_hz)
        self._min_new = min(_MIN_NEW_SECONDS * sample_rate_hz, self._hop / 2)
        self._quiet_every = round(_QUIET_SECONDS * sample_rate_hz / self._frame) * self._frame

        self._history = _History(self._window, self._frame)
        self._pending = np.zeros(0, np.float32)
        self._position = 0  # of the first pending sample
        self._earliest = 0  # no segment starts before
        self._active_from: int | None = None  # start of the latest active frames in a row
        self._quiet_at = self._quiet_every
        self._segments = 0
        self._open: _Open | None = None
        self._state: FrameState | None = None

    @property
    def is_open(self) -> bool:
        """Whether a segment is open."""
        return self._open is not None

    @property
    def state(self) -> FrameState | None:
        """State of the gate at the latest frame; None before the first."""
        return self._state

    def feed(self, samples: npt.NDArray[np.float32]) -> list[Item]:
        """Takes the next samples of the stream.

        Args:
          samples: float32 [n], mono, -1..1; n may be 0.

        Returns:
          What they complete, in order.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples have shape {samples.shape}, not [n]")
        joined = np.concatenate((self._pending, samples))
        whole = len(joined) // self._frame * self._frame
        items: list[Item] = []
        for start in range(0, whole, self._frame):
            items += self._take(joined[start : start + self._frame])
        self._pending = joined[whole:].copy()
        return items

    def skip(self, samples: int) -> list[Item]:
        """Counts samples that were lost. They end a segment: its sound is not joined over them.

        Args:
          samples: how many, 0 or more.

        Returns:
          The last items of the segment that was open.
        """
        if samples < 0:
            raise ValueError(f"{samples} samples can't be lost")
        if not samples:
            return []
        items = self.finish()
        self._position += samples
        self._earliest = self._position
        self._quiet_at = self._position + self._quiet_every
        return items

    def finish(self) -> list[Item]:
        """Ends the stream and with it a segment that is open; returns its last items."""
        tail, self._pending = self._pending, np.zeros(0, np.float32)
        items: list[Item] = []
        if self._open is not None:
            if self._open.active_until == self._position:
                self._open.active_until += len(tail)
            items = self._close(tail)
        self._position += len(tail)
        self._active_from = None
        return items

    def _take(self, frame: npt.NDArray[np.float32]) -> list[Item]:
        """Moves on by one whole frame."""
        (self._state,) = self._gate.feed(frame)
        is_active = self._state.is_active
        self._history.append(frame)
        self._position += self._frame
        if self._open is not None:
            return self._go_on(self._open, is_active)
        if not is_active:
            self._active_from = None
        elif self._active_from is None:
            self._active_from = self._position - self._frame
        if self._active_from is not None and self._position - self._active_from >= self._trigger:
            self._open_segment(self._active_from)
            return []
        if self._position < self._quiet_at:
            return []
        self._quiet_at = self._position + self._quiet_every
        return [Quiet(self._position if self._active_from is None else self._active_from)]

    def _open_segment(self, onset: int) -> None:
        start = max(self._earliest, onset - self._preroll)
        self._open = _Open(self._segments, start, onset, active_until=self._position)
        self._schedule(self._open)
        self._segments += 1
        self._active_from = None
        self._gate.hold(True)

    def _go_on(self, segment: _Open, is_active: bool) -> list[Item]:
        if is_active:
            segment.active_until = self._position
        elif self._position - segment.active_until >= self._hang:
            return self._close(np.zeros(0, np.float32))
        if self._position < segment.next_end:
            return []
        self._schedule(segment)
        return [self._cut(segment, np.zeros(0, np.float32))] if self._has_news(segment) else []

    def _schedule(self, segment: _Open) -> None:
        """Finds the next window's end after the present position."""
        while segment.next_end <= self._position:
            segment.hops += 1
            frames = round(segment.hops * self._hop / self._frame)
            segment.next_end = segment.start + frames * self._frame

    def _close(self, tail: npt.NDArray[np.float32]) -> list[Item]:
        segment, self._open = self._open, None
        assert segment is not None
        end = self._position + len(tail)
        items: list[Item] = []
        is_whole = end - segment.start <= self._window
        if is_whole or self._has_news(segment):
            items.append(self._cut(segment, tail, is_whole))
        items.append(SegmentEnd(segment.index, end, segment.active_until))
        self._earliest = end
        self._quiet_at = end + self._quiet_every
        self._gate.hold(False)
        return items

    def _has_news(self, segment: _Open) -> bool:
        """Whether a window would hear more of the segment's active sound than the one before."""
        return segment.active_until - segment.heard_until >= self._min_new

    def _cut(self, segment: _Open, tail: npt.NDArray[np.float32], is_whole: bool = False) -> Window:
        """Window that ends at the present position and `tail` behind it."""
        end = self._position + len(tail)
        start = max(segment.start, end - self._window)
        samples = np.concatenate((self._history.last(self._position - start), tail))
        segment.heard_until = end
        return Window(
            segment.index, start, end, segment.onset, segment.active_until, samples, is_whole
        )


@dataclasses.dataclass
class _Open:
    """Open segment. Positions are 0 where there is none yet."""

    index: int
    start: int
    onset: int
    active_until: int
    hops: int = 0
    next_end: int = 0
    heard_until: int = 0


class _History:
    """Stream's last samples in a ring of fixed size, written in whole frames."""

    def __init__(self, samples: int, frame: int) -> None:
        self._ring = np.zeros(-(-samples // frame) * frame, np.float32)
        self._end = 0

    def append(self, frame: npt.NDArray[np.float32]) -> None:
        self._end %= len(self._ring)
        self._ring[self._end : self._end + len(frame)] = frame
        self._end += len(frame)

    def last(self, count: int) -> npt.NDArray[np.float32]:
        """Last `count` samples, oldest first; they change with the next frame."""
        if count <= self._end:
            return self._ring[self._end - count : self._end]
        return np.concatenate((self._ring[self._end - count :], self._ring[: self._end]))
