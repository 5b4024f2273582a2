"""Labels many recordings: plans what is to be done, does it, and goes on where a run stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from sound_pipeline.errors import UnreadableError
from sound_pipeline.events.find_events import NOT_NUMBERS, LabelConfig, WindowScores, find_events
from sound_pipeline.events.text import clock_text
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.label.destinations import Destination
from sound_pipeline.label.journal import Identity, Journal, Result, event_row, identity
from sound_pipeline.system.arrays import Floats

if TYPE_CHECKING:
    import tensorflow as tf

    from sound_pipeline.models.model import Model
    from sound_pipeline.models.window_scores import Answer, BatchAnswer


logger = logging.getLogger("sound_pipeline.label")

# What is lost at the most when a run is killed. Groups are cut from the list of all recordings,
# done or not, so that a run that goes on asks about the same windows together.
_GROUP_FILES = 64
_GROUP_BYTES = 1 << 26
# A group that takes longer is kept in parts.
_SAVE_SECONDS = 10.0
# More threads would not read faster than a model answers.
_MOST_THREADS = 4


@dataclass(frozen=True)
class LabellingTask:
    """Model and settings of labelling recordings.

    Attributes:
      model: an exported model's folder.
      labels: its labels.
      features: how recordings are cut.
      config: how scores become events.
      top: labels that an event is written with.
      precision: what scores are computed in; one of `PRECISIONS`.
    """

    model: Path
    labels: tuple[str, ...]
    features: FeatureConfig
    config: LabelConfig
    top: int
    precision: str = "float32"


def label_all(
    task: LabellingTask, paths: Sequence[str], destination: Destination, journal: Journal | None
) -> list[Result]:
    """Labels recordings by the task's model, which is loaded if there is anything to do.

    Arguments, result and errors are those of `label_with`; the model may not load.
    """

    def load() -> Model:
        # Here, because it imports TensorFlow, which takes seconds.
        from sound_pipeline.models.model import Model

        return Model(task.model, task.precision)

    return label_with(task, load, paths, destination, journal)


def label_with(
    task: LabellingTask,
    load: Callable[[], Model],
    paths: Sequence[str],
    destination: Destination,
    journal: Journal | None,
) -> list[Result]:
    """Labels recordings, with a progress bar on a terminal.

    Args:
      task: what to do.
      load: gives the model, once it is needed.
      paths: recordings, none of them twice.
      destination: where results go.
      journal: what an earlier run found, ready to be added to; None to start anew.

    Returns:
      The result of every recording, in order.

    Raises:
      UserError: something can't be written.
    """
    identities = {path: identity(path) for path in paths}
    results: dict[str, Result] = {}
    for path in paths:
        done = journal.result(path, identities[path]) if journal else None
        if done:
            results[path] = done
    destination.add(results.values())
    if results:
        logger.info("%d of %d recordings were labelled before", len(results), len(paths))
    groups = plan_groups(paths, identities)
    todo = [left for group in groups if (left := [path for path in group if path not in results])]
    if todo:
        for found in _label_groups(task, load(), todo, identities, journal):
            destination.forget(result.path for result in found)
            readable = [result for result in found if not result.error]
            if journal and readable:
                journal.add([(identities[result.path], result) for result in readable])
            destination.add(found)
            results |= {result.path: result for result in found}
    in_order = [results[path] for path in paths]
    destination.finish(in_order)
    return in_order


def plan_groups(paths: Sequence[str], identities: dict[str, Identity]) -> list[list[str]]:
    """Recordings in groups that are labelled and kept together, in order."""
    groups: list[list[str]] = []
    size = 0
    for path in paths:
        size += identities[path].size
        if not groups or len(groups[-1]) == _GROUP_FILES or size > _GROUP_BYTES:
            groups.append([])
            size = identities[path].size
        groups[-1].append(path)
    return groups


def summary(results: Sequence[Result]) -> str:
    """Summarises the results in a line."""
    events = sum(len(result.events) for result in results)
    empty = sum(bool(result.reason) for result in results)
    bad = sum(bool(result.error) for result in results)
    seconds = sum(result.seconds for result in results)
    return (
        f"{len(results)} recordings, {clock_text(seconds)} of sound: {events} events; "
        f"{empty} without any, {bad} can't be read"
    )


def _label_groups(
    task: LabellingTask,
    model: Model,
    groups: Sequence[Sequence[str]],
    identities: dict[str, Identity],
    journal: Journal | None,
) -> Iterator[list[Result]]:
    from sound_pipeline.models.window_scores import answer_groups  # imports TensorFlow

    sizes = [sum(identities[path].size for path in group) for group in groups]
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    files, total_files = 0, sum(map(len, groups))
    with tqdm(total=sum(sizes), desc="label", unit="B", unit_scale=True, disable=None) as progress:
        answer = _Remembering(model.window_scores, journal)
        answered = answer_groups(groups, task.features, answer, threads, progress.update)
        for index, group in enumerate(groups):
            answer.start([(path, *identities[path]) for path in group])
            found = next(answered)
            results = [
                _result(
                    task,
                    path,
                    one if isinstance(one, UnreadableError) else one.as_scores(task.features),
                )
                for path, one in zip(group, found, strict=True)
            ]
            files += len(group)
            progress.update(sum(sizes[: index + 1]) - progress.n)
            progress.set_postfix_str(f"{files}/{total_files} files")
            yield results


class _Remembering:
    """Asks a model, and keeps what it says of groups that take long: of hours of sound, say.

    The calls for a group depend on the group alone, so those that an earlier run has made needn't
    be made again.
    """

    def __init__(self, answer: Answer, journal: Journal | None) -> None:
        self._answer = answer
        self._journal = journal
        self._group = ""
        self._known: Iterator[Floats] = iter(())
        self._unsaved: list[Floats] = []
        self._saved_at = time.monotonic()

    def start(self, recordings: Sequence[tuple[str, int, int]]) -> None:
        """Takes what tells the next group from others."""
        self._group = hashlib.sha256(json.dumps(recordings).encode()).hexdigest()
        self._known = iter(self._journal.answers(self._group) if self._journal else ())
        self._unsaved = []
        self._saved_at = time.monotonic()

    def __call__(self, windows: tf.Tensor, sample_rate_hz: int) -> BatchAnswer:
        from sound_pipeline.models.window_scores import BatchAnswer  # imports TensorFlow

        known = next(self._known, None)
        if known is not None:
            return BatchAnswer(known[:, :-1], known[:, -1])
        answer = self._answer(windows, sample_rate_hz)
        if self._journal:
            self._unsaved.append(np.column_stack(answer))
            if time.monotonic() - self._saved_at >= _SAVE_SECONDS:
                self._journal.add_answers(self._group, self._unsaved)
                self._unsaved = []
                self._saved_at = time.monotonic()
        return answer


def _result(task: LabellingTask, path: str, found: WindowScores | UnreadableError) -> Result:
    if isinstance(found, UnreadableError):
        logger.warning("%s", found)
        return Result(path, error=found.reason)
    if not found.are_numbers:
        logger.warning("%s: %s", path, NOT_NUMBERS)
        return Result(path, error=NOT_NUMBERS)
    events, reason = find_events(found, task.labels, task.config)
    return Result(
        path,
        tuple(event_row(event, task.labels, task.top) for event in events),
        reason,
        seconds=found.seconds,
        sample_rate_hz=found.sample_rate_hz,
    )
