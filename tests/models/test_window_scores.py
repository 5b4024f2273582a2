"""Windows of many recordings, read ahead and asked about together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.errors import UnreadableError
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.window_stream import WindowStream
from sound_pipeline.features.windows import WINDOWS_AT_ONCE
from sound_pipeline.models.window_scores import BatchAnswer, WindowAnswers, answer_groups
from tests.helpers import sounds

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5, overlap=0.5))
RATES = (8000, 11025)


class Asked:
    """A model that answers a window's mean, rate and power; it remembers what it was asked."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def __call__(self, tensor: tf.Tensor, rate: int) -> BatchAnswer:
        windows = tensor.numpy()
        assert windows.shape[1] == round(0.5 * rate) and windows.dtype == np.float32
        self.shapes.append((rate, len(windows)))
        values = np.stack([windows.mean(axis=1), np.full(len(windows), rate)], axis=1)
        return BatchAnswer(values, np.square(windows).mean(axis=1))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray | None]:
    """By path: waveforms of two rates and many lengths; None for what is no recording."""
    folder = tmp_path_factory.mktemp("recordings")
    made: dict[str, np.ndarray | None] = {}
    for number in range(24):
        rate = RATES[number % 5 == 3]
        waveform = sounds.noise(round(rate * (0.1 + 0.37 * number)), seed=number)
        made[sounds.write_wav(folder / f"{number:02}.wav", waveform, rate)] = waveform
    (folder / "bad.wav").write_bytes(b"none")
    made[str(folder / "bad.wav")] = None
    return dict(sorted(made.items()))


def answers(
    groups: Sequence[Sequence[str]], threads: int = 3
) -> tuple[list[WindowAnswers | UnreadableError], Asked]:
    asked = Asked()
    found = [one for group in answer_groups(groups, CONFIG, asked, threads) for one in group]
    return found, asked


@pytest.mark.parametrize("threads", [1, 4])
def test_every_window_gets_its_own_answer(
    recordings: dict[str, np.ndarray | None], threads: int
) -> None:
    paths = list(recordings)
    found, asked = answers([paths], threads)
    assert len(found) == len(paths)
    windows = {rate: 0 for rate in RATES}
    for path, one in zip(paths, found, strict=True):
        waveform = recordings[path]
        if waveform is None:
            assert isinstance(one, UnreadableError) and path in str(one)
            continue
        assert isinstance(one, WindowAnswers)
        expected = list(WindowStream([waveform], one.sample_rate_hz, CONFIG))
        assert one.starts == [window.start for window in expected]
        assert one.ends == [window.end for window in expected]
        np.testing.assert_allclose(
            one.answers, [(w.waveform.mean(), one.sample_rate_hz) for w in expected], atol=1e-6
        )
        np.testing.assert_allclose(one.power, [np.mean(w.waveform**2) for w in expected], rtol=1e-5)
        windows[one.sample_rate_hz] += len(expected)
    # As few calls as there can be, and none larger than all others.
    for rate, count in windows.items():
        sizes = [size for asked_rate, size in asked.shapes if asked_rate == rate]
        assert sizes == [WINDOWS_AT_ONCE] * (count // WINDOWS_AT_ONCE) + [
            rest for rest in [count % WINDOWS_AT_ONCE] if rest
        ]


def test_calls_of_a_group_depend_on_the_group_alone(
    recordings: dict[str, np.ndarray | None],
) -> None:
    paths = list(recordings)
    groups = [paths[:7], paths[7:9], paths[9:]]
    _, together = answers(groups)
    apart = [answers([group])[1].shapes for group in groups]
    assert together.shapes == [shape for shapes in apart for shape in shapes]


def test_bytes_are_told(recordings: dict[str, np.ndarray | None]) -> None:
    told: list[int] = []
    path = max(recordings, key=lambda path: Path(path).stat().st_size)
    list(answer_groups([[path]], CONFIG, Asked(), 1, told.append))
    assert sum(told) == Path(path).stat().st_size


def test_stopping_early_ends_the_threads(recordings: dict[str, np.ndarray | None]) -> None:
    groups = [[path] for path in recordings]
    before = threading.active_count()
    answered = answer_groups(groups, CONFIG, Asked(), 3)
    next(answered)
    answered.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_goes_wrong_with_the_model_is_raised(
    recordings: dict[str, np.ndarray | None],
) -> None:
    def broken(*_: object) -> BatchAnswer:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(answer_groups([list(recordings)], CONFIG, broken, 2))


def test_what_goes_wrong_in_a_thread_is_raised(
    recordings: dict[str, np.ndarray | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("sound_pipeline.models.window_scores.WindowStream", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        answers([[path for path in recordings if "bad" not in path]])
