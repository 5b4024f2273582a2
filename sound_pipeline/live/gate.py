"""Gate: whether something is to be heard, for every 10 ms of a stream.

webrtcvad alone misses faint crackling and clock ticks, gets used to rain within a moment, and
takes a loud steady room for speech now and then; level alone hears whatever rises well above the
room, not what lies just above it. The default gate combines them (benchmarks/live/gate.py has the
figures): a frame is active whose level is `energy_margin_db` above the noise floor, for a moment
after such a frame, and where webrtcvad fires at least `vad_margin_db` above the floor.

The noise floor is learned whenever no segment is open, and an open one keeps it as it was for
`hold_seconds` at the most. A fan that is switched on, or rain, is heard for so long from its start;
then what is steady in it counts as the room.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import check
from sound_pipeline.events.silence import SILENCE_DB
from sound_pipeline.live.noise_floor import (
    FRAME_SECONDS,
    NOTE_SECONDS,
    NoiseFloor,
    frames_in,
    levels_db,
)
from sound_pipeline.live.vad import VoiceDetector

GATES = ("auto", "vad", "energy", "always")


@dataclasses.dataclass(frozen=True)
class GateConfig:
    """Kind and thresholds of the gate.

    Attributes:
      kind: `vad` (webrtcvad alone), `energy` (level above the noise floor), `auto` (both, see
        above) or `always` (every frame
        that is not silent).
      vad_mode: webrtcvad's, from 0 (fires most) to 3 (least).
      energy_margin_db: a frame so far above the floor is active whatever it sounds like. Steady
        pink noise strays 4 dB from its floor, rumble 9.
      vad_margin_db: a frame that webrtcvad fires on must be so far above the floor.
      linger_seconds: frames stay active so long after one above `energy_margin_db`. With the
        default a click of a single frame makes five in a row.
      memory_seconds: the floor is the lowest level of so much time without an open segment.
      hold_seconds: so long an open segment keeps the floor where it was.
      min_floor_db: the floor is never lower, so that dither after digital silence is no event.
      prior_floor_db: the floor until the first half second is learned. A stream may start in the
        middle of a sound, so that one more than `energy_margin_db` louder is taken for an event.
      startup_seconds: the stream's first moment, in which devices click and webrtcvad fires on
        nothing, is neither active nor learned from.
    """

    kind: str = "auto"
    vad_mode: int = 2
    energy_margin_db: float = 10.0
    vad_margin_db: float = 3.0
    linger_seconds: float = 0.04
    memory_seconds: float = 5.0
    hold_seconds: float = 20.0
    min_floor_db: float = -70.0
    prior_floor_db: float = -55.0
    startup_seconds: float = 0.3

    def __post_init__(self) -> None:
        """Raises UserError naming the flag or field of a value out of range."""
        check(self.kind in GATES, f"--gate={self.kind}: give one of {', '.join(GATES)}")
        check(
            self.vad_mode in range(4),
            f"--vad_mode={self.vad_mode}: give a whole number from 0 to 3",
        )
        for name, low, high, unit in (
            ("energy_margin_db", 0, 60, "dB"),
            ("vad_margin_db", 0, 60, "dB"),
            ("linger_seconds", 0, 1, "s"),
            ("memory_seconds", NOTE_SECONDS, 600, "s"),
            ("hold_seconds", NOTE_SECONDS, 3600, "s"),
            ("min_floor_db", SILENCE_DB, 0, "dBFS"),
            ("prior_floor_db", self.min_floor_db, 0, "dBFS"),
            ("startup_seconds", 0, 10, "s"),
        ):
            value = getattr(self, name)
            check(low <= value <= high, f"{name}={value:g}: give {low:g} to {high:g} {unit}")


class FrameState(NamedTuple):
    """State of the gate at one frame.

    Attributes:
      is_active: whether something is to be heard.
      level_db: mean square of the samples, dBFS (a full sine: -3), without what lies below about
        60 Hz; -120 at the least.
      floor_db: the noise floor it was compared with.
    """

    is_active: bool
    level_db: float
    floor_db: float


class Gate(Protocol):
    """Decides frame by frame. Frames are `round(rate / 100)` samples, from the stream's start."""

    def feed(self, samples: npt.NDArray[np.float32]) -> list[FrameState]:
        """Takes the next samples, float32 [n], -1..1, n >= 0; returns the frames they complete."""

    def hold(self, is_open: bool) -> None:
        """Says that a segment is open, or no longer, from the next frame on."""


def make_gate(config: GateConfig, sample_rate_hz: int) -> Gate:
    """A gate at the start of a stream of the given rate (1 kHz or more)."""
    return _Gate(config, sample_rate_hz)


class _Gate:
    """See the module."""

    def __init__(self, config: GateConfig, sample_rate_hz: int) -> None:
        self._config = config
        self._frame = round(FRAME_SECONDS * sample_rate_hz)
        needs_vad = config.kind in ("auto", "vad")
        self._vad = VoiceDetector(sample_rate_hz, config.vad_mode) if needs_vad else None
        self._floor = NoiseFloor(
            prior_db=config.prior_floor_db,
            min_db=config.min_floor_db,
            memory_seconds=config.memory_seconds,
            hold_seconds=config.hold_seconds,
        )
        self._pending = np.zeros(0)
        self._previous = np.zeros(self._frame)
        self._startup = frames_in(config.startup_seconds)
        self._linger = frames_in(config.linger_seconds)
        self._since_loud = self._linger + 1

    def feed(self, samples: npt.NDArray[np.float32]) -> list[FrameState]:
        # One NaN would make the level of its frame NaN, and that would be learned from.
        finite = np.nan_to_num(np.asarray(samples, np.float64), nan=0.0, posinf=1.0, neginf=-1.0)
        joined = np.concatenate((self._pending, np.clip(finite, -1.0, 1.0)))
        whole = len(joined) // self._frame * self._frame
        self._pending = joined[whole:].copy()
        if not whole:
            return []
        frames = joined[:whole].reshape(-1, self._frame)
        before = np.vstack((self._previous, frames[:-1]))
        self._previous = frames[-1].copy()
        levels = levels_db(before, frames)
        return [self._decide(*pair) for pair in zip(frames, levels.tolist(), strict=True)]

    def hold(self, is_open: bool) -> None:
        self._floor.hold(is_open)

    def _decide(self, frame: npt.NDArray[np.float64], level_db: float) -> FrameState:
        config, floor_db = self._config, self._floor.db
        is_speech = self._vad is not None and self._vad.is_speech(frame)
        if config.kind == "auto":
            is_speech = is_speech and level_db >= floor_db + config.vad_margin_db
        is_loud = level_db >= floor_db + config.energy_margin_db
        self._since_loud = 0 if is_loud else self._since_loud + 1
        by_level = config.kind in ("auto", "energy") and self._since_loud <= self._linger
        always = config.kind == "always" and level_db > SILENCE_DB
        if self._startup:
            self._startup -= 1
            self._since_loud = self._linger + 1
            return FrameState(always, level_db, floor_db)
        self._floor.learn(level_db)
        return FrameState(always or is_speech or by_level, level_db, floor_db)
