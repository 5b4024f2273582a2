"""Recordings that the model has never heard, played to the virtual microphone."""

from __future__ import annotations

import csv
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e import programs, tiny_data
from tests.live.pulse import PulseAudio
from tests.live.serving import Serving, is_event

# It plays for two and a half minutes, and trains before that.
pytestmark = [pytest.mark.nightly, pytest.mark.assets]

A_CLASS = 2
LEAST_RIGHT = 17
# A segment is over half a second after its sound, its event a second later.
_EVENTS_COME_SECONDS = 2.5


def rows(esc10: Path) -> list[dict[str, str]]:
    with (esc10 / "meta" / "esc50.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(esc10: Path, inception: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on folds 1 to 4: the one that is exported learns from all it is given."""
    folder = tmp_path_factory.mktemp("live")
    learned = [
        (f"audio/{row['filename']}", row["category"], row["src_file"])
        for row in rows(esc10)
        if row["fold"] != "5"
    ]
    table = tiny_data.write_table(folder / "folds.csv", ["path", "label", "group"], learned)
    programs.train(
        "--dataset=csv",
        f"--manifest={table}",
        f"--data_dir={esc10}",
        f"--extractor={inception}",
        "--evaluate=holdout",
        f"--output_dir={folder / 'run'}",
        cache=folder / "cache",
    )
    return folder / "run" / "saved_model"


def fixed_list(esc10: Path) -> list[tuple[Path, str]]:
    """The first two of each class in fold 5."""
    count: Counter[str] = Counter()
    chosen = []
    for row in rows(esc10):
        if row["fold"] == "5" and count[row["category"]] < A_CLASS:
            count[row["category"]] += 1
            chosen.append((esc10 / "audio" / row["filename"], row["category"]))
    return sorted(chosen, key=lambda pair: pair[1])


def test_new_recordings_are_noticed_and_named(
    model: Path, esc10: Path, pulseaudio: PulseAudio
) -> None:
    clips = fixed_list(esc10)
    assert len(clips) == 20
    noticed = right = 0
    with Serving(model, pulseaudio.variables) as serving:
        serving.wait_until_ready()
        for path, label in clips:
            before = len(serving.records)
            pulseaudio.play(path)
            time.sleep(_EVENTS_COME_SECONDS)
            serving.forget()
            events = [record for record in serving.records[before:] if is_event(record)]
            lasted: Counter[str] = Counter()
            for event in events:
                lasted[event["label"]] += event["end_seconds"] - event["start_seconds"]
            named = lasted.most_common(1)[0][0] if lasted else "nothing"
            noticed += bool(events)
            right += named == label
            print(f"\n{path.name}  {label}: {named}  {len(events)} events", end="")
        summary = serving.stop()
    print(f"\nnoticed {noticed} of 20, right {right} of 20\n{summary}")
    assert noticed == 20
    assert right >= LEAST_RIGHT
