"""Recordings that are the same at another level or rate, in another codec, or cut."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.audio.resampling import resample
from sound_pipeline.embeddings import similar
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.embeddings.similar import (
    LEAST_COSINE,
    find_similar,
    known_similar,
    similar_recordings,
)
from tests.helpers.sounds import Floats, write_wav


def embeddings_of(values: np.ndarray, recording: list[int]) -> Embeddings:
    nothing = np.zeros([0, values.shape[1]], np.float32)
    owners = np.array(recording, np.int32)
    return Embeddings(values.astype(np.float32), owners, nothing, owners[:0], {})


@pytest.mark.parametrize("at_once", [3, 4096])
def test_the_most_alike_windows_of_a_pair_count(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(similar, "_WINDOWS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    # All point much the same way, as networks' embeddings do, and one number is always the same.
    values = 50 + random.normal(size=(40, 64))
    values[31] = values[2] + random.normal(0, 0.02, 64)
    values[30] = values[3] + random.normal(0, 0.2, 64)
    values[21] = values[20]
    values[:, 5] = 7.0
    owners = [number // 4 for number in range(40)]
    found = find_similar(embeddings_of(values, owners), 0.9)
    assert [(pair.first, pair.second) for pair in found] == [(0, 7)]
    apart = (values - values.mean(axis=0))[:, np.arange(64) != 5]
    apart /= apart.std(axis=0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    assert found[0].cosine == pytest.approx(float(apart[2] @ apart[31]), abs=1e-4)
    many = find_similar(embeddings_of(values, owners), -1.0)
    assert len(many) == 45 and many == sorted(many, key=lambda pair: -pair.cosine)


def encoded(waveform: Floats, rate_hz: int, kind: str, subtype: str) -> Floats:
    file = io.BytesIO()
    soundfile.write(file, waveform, rate_hz, format=kind, subtype=subtype)
    file.seek(0)
    decoded: Floats = soundfile.read(file, dtype="float32")[0]
    return decoded


@pytest.mark.slow
@pytest.mark.assets
def test_changed_recordings_are_found_and_others_are_not(esc10: Path, tmp_path: Path) -> None:
    names = sorted((esc10 / "audio").iterdir())[::20]
    whole = [soundfile.read(path, dtype="float32") for path in names]
    changes = {
        "quiet": lambda sound, rate: (0.25 * sound, rate),
        "8 kHz": lambda sound, rate: (resample(sound, rate, 8000), 8000),
        "MP3": lambda sound, rate: (encoded(sound, rate, "MP3", "MPEG_LAYER_III"), rate),
        "cut": lambda sound, rate: (sound[rate // 3 : -rate // 2], rate),
    }
    assert not known_similar([str(path) for path in names], tmp_path / "cache")
    for name, change in changes.items():
        folder = tmp_path / name
        folder.mkdir()
        again = [
            write_wav(folder / f"{number}.wav", *change(*sound))
            for number, sound in enumerate(whole)
        ]
        paths = [*map(str, names), *again]
        found = similar_recordings(paths, tmp_path / "cache")
        pairs = {(pair.first, pair.second) for pair in found}
        same = {(number, number + len(names)) for number in range(len(names))}
        assert len(pairs & same) >= (len(same) - 2 if name == "cut" else len(same)), name
        # Each of two that are alike in themselves is alike to both forms of the other.
        others = {frozenset((one % len(names), other % len(names))) for one, other in pairs - same}
        assert len(others) <= 2, name
        assert min(pair.cosine for pair in found) >= LEAST_COSINE
        assert known_similar(paths, tmp_path / "cache") == found
        assert known_similar([*paths, str(tmp_path / "new.wav")], tmp_path / "cache") is None
