"""Recordings on disk to batches: nothing lost, nothing mixed up, whatever lies between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from sound_pipeline.audio import decoding
from sound_pipeline.audio.decoding import decode_file, decode_file_in_graph
from sound_pipeline.audio.resampling import resample
from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.copies import Plan
from sound_pipeline.augmentation.waveform import augment
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.beginnings import split_beginnings
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.windows import split_windows
from sound_pipeline.input_pipeline.batches import FILLER, Batch
from sound_pipeline.input_pipeline.read import READ_HERE
from sound_pipeline.input_pipeline.window_graph import Decode, window_batches
from sound_pipeline.system.filesystem import read_bytes
from tests.helpers import encoded, sounds

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.4, overlap=0.5))
BATCH = 4

# Seconds, rate and channels of recordings of several kinds and lengths.
RECORDINGS = (
    (0.1, 22050, 1),
    (0.4, 22050, 2),
    (1.1, 16000, 1),
    (2.3, 44100, 2),
    (0.7, 22050, 1),
    (1.7, 44100, 1),
    (0.5, 8000, 4),
)
UNREADABLE = {
    "empty.wav": (b"", "empty"),
    "junk.wav": (b"\x00\xff" * 500, "libsndfile"),
    "cut.wav": (b"RIFF\x00\x00\x00\x00WAVEfmt ", "WAV"),
}


class Row(NamedTuple):
    """One window of a batch."""

    path: str
    window: int
    windows: int
    reason: str
    prepared: sounds.Floats


def summary(waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
    """Stands for an extractor's `prepare`: tells windows and rates apart."""
    energy = tf.reduce_sum(tf.square(waveform), axis=1)
    rate = tf.fill(tf.shape(energy), tf.cast(sample_rate_hz, tf.float32))
    return tf.stack([waveform[:, 0], waveform[:, -1], energy, rate], axis=1)


def rows_of(batches: Iterable[Batch], paths: Sequence[str]) -> list[Row]:
    """All windows, without what fills the batches up."""
    return [
        Row(paths[recording], window, windows, reason.decode(), prepared)
        for batch in batches
        for recording, window, windows, reason, prepared in zip(
            batch.recording,
            batch.window,
            batch.windows,
            batch.reason,
            np.asarray(batch.prepared),
            strict=True,
        )
        if recording != FILLER
    ]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The recordings; the second last of the windows of the fourth is quiet."""
    folder = tmp_path_factory.mktemp("recordings")
    written = []
    for number, (seconds, rate_hz, channels) in enumerate(RECORDINGS):
        frames = sounds.noise(round(seconds * rate_hz) * channels, seed=number)
        if number == 3:
            frames[round(0.6 * len(frames)) : round(0.85 * len(frames))] *= 1e-3
        path = folder / f"{number}.wav"
        written.append(sounds.write_wav(path, frames.reshape(-1, channels), rate_hz))
    return written


@pytest.fixture(scope="module")
def mixed(paths: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The recordings between files that are none."""
    folder = tmp_path_factory.mktemp("unreadable")
    bad = []
    for name, (contents, _) in UNREADABLE.items():
        (folder / name).write_bytes(contents)
        bad.append(str(folder / name))
    slow = sounds.write_wav(folder / "slow.wav", sounds.noise(500), 500)
    return [bad[0], *paths[:4], *bad[1:], *paths[4:], slow]


def expected_windows(path: str) -> sounds.Floats:
    """The audible windows of one recording and its beginning, summarised."""
    waveform, rate_hz = encoded.by_libsndfile(Path(path).read_bytes())
    rate = tf.constant(rate_hz)
    windows = split_windows(waveform[None], rate, CONFIG)
    audible = windows.waveform[0][windows.audible[0]]
    (beginning,) = split_beginnings(tf.constant(waveform), rate, CONFIG)
    expected: sounds.Floats = summary(tf.concat([audible, beginning[None]], 0), rate).numpy()
    return expected


@pytest.fixture(scope="module")
def rows(mixed: list[str]) -> list[Row]:
    return rows_of(READ_HERE.read(mixed, summary, CONFIG, BATCH), mixed)


def assert_all_windows_come_once(rows: list[Row], paths: list[str]) -> None:
    expected = {path: expected_windows(path) for path in paths}
    rows = [row for row in rows if row.path in expected]
    assert sorted((row.path, row.window) for row in rows) == sorted(
        (path, window) for path, windows in expected.items() for window in range(len(windows))
    )
    for row in rows:
        assert row.reason == ""
        assert row.windows == len(expected[row.path])
        found = expected[row.path][row.window]
        np.testing.assert_allclose(row.prepared, found, rtol=1e-4, atol=1e-5, err_msg=row.path)


