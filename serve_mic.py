"""Labels sounds live: a microphone's, or those of recordings replayed like one.

    serve_mic.py --model=runs/esc50/saved_model
    serve_mic.py --model=runs/esc50/saved_model --input=recording.wav --format=jsonl
    serve_mic.py --model=runs/esc50/tflite/model_int8.tflite    # needs no TensorFlow

On a terminal it shows the level, what is heard and the last events; into a pipe it prints a line
an event. Ctrl-C ends it with a summary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from sound_pipeline.audio.reader import open_recording, open_without_tensorflow
from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.errors import UnreadableError, UserError, check
from sound_pipeline.events.min_scores import parse_min_score
from sound_pipeline.live.event_files import EventSaver
from sound_pipeline.live.gate import GATES, GateConfig
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.live.microphone.capture import CaptureConfig, list_devices, open_microphone
from sound_pipeline.live.output import FORMATS, TOP_CLASSES, Output
from sound_pipeline.live.outputs import make_output
from sound_pipeline.live.segments import SegmentConfig
from sound_pipeline.live.session import ListeningConfig, listen
from sound_pipeline.live.sources import MicrophoneSource, Replay, Source
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.models.info import ModelInfo, is_lite, read_info
from sound_pipeline.system import program

# What a model is warmed up at before a recording's own rate is known.
_USUAL_RATE_HZ = 44100


def define_flags() -> None:
    """Defines the program's flags; defaults are those of the configuration classes."""
    flags.DEFINE_string(
        "model", "", "Exported model: OUTPUT_DIR/saved_model, or a .tflite file made of it."
    )
    flags.DEFINE_integer(
        "threads", 0, "Processor cores a .tflite model uses; 0: all.", lower_bound=0
    )
    program.define_precision()
    flags.DEFINE_string("device", "", "Microphone: a number of --list_devices or part of a name.")
    flags.DEFINE_bool("list_devices", False, "List the microphones and end.")
    flags.DEFINE_integer("sample_rate", 0, "Hz to capture at; 0: the best the device offers.")
    flags.DEFINE_multi_string(
        "input", [], "Recording, or folder of recordings, to replay instead; may be repeated."
    )
    flags.DEFINE_bool("realtime", False, "Replay --input by the clock, not as fast as it goes.")
    flags.DEFINE_float("seconds", 0.0, "Stop listening after so long; 0: never.")

    gate = GateConfig()
    flags.DEFINE_enum("gate", gate.kind, GATES, "What counts as sound worth labelling.")
    flags.DEFINE_integer("vad_mode", gate.vad_mode, "webrtcvad's: 0 hears most, 3 least.")
    segments = SegmentConfig()
    flags.DEFINE_integer(
        "trigger_frames", segments.trigger_frames, "Frames of 10 ms in a row that open the gate."
    )
    flags.DEFINE_float("hang_seconds", segments.hang_seconds, "Quiet that closes the gate.")
    flags.DEFINE_float("preroll_seconds", segments.preroll_seconds, "Kept before the gate opens.")
    flags.DEFINE_float("hop_seconds", segments.hop_seconds, "Between the labels of one sound.")
    events = EventConfig()
    flags.DEFINE_list(
        "min_score",
        [],
        "Score a label needs, such as 0.5, or 0.5,dog=0.7 for single labels; below, a sound is "
        "'unknown'. Default: what the model suggests.",
    )
    flags.DEFINE_bool("unknown", events.report_unknown, "Report sounds that no label is for.")
    flags.DEFINE_float(
        "merge_seconds", events.merge_seconds, "Events of one label closer than this are one."
    )

    flags.DEFINE_enum("format", "text", FORMATS, "Of what is printed.")
    flags.DEFINE_bool("windows", False, "Print every window's scores too (--format=jsonl).")
    flags.DEFINE_integer("top", TOP_CLASSES, "Classes shown of a window.", lower_bound=1)
    flags.DEFINE_string(
        "save_events",
        "",
        "Folder for each event's sound and image (a .tflite model draws none).",
    )


