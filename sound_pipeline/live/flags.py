"""Flags of listening: what is heard, when something is, and what of it is reported."""

from __future__ import annotations

import dataclasses

from absl import flags

from sound_pipeline.events.min_scores import parse_min_score
from sound_pipeline.live.gate import GATES, GateConfig
from sound_pipeline.live.microphone.capture import CaptureConfig
from sound_pipeline.live.output import FORMATS, TOP_CLASSES
from sound_pipeline.live.segments import SegmentConfig
from sound_pipeline.live.session import ListeningConfig
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.models.info import ModelInfo
from sound_pipeline.system.flag_groups import group


def define_sources() -> None:
    """Defines the flags that say what is heard."""
    with group("Sound", ("device", "list_devices", "input", "seconds")):
        flags.DEFINE_string(
            "device",
            "",
            "Microphone: a number of --list_devices, or part of a name; empty for the system's.",
        )
        flags.DEFINE_bool("list_devices", False, "List the microphones, and end.")
        flags.DEFINE_multi_string(
            "input",
            [],
            "Recording, or folder of recordings, to hear instead of a microphone; may be repeated.",
        )
        flags.DEFINE_float("seconds", 0.0, "Stop listening after so many seconds; 0: never.")
        flags.DEFINE_integer(
            "sample_rate",
            0,
            "Sample rate in Hz to capture at; 0: the best that the device offers. Name one that "
            "the device is known to do well.",
        )
        flags.DEFINE_bool(
            "realtime", False, "Replay --input by the clock, not as fast as it goes, as if live."
        )


def define_detection() -> None:
    """Defines the flags that say when something is heard, and what becomes an event."""
    events, gate, segments = EventConfig(), GateConfig(), SegmentConfig()
    with group("Events", ("min_score", "unknown", "gate", "hop_seconds", "merge_seconds")):
        flags.DEFINE_list(
            "min_score",
            [],
            "Score from 0 to 1 that a label needs, as 0.5, or 0.5,dog=0.7 for single labels; "
            "below, a sound is 'unknown'. Raise it against false alarms. Default: what the model "
            "suggests.",
        )
        flags.DEFINE_bool(
            "unknown", events.report_unknown, "Report sounds that no label has enough score for."
        )
        flags.DEFINE_enum(
            "gate",
            gate.kind,
            GATES,
            "What counts as sound worth labelling. auto: level above the room, and webrtcvad; "
            "always: everything but silence, for recordings that are sound throughout.",
        )
        flags.DEFINE_float(
            "hop_seconds",
            segments.hop_seconds,
            "Seconds from one label of a sound to the next. Raise it on slow machines.",
        )
        flags.DEFINE_float(
            "merge_seconds",
            events.merge_seconds,
            "Events of one label that are fewer seconds apart become one.",
        )
        flags.DEFINE_integer(
            "vad_mode",
            gate.vad_mode,
            "Aggressiveness of webrtcvad, from 0 (hears most) to 3 (hears least).",
        )
        flags.DEFINE_integer(
            "trigger_frames",
            segments.trigger_frames,
            "Active frames of 10 ms in a row that open the gate. Raise it against clicks.",
        )
        flags.DEFINE_float(
            "hang_seconds",
            segments.hang_seconds,
            "Seconds of quiet that close the gate. Raise it to keep sounds with pauses whole.",
        )
        flags.DEFINE_float(
            "preroll_seconds",
            segments.preroll_seconds,
            "Seconds kept from before the gate opens, so that onsets are not cut off.",
        )


def define_output() -> None:
    """Defines the flags that say where events go."""
    with group("Output", ("format", "save_events", "windows")):
        flags.DEFINE_enum("format", "text", FORMATS, "Format of what is printed.")
        flags.DEFINE_string(
            "save_events",
            "",
            "Folder for each event's sound and image, with a line in events.jsonl (a .tflite model "
            "draws no images).",
        )
        flags.DEFINE_bool(
            "windows", False, "Print the scores of every window too (--format=jsonl)."
        )
        flags.DEFINE_integer(
            "top", TOP_CLASSES, "Number of classes shown of a window.", lower_bound=1
        )


def capture_config(values: flags.FlagValues) -> CaptureConfig:
    """Microphone and sample rate to capture with.

    Raises:
      UserError: a value is out of range.
    """
    return CaptureConfig(device=values.device, sample_rate_hz=values.sample_rate)


def listening_config(values: flags.FlagValues, info: ModelInfo) -> ListeningConfig:
    """Makes the configuration of listening with a model.

    Raises:
      UserError: a value is out of range, or the model has no such label.
    """
    gate = GateConfig(kind=values.gate, vad_mode=values.vad_mode)
    if values.input:
        # A recording doesn't click when it starts, as devices do.
        gate = dataclasses.replace(gate, startup_seconds=0.0)
    return ListeningConfig(
        gate=gate,
        segments=SegmentConfig(
            trigger_frames=values.trigger_frames,
            hang_seconds=values.hang_seconds,
            preroll_seconds=values.preroll_seconds,
            hop_seconds=values.hop_seconds,
        ),
        events=EventConfig(
            min_scores=parse_min_score(values.min_score, info.labels, info.min_score),
            report_unknown=values.unknown,
            merge_seconds=values.merge_seconds,
        ),
    )