def test_every_audible_window_comes_once_and_whole(paths: list[str], rows: list[Row]) -> None:
    counts = [len(expected_windows(path)) for path in paths]
    assert min(counts) == 2
    assert max(counts) > BATCH
    assert_all_windows_come_once(rows, paths)


def test_quiet_windows_are_left_out(paths: list[str]) -> None:
    samples = round(2.3 * 44100)
    everything = split_windows(sounds.noise(samples)[None], tf.constant(44100), CONFIG)
    assert len(expected_windows(paths[3])) - 1 < everything.waveform.shape[1]


def test_unreadable_files_give_a_reason_and_stop_nothing(mixed: list[str], rows: list[Row]) -> None:
    words = {name: word for name, (_, word) in UNREADABLE.items()} | {"slow.wav": "500 Hz"}
    bad = {Path(row.path).name: row for row in rows if row.reason}
    assert set(bad) == set(words)
    for name, row in bad.items():
        assert words[name] in row.reason
        assert (row.window, row.windows) == (0, 1)
        assert not row.prepared[:3].any()
    assert sum(bool(row.reason) for row in rows) == len(bad)
    assert {row.path for row in rows} == set(mixed)


@pytest.fixture(scope="module")
def motley(paths: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths by name: every format under a wrong ending, and damaged, missing and other files."""
    folder = tmp_path_factory.mktemp("motley")
    endings = ("wav", "mp3", "flac", "ogg", "aiff", "txt", "")
    whole = {
        f"{name}.{endings[number % len(endings)]}": contents
        for number, (name, contents) in enumerate(encoded.every_format().items())
    }
    # Several windows and several channels, in the graph and by libsndfile.
    whole |= {
        "long.wav": encoded.encode("MP3", "MPEG_LAYER_III", 44100, 2, 60_000),
        "long": encoded.encode("OGG", "VORBIS", 44100, 2, 60_000),
        "long.ogg": encoded.encode("FLAC", "PCM_16", 44100, 2, 60_000),
    }
    flac, mp3, vorbis = (whole[name] for name in ("long.ogg", "long.wav", "long"))
    damaged = {
        "cut.flac": flac[:-5000],
        "hurt.flac": encoded.flip(flac, 40_000, 40_001),
        "more.flac": encoded.claim_flac_samples(flac, 2**30),
        "cut.mp3": mp3[:-500],
        "hurt.mp3": encoded.flip(mp3, *range(6000, 6100)),
        "more.mp3": encoded.claim_mp3_frames(mp3, 2**30),
        "cut.ogg": vorbis[:-500],
        "hurt.ogg": encoded.flip(vorbis, 6000),
        "two.ogg": vorbis + encoded.encode("OGG", "VORBIS", 44100, 1),
        "header.flac": flac[:60],
        "header.mp3": encoded.tag_id3(b"", 300),
        "header.ogg": vorbis[:58],
        "header.aiff": encoded.encode("AIFF", "PCM_16")[:40],
        "adpcm.wav": encoded.encode("WAV", "IMA_ADPCM", 22050)[:70],
        "junk.mp3": b"\xff\xfb\x90\x00" + bytes(range(256)) * 4,
        "junk.wav": bytes(range(256)) * 4,
        "empty.ogg": b"",
    }
    for name, contents in (whole | damaged).items():
        (folder / name).write_bytes(contents)
    (folder / "folder.wav").mkdir()
    names = ["missing.wav", *whole, "folder.wav", *damaged]
    return {name: str(folder / name) for name in names}


@pytest.mark.slow
def test_every_recording_of_a_motley_folder_arrives(motley: dict[str, str]) -> None:
    everything = list(motley.values())
    rows = rows_of(READ_HERE.read(everything, summary, CONFIG, BATCH), everything)
    by_name: dict[str, list[Row]] = {
        name: [row for row in rows if row.path == path] for name, path in motley.items()
    }
    for name, found in by_name.items():
        assert [row.windows for row in found] == [len(found)] * len(found), name
        assert sorted(row.window for row in found) == list(range(max(1, len(found)))), name
        assert len({row.reason for row in found}) == 1, name
        assert "\n" not in found[0].reason
    whole = [name for name in motley if name.startswith(("long", *encoded.every_format()))]
    assert len(whole) >= len(encoded.every_format()) + 3
    assert_all_windows_come_once(rows, [motley[name] for name in whole])
    reasons = {name: found[0].reason for name, found in by_name.items()}
    for name in ("empty.ogg", "missing.wav", "folder.wav", *(n for n in motley if "header" in n)):
        assert reasons[name], name
    assert "No such file" in reasons["missing.wav"]
    assert "directory" in reasons["folder.wav"]
    # What libsndfile saves comes without a reason.
    for name in ("more.flac", "more.mp3", "two.ogg"):
        assert reasons[name] == "", name
        assert len(by_name[name]) > 1, name
    for found in by_name.values():
        assert all(row.prepared[:3].any() != bool(row.reason) for row in found)


@pytest.mark.slow
def test_what_only_libsndfile_reads_is_no_less_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    path.write_bytes(encoded.encode("FLAC", "PCM_16", 8000, 1, 20_000))
    columns = list(window_batches([str(path)], decode_file_in_graph, summary, CONFIG, 3))
    assert len(columns) == 1
    assert columns[0]["unsupported"].numpy().tolist() == [True, False, False]
    batches = list(READ_HERE.read([str(path)], summary, CONFIG, 3))
    assert (batches[0].recording == 0).all()
    assert_all_windows_come_once(rows_of(batches, [str(path)]), [str(path)])


@pytest.mark.slow
def test_every_file_is_read_once(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any encoding; damaged ones, and those that are missing, too."""
    mp3 = encoded.encode("MP3", "MPEG_LAYER_III", 44100, 2, 60_000)
    contents = {
        "a.flac": encoded.encode("FLAC", "PCM_16", 8000, 1, 20_000),
        "adpcm.wav": encoded.encode("WAV", "IMA_ADPCM", 22050),
        "whole.mp3": mp3,
        "cut.mp3": mp3[:-500],
        "junk.wav": bytes(range(256)) * 4,
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    everything = [*paths[:3], *(str(tmp_path / name) for name in (*contents, "missing.wav"))]
    reads: list[str] = []

    def noted(path: str) -> bytes:
        reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(decoding, "read_bytes", noted)
    rows = rows_of(READ_HERE.read(everything, summary, CONFIG, BATCH), everything)
    assert sorted(reads) == sorted(everything[:-1])
    assert {row.path for row in rows} == set(everything)
    # There is no other op that reads.
    dataset = window_batches(everything, decode_file, summary, CONFIG, BATCH)
    assert "ReadFile" not in operations(dataset)


def operations(dataset: tf.data.Dataset) -> set[str]:
    """The names of all ops in a data set's graph and functions."""
    graph = tf.compat.v1.GraphDef.FromString(
        tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy()
    )
    return encoded.ops(graph)


@pytest.mark.parametrize(
    ("decode", "is_python"), [(decode_file_in_graph, False), (decode_file, True)]
)
def test_only_the_graph_for_workers_is_without_python(
    mixed: list[str], decode: Decode, is_python: bool
) -> None:
    ops = operations(window_batches(mixed, decode, summary, CONFIG, BATCH))
    assert ("ReadFile" in ops) == (not is_python)
    assert any("PyFunc" in op for op in ops) == is_python


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 64])
def test_every_batch_has_one_shape_and_fillers_are_silent(
    mixed: list[str], batch_size: int
) -> None:
    dataset = window_batches(mixed, decode_file_in_graph, summary, CONFIG, batch_size)
    shapes = {name: tuple(column.shape) for name, column in dataset.element_spec.items()}
    columns = ("recording", "window", "windows", "reason", "remark", "unsupported")
    assert shapes == {"prepared": (batch_size, 4), **dict.fromkeys(columns, (batch_size,))}
    batches = [{name: column.numpy() for name, column in tensors.items()} for tensors in dataset]
    for batch in batches:
        assert {name: column.shape for name, column in batch.items()} == shapes
    fillers = [batch["recording"] == FILLER for batch in batches]
    # Whatever their rates, windows fill all batches but the last.
    assert not np.any(fillers[:-1])
    assert fillers[-1].any()
    assert not fillers[-1].all()
    assert len(np.unique(np.concatenate([batch["prepared"][:, 3] for batch in batches]))) > 2
    last = {name: column[fillers[-1]] for name, column in batches[-1].items()}
    assert not last["prepared"].any()
    assert set(last["reason"]) == {b""}
    assert not last["unsupported"].any()