def config_from_flags(values: flags.FlagValues, info: ModelInfo) -> ListeningConfig:
    """How to listen, as the flags say.

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


def main(arguments: list[str]) -> int:
    """Listens; the exit status is 1 where a recording can't be read."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    if values.list_devices:
        print(list_devices())
        return 0
    if not values.model:
        raise UserError("--model: name an exported model, such as runs/demo/saved_model")
    recordings = [found.path for found in find_recordings(values.input)]
    info = read_info(Path(values.model))
    session = Session(values, info)
    # A service manager's way to end a program is as good as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return session.replay(recordings) if recordings else session.listen_to_microphone()


class Session:
    """One call of the program."""

    def __init__(self, values: flags.FlagValues, info: ModelInfo) -> None:
        """Checks the flags.

        Raises:
          UserError: a value is out of range, or doesn't go with the model.
        """
        self._values = values
        self._info = info
        self._is_lite = is_lite(Path(values.model))
        check(
            self._is_lite or not values.threads,
            "--threads: is for .tflite models; TensorFlow uses all cores",
        )
        check(
            not self._is_lite or values.precision in ("auto", "float32"),
            f"--precision={values.precision}: is for SavedModels; a .tflite file has its own",
        )
        self._config = config_from_flags(values, info)
        self._statistics = SessionStatistics()

    def listen_to_microphone(self) -> int:
        """Listens until Ctrl-C, or for --seconds."""
        values = self._values
        config = CaptureConfig(device=values.device, sample_rate_hz=values.sample_rate)
        with (
            open_microphone(config) as microphone,
            self._output() as output,
            self._model(microphone.sample_rate_hz) as model,
        ):
            output.notice(f"listening to {microphone.name} at {microphone.sample_rate_hz} Hz")
            source = MicrophoneSource(microphone, values.seconds or math.inf)
            with contextlib.suppress(KeyboardInterrupt):
                self._listen(source, model, output)
            output.close(self._statistics.summary())
        return 0

    def replay(self, recordings: Sequence[str]) -> int:
        """Listens to recordings, one after the other; a bad one is named and makes the status 1."""
        open_ = open_without_tensorflow if self._is_lite else open_recording
        bad = 0
        with self._output() as output, self._model(_USUAL_RATE_HZ) as model:
            try:
                for path in recordings:
                    before = self._statistics.events
                    try:
                        with open_(path) as recording:
                            source = Replay(
                                path,
                                recording.blocks,
                                recording.sample_rate_hz,
                                is_live=self._values.realtime,
                            )
                            self._listen(source, model, output)
                    except UnreadableError as error:
                        bad += 1
                        output.notice(f"skipped {error}")
                        continue
                    if self._statistics.events == before:
                        output.notice(f"{path}: nothing heard; --gate=always labels everything")
            except KeyboardInterrupt:
                pass
            if bad:
                output.notice(f"{bad} of {len(recordings)} recordings can't be read")
            output.close(self._statistics.summary())
        return program.EXIT_ERROR if bad else 0

    def _listen(self, source: Source, model: LoadingModel, output: Output) -> None:
        saver = None
        if self._values.save_events:
            image = None if self._is_lite else model.image
            saver = EventSaver(Path(self._values.save_events), image, output.notice)
        listen(source, model, self._config, output, self._statistics, saver)

    def _output(self) -> Output:
        values = self._values
        return make_output(
            values.format,
            self._info.labels,
            self._statistics,
            windows=values.windows,
            top=values.top,
        )

    def _model(self, sample_rate_hz: int) -> LoadingModel:
        values = self._values
        return LoadingModel(
            Path(values.model), self._info, sample_rate_hz, values.precision, values.threads
        )


if __name__ == "__main__":
    define_flags()
    program.run(main)
