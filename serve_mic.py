"""Labels sounds live: a microphone's, or those of recordings replayed like one.

    serve_mic.py --model=runs/esc50/saved_model
    serve_mic.py --model=runs/esc50/saved_model --input=recording.wav --format=jsonl
    serve_mic.py --model=runs/esc50/tflite/model_int8.tflite    # needs no TensorFlow

On a terminal it shows the level, what is heard and the last events; into a pipe it prints a line
an event. Ctrl-C ends it with a summary.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.errors import UnreadableError, UserError, check
from sound_pipeline.live import flags as live_flags
from sound_pipeline.live.event_files import EventSaver, prepare_folder
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.live.microphone.capture import list_devices, open_microphone
from sound_pipeline.live.output import Output
from sound_pipeline.live.outputs import make_output
from sound_pipeline.live.session import listen
from sound_pipeline.live.sources import MicrophoneSource, Replay, Source
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.models.info import ModelInfo, is_lite, read_info
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system import program
from sound_pipeline.system.flag_groups import group

# What a model is warmed up at before a recording's own rate is known.
_USUAL_RATE_HZ = 44100


def define_flags() -> None:
    """Defines the program's flags, stage by stage."""
    with group("Model", ("model",)):
        flags.DEFINE_string(
            "model", "", "Exported model: OUTPUT_DIR/saved_model, or a .tflite file made of it."
        )
        flags.DEFINE_integer(
            "threads",
            0,
            "Number of processor cores that a .tflite model uses; 0: all.",
            lower_bound=0,
        )
    live_flags.define_sources()
    live_flags.define_detection()
    live_flags.define_output()
    system_flags.define_precision()


def main(arguments: list[str]) -> int:
    """Listens; the exit status is 1 where a recording can't be read."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    if values.list_devices:
        program.say(*list_devices().splitlines())
        return 0
    if not values.model:
        raise UserError("--model: name an exported model, such as runs/demo/saved_model")
    recordings = [found.path for found in find_recordings(values.input)]
    info = read_info(Path(values.model))
    session = Session(values, info)
    return session.replay(recordings) if recordings else session.listen_to_microphone()


class Session:
    """One call of the program."""

    def __init__(self, values: flags.FlagValues, info: ModelInfo) -> None:
        """Checks the flags.

        Raises:
          UserError: a value is out of range, or doesn't go with the model; --save_events can't be
            written.
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
        self._config = live_flags.listening_config(values, info)
        self._statistics = SessionStatistics()
        if values.save_events:
            # Before the model and the microphone, which take seconds.
            prepare_folder(Path(values.save_events))

    def listen_to_microphone(self) -> int:
        """Listens until Ctrl-C, or for --seconds."""
        values = self._values
        with (
            open_microphone(live_flags.capture_config(values)) as microphone,
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
        bad = 0
        with self._output() as output, self._model(_USUAL_RATE_HZ) as model:
            try:
                # Both import TensorFlow: one that is interrupted leaves the other waiting.
                model.wait()
                for path in recordings:
                    before = self._statistics.events
                    try:
                        with AudioReader(path, tensorflow=not self._is_lite) as recording:
                            if recording.remark:
                                output.notice(f"{path}: {recording.remark}")
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