@pytest.mark.slow
def test_a_long_recording_is_prepared_in_parts(tmp_path: Path) -> None:
    path = sounds.write_wav(tmp_path / "long.wav", sounds.noise(22050 * 4), 22050)
    sizes = []

    def noting(waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda size: sizes.append(int(size)), [tf.shape(waveform)[0]], [])
        return summary(waveform, sample_rate_hz)

    batches = list(READ_HERE.read([path], noting, CONFIG, BATCH))
    assert max(sizes) == BATCH
    assert sum(sizes) == len(expected_windows(path)) > 3 * BATCH
    assert_all_windows_come_once(rows_of(batches, [path]), [path])


def test_no_recordings_give_no_batches() -> None:
    assert list(READ_HERE.read([], summary, CONFIG, BATCH)) == []


@pytest.mark.slow
def test_an_embedding_does_not_depend_on_its_company(paths: list[str]) -> None:
    extractor = GaborExtractor(CONFIG)
    forward = tf.function(extractor)

    def embeddings(company: list[str]) -> sounds.Floats:
        """Those of the fifth recording, [windows, D], made among those of `company`."""
        rows = {}
        for batch in READ_HERE.read(company, extractor.prepare, CONFIG, 8):
            own = batch.recording == company.index(paths[4])
            values = forward(batch.prepared).numpy()
            rows |= dict(zip(batch.window[own], values[own], strict=True))
        return np.stack([rows[window] for window in sorted(rows)])

    alone = embeddings([paths[4]])
    assert len(alone) > 1
    np.testing.assert_array_equal(embeddings(paths), alone)
    np.testing.assert_array_equal(embeddings([paths[4], *paths[:2]]), alone)


