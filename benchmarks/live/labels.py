"""How well live listening names recordings, and what filling the model's window does for it.

    benchmarks/live/labels.py --model=runs/folds1-4/saved_model --data_dir=ESC-50-master --fold=5

Every ESC-10 recording of a fold that the model has not learned from is heard between two seconds
of faint noise. Prints, for windows padded with silence and for windows filled as built, how many
recordings were noticed, had the right label in their first window, and as the label that lasted
longest; last, a line of JSON.
"""

from __future__ import annotations

import collections
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from absl import app, flags

from sound_pipeline.audio.decoding import decode_whole
from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.events.min_scores import MinScores
from sound_pipeline.live.gate import GateConfig, make_gate
from sound_pipeline.live.recogniser import Recogniser, WindowClassifier
from sound_pipeline.live.segments import Window
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.models.model import Model

flags.DEFINE_string("model", None, "Exported model.", required=True)
flags.DEFINE_string("data_dir", None, "ESC-50.", required=True)
flags.DEFINE_integer("fold", 5, "Fold to listen to.")

_QUIET_SECONDS = 2.0
_NOISE = 1e-4


class PaddedWithSilence(Recogniser):
    """Leaves the filling to the model, which pads with silence."""

    def _filled(self, window: Window) -> npt.NDArray[np.float32]:
        return window.samples


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    del arguments
    values = flags.FLAGS
    model = Model(Path(values.model))
    manifest = load_manifest(DatasetConfig("esc50", values.data_dir, subset="esc10"))
    clips = [recording for recording in manifest.recordings if recording.fold == values.fold]
    figures = {}
    for name, kind in (("padded with silence", PaddedWithSilence), ("as built", Recogniser)):
        random = np.random.default_rng(0)
        count = dict.fromkeys(("clips", "noticed", "first_window_right", "right", "events"), 0)
        for clip in clips:
            waveform, rate, _, _ = decode_whole(clip.path)
            around = np.zeros(round(_QUIET_SECONDS * rate), np.float32)
            stream = np.concatenate([around, waveform, around])
            stream += random.normal(0, _NOISE, len(stream)).astype(np.float32)
            firsts: list[str] = []

            def classify(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
                scores = model.scores(samples, rate)
                firsts.append(model.info.labels[int(scores.argmax())])  # noqa: B023
                return scores

            recogniser = kind(
                WindowClassifier(classify, model.info.labels, model.info.window_seconds),
                make_gate(GateConfig(), rate),
                rate,
                events=EventConfig(MinScores(model.info.min_score)),
            )
            events = recogniser.feed(stream) + recogniser.finish()
            lasted: dict[str, float] = collections.defaultdict(float)
            for event in events:
                lasted[event.label] += event.end_seconds - event.start_seconds
            count["clips"] += 1
            count["events"] += len(events)
            count["noticed"] += bool(events)
            count["first_window_right"] += firsts[:1] == [clip.label]
            count["right"] += bool(lasted) and max(lasted, key=lasted.__getitem__) == clip.label
        figures[name] = count
        print(f"{name:<20}" + "  ".join(f"{key} {number}" for key, number in count.items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    app.run(main)