def expected_copy(
    path: str, seed: npt.NDArray[np.int32], config: AugmentationConfig, beside: str = ""
) -> sounds.Floats:
    """The windows of an augmented recording, summarised."""
    waveform, rate_hz = encoded.by_libsndfile(Path(path).read_bytes())
    background = None
    if beside:
        background, background_hz = encoded.by_libsndfile(Path(beside).read_bytes())
        background = resample(background, background_hz, rate_hz)
    rate = tf.constant(rate_hz)
    changed, heard = augment(tf.constant(waveform), rate, seed, config, background)
    windows = split_windows(changed[None], rate, CONFIG, heard[None])
    beginnings = split_beginnings(changed, rate, CONFIG, heard)
    audible = windows.waveform[0][windows.audible[0]]
    found: sounds.Floats = summary(tf.concat([audible, beginnings], 0), rate).numpy()
    return found


@pytest.mark.slow
def test_a_plan_augments_each_recording_by_its_own_seed_before_it_is_cut(mixed: list[str]) -> None:
    config = AugmentationConfig(kinds=("shift", "noise"), stretch_seconds=0.4)
    flac = Path(mixed[0]).with_name("one.flac")
    flac.write_bytes(encoded.encode("FLAC", "PCM_16", 8000, 1, 10_000))
    everything = [*mixed, str(flac)]
    seeds = np.random.default_rng(0).integers(0, 999, [len(everything), 2]).astype(np.int32)
    plan = Plan(config, seeds, [""] * len(everything))
    rows = rows_of(READ_HERE.read(everything, summary, CONFIG, BATCH, plan), everything)
    bad = {row.path for row in rows if row.reason}
    assert {Path(path).name for path in bad} == {*UNREADABLE, "slow.wav"}
    for path, seed in zip(everything, seeds, strict=True):
        if path in bad:
            continue
        expected = expected_copy(path, seed, config)
        found = {row.window: row for row in rows if row.path == path}
        assert sorted(found) == list(range(len(expected)))
        for number, row in found.items():
            assert row.windows == len(expected)
            np.testing.assert_allclose(row.prepared, expected[number], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_plan_mixes_a_recording_at_its_own_rate(paths: list[str], tmp_path: Path) -> None:
    config = AugmentationConfig(kinds=("noise",), min_snr_db=0, max_snr_db=0)
    flac = tmp_path / "beside.flac"
    flac.write_bytes(encoded.encode("FLAC", "PCM_16", 8000, 1, 10_000))
    three = [paths[1], paths[2], paths[5]]
    backgrounds = [paths[3], str(flac), ""]
    seeds = np.arange(20, 26, dtype=np.int32).reshape(3, 2)
    rows = rows_of(
        READ_HERE.read(three, summary, CONFIG, BATCH, Plan(config, seeds, backgrounds)), three
    )
    for path, seed, beside in zip(three, seeds, backgrounds, strict=True):
        expected = expected_copy(path, seed, config, beside)
        found = {row.window: row.prepared for row in rows if row.path == path}
        assert sorted(found) == list(range(len(expected)))
        for number, prepared in found.items():
            np.testing.assert_allclose(prepared, expected[number], rtol=1e-3, atol=1e-3)
