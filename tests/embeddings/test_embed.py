"""Embeddings: computed once for each content, kept through kills, never stale."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.audio.channels import REMARK
from sound_pipeline.audio.decoding import decode_audio
from sound_pipeline.audio.wav_length import CUT_OFF
from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.copies import Copies
from sound_pipeline.augmentation.waveform import augment
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings import jobs, made_by
from sound_pipeline.embeddings.embed import Embeddings, embed_by_each, embed_recordings
from sound_pipeline.embeddings.jobs import EmbeddingJob
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.extractors import base
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.gabor import GaborExtractor
from sound_pipeline.features.beginnings import split_beginnings
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.windows import split_windows
from tests.helpers.sound_folders import RATE_HZ, SHORT, clip, write_folder
from tests.helpers.sounds import noise, tone, write_wav
from tests.helpers.tiny_models import LoudnessExtractor
from tests.helpers.user_errors import error_of


class CountingExtractor(GaborExtractor):
    """The embedded extractor, which tells how many windows it was given.

    Attributes:
      windows: of sound, all calls together; those that only fill a batch up are not counted.
      calls: of batches.
      before: called with the number of the call before every batch.
    """

    def __init__(
        self, config: FeatureConfig = SHORT, before: Callable[[int], None] = lambda call: None
    ) -> None:
        super().__init__(config)
        self.windows = 0
        self.calls = 0
        self.before = before

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        seen = tf.numpy_function(self._count, [prepared], tf.float32)
        return super().__call__(tf.ensure_shape(seen, prepared.shape))

    def _count(self, prepared: np.ndarray) -> np.ndarray:
        self.before(self.calls)
        self.calls += 1
        self.windows += int((np.ptp(prepared, axis=(1, 2)) > 1e-3).sum())
        return prepared


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


def recordings(directory: Path, clips_a_class: int = 8) -> list[str]:
    write_folder(directory, clips_a_class)
    return sorted(str(path) for path in directory.rglob("*.wav"))


def embed(
    paths: list[str],
    cache_dir: Path,
    extractor: GaborExtractor | None = None,
    max_bad_clips: float = 0.0,
) -> Embeddings:
    """Embeds, and reads all of it into memory."""
    extractor = extractor or CountingExtractor()
    result = embed_recordings(paths, extractor, EmbeddingSettings(cache_dir, max_bad_clips))
    return dataclasses.replace(
        result, values=np.asarray(result.values), beginnings=np.asarray(result.beginnings)
    )


def text_files(directory: Path, *contents: str) -> list[str]:
    """One file a text; for what `asked` stands in for."""
    paths = [directory / f"{number:02d}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return [str(path) for path in paths]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts a stub in place of decoding and extracting; collects the paths it embeds.

    A file that starts with "broken" can't be read.
    """
    paths_asked: list[str] = []

    def embed_stub(
        paths: Sequence[str], job: EmbeddingJob
    ) -> Iterator[tuple[int, np.ndarray | str, str]]:
        for position, path in enumerate(paths):
            paths_asked.append(path)
            broken = Path(path).read_text().startswith("broken")
            yield position, "it is broken" if broken else rows(2, position), ""

    monkeypatch.setattr(jobs, "_embed", embed_stub)
    return paths_asked


# Recordings to embeddings.


@pytest.mark.slow
def test_equal_to_window_by_window_at_all_rates_and_lengths(tmp_path: Path) -> None:
    with_a_pause = np.concatenate(
        [tone(440, 12000, RATE_HZ), np.zeros(RATE_HZ, np.float32), noise(9600)]
    )
    sounds = [
        (tone(440, 8000, RATE_HZ), RATE_HZ),
        (with_a_pause, RATE_HZ),
        (noise(10400), 8000),
        (tone(1000, 9000, 44100), 44100),
        (clip("hum", 3, 2.0, 48000), 48000),
    ]
    paths = [write_wav(tmp_path / f"{number}.wav", *sound) for number, sound in enumerate(sounds)]
    extractor = GaborExtractor(SHORT)
    result = embed(paths, tmp_path / "cache", extractor)
    assert result.unreadable == {}
    assert (np.diff(result.recording) >= 0).all()
    assert result.values.dtype == np.float32 and result.recording.dtype == np.int32

    counts = np.bincount(result.recording)
    for position, path in enumerate(paths):
        decoded = decode_audio(tf.io.read_file(path))
        rate = decoded.sample_rate_hz
        windows = split_windows(decoded.waveform[None], rate, SHORT)
        audible = windows.waveform[windows.audible]
        expected = extractor(extractor.prepare(audible, rate)).numpy()
        assert counts[position] == len(expected)
        np.testing.assert_allclose(
            result.values[result.recording == position], expected, rtol=1e-3, atol=1e-3
        )
    assert counts[0] == counts[3] == 1
    assert 2 <= counts[1] < split_windows(with_a_pause[None], RATE_HZ, SHORT).starts.shape[1]


@pytest.mark.slow
def test_beginnings_beside_windows_kept_and_fresh(tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, beginning_seconds=(0.1, 0.2))
    seconds = (1.3, 0.3)
    paths = [
        write_wav(tmp_path / f"{number}.wav", clip("hum", number, length), RATE_HZ)
        for number, length in enumerate(seconds)
    ]
    extractor = CountingExtractor(config)
    rate = tf.constant(RATE_HZ)
    for _ in ("fresh", "kept"):
        result = embed(paths, tmp_path / "cache", extractor)
        assert result.recording.tolist() == [0, 0, 0, 0, 0, 1]
        assert result.beginning_of.tolist() == [0, 0, 1, 1]
        for position, path in enumerate(paths):
            sound = decode_audio(tf.io.read_file(path)).waveform
            expected = extractor(
                extractor.prepare(split_beginnings(sound, rate, config), rate)
            ).numpy()
            found = result.beginnings[result.beginning_of == position]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_embeds_once_and_what_changed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = recordings(tmp_path / "sounds")
    first, again, moved, changed = (CountingExtractor() for _ in range(4))
    cold = embed(paths, tmp_path / "cache", first)
    assert first.windows == len(paths) == 24
    with caplog.at_level(logging.INFO, "sound_pipeline"):
        warm = embed(paths, tmp_path / "cache", again)
    assert "24 recordings, 24 embedded before" in caplog.text
    assert again.calls == 0
    np.testing.assert_array_equal(warm.values, cold.values)

    # Content counts, not the name.
    names = [str(Path(path).rename(f"{path[:-4]}-renamed.wav")) for path in paths[::-1]]
    np.testing.assert_array_equal(embed(names, tmp_path / "cache", moved).values, cold.values[::-1])
    assert moved.calls == 0

    write_wav(Path(names[5]), noise(8000, seed=77), RATE_HZ)
    fresh = embed(names, tmp_path / "cache", changed)
    assert changed.windows == 1
    same = np.arange(24) != 5
    np.testing.assert_array_equal(fresh.values[same], cold.values[::-1][same])
    assert not np.allclose(fresh.values[5], cold.values[::-1][5])


def test_copies_of_one_recording_are_embedded_once(tmp_path: Path, asked: list[str]) -> None:
    paths = text_files(tmp_path, "a", "b", "a", "c", "b", "a")
    result = embed(paths, tmp_path / "cache")
    assert asked == [paths[0], paths[1], paths[3]]
    assert result.recording.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    copies = result.values.reshape(6, 2, 5)
    for one, other in ((0, 2), (0, 5), (1, 4)):
        np.testing.assert_array_equal(copies[one], copies[other])
    assert not np.array_equal(copies[0], copies[1])


def test_another_extractor_or_version_does_not_use_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    paths = text_files(tmp_path, "a", "b")
    other = CountingExtractor(
        dataclasses.replace(
            SHORT, spectrogram=dataclasses.replace(SHORT.spectrogram, floor_db=-60.0)
        )
    )
    newer = CountingExtractor()
    newer.fingerprint = "gabor-0"
    for extractor in (CountingExtractor(), other, newer):
        embed(paths, tmp_path / "cache", extractor)
        embed(paths, tmp_path / "cache", extractor)
    monkeypatch.setattr(made_by, "WINDOWS_VERSION", 0)
    embed(paths, tmp_path / "cache")
    monkeypatch.setattr(base, "LOG_MEL_VERSION", 0)
    embed(paths, tmp_path / "cache")
    assert asked == 5 * paths
    assert len(list((tmp_path / "cache").rglob("made_by.json"))) == 5


def test_a_cache_that_cannot_be_used_is_named(tmp_path: Path, asked: list[str]) -> None:
    paths = text_files(tmp_path, "a", "b")
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        error_of(lambda d=directory: embed(paths, d), f"--cache_dir={directory}: ")
    assert not asked


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_what_a_power_cut_has_damaged_is_computed_again(
    tmp_path: Path, asked: list[str], caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    paths = text_files(tmp_path, "a", "b")
    whole = embed(paths, tmp_path / "cache")
    expected = whole.values[:]
    (rows,) = (tmp_path / "cache").rglob("*.npy")
    part = rows.with_suffix(suffix)
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    again = embed(paths, tmp_path / "cache")
    np.testing.assert_array_equal(again.values[:], expected)
    assert asked == 2 * paths
    assert f"{rows.with_suffix('.npz')}: it or its .npy is damaged" in caplog.text
    embed(paths, tmp_path / "cache")
    assert asked == 2 * paths


def test_shows_progress_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    paths = text_files(tmp_path, "a", "b", "c")
    embed(paths, tmp_path / "cache")
    shown = capsys.readouterr()
    assert "embedding: 100%" in shown.err and "3/3" in shown.err
    assert shown.out == ""
    embed(paths, tmp_path / "cache")
    assert capsys.readouterr().err == "", "nothing to do, nothing to show"


# Kills.


def _killed_while_embedding(paths: list[str], cache_dir: Path) -> None:
    jobs._WRITE_EVERY_SECONDS = -1.0

    def kill_before_the_third_batch(call: int) -> None:
        if call == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    embed(paths, cache_dir, CountingExtractor(before=kill_before_the_third_batch))


@pytest.mark.slow
def test_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    paths = recordings(tmp_path / "sounds", clips_a_class=16)
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_while_embedding, args=(paths, tmp_path / "cache")
    )
    process.start()
    uninterrupted = CountingExtractor()
    whole = embed(paths, tmp_path / "other cache", uninterrupted)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (uninterrupted.calls, uninterrupted.windows) == (3, 48)

    rest = CountingExtractor()
    resumed = embed(paths, tmp_path / "cache", rest)
    # The batch it was killed in, and what was not written yet of the one before.
    assert rest.calls in (1, 2)
    assert 16 <= rest.windows <= 32
    np.testing.assert_array_equal(resumed.values, whole.values)
    np.testing.assert_array_equal(resumed.recording, whole.recording)


def test_an_interrupt_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    paths = text_files(tmp_path, "a", "b", "c", "d")
    embed_all = jobs._embed

    def interrupted(*arguments: object) -> Iterator[tuple[int, np.ndarray, str]]:
        done = embed_all(*arguments)
        yield next(done)
        yield next(done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patches, pytest.raises(KeyboardInterrupt):
        patches.setattr(jobs, "_embed", interrupted)
        embed(paths, tmp_path / "cache")
    asked.clear()
    embed(paths, tmp_path / "cache")
    assert asked == paths[2:]


# Recordings that aren't as they should be.


@pytest.mark.slow
def test_says_how_recordings_are_decoded_that_are_not_as_they_should_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = recordings(tmp_path / "sounds")
    for number in (3, 5):
        samples, rate = soundfile.read(paths[number])
        soundfile.write(paths[number], np.stack([samples, -samples], axis=1), rate)
    Path(paths[7]).write_bytes(Path(paths[7]).read_bytes()[:-100])
    result = embed(paths, tmp_path / "cache")
    assert not result.unreadable
    assert f"2 recordings, first {paths[3]}: {REMARK.format(1, 2)}" in caplog.text
    assert f"1 recordings, first {paths[7]}: {CUT_OFF}" in caplog.text


# Recordings that can't be read.


@pytest.mark.slow
def test_skips_what_cannot_be_read_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = recordings(tmp_path / "sounds")
    Path(paths[4]).write_bytes(b"")
    Path(paths[6]).write_bytes(b"no recording, but a text of some length" * 30)
    extractor = CountingExtractor()
    result = embed(paths, tmp_path / "cache", extractor, max_bad_clips=0.1)
    assert set(result.unreadable) == {4, 6} and all(result.unreadable.values())
    assert "empty" in result.unreadable[4]
    assert f"skipped {paths[6]}: {result.unreadable[6]}" in caplog.text
    assert sorted(set(range(24)) - set(result.recording.tolist())) == [4, 6]
    assert len(result.values) == extractor.windows == 22

    # The neighbours of a broken recording are as if it were not there.
    alone = embed([path for path in paths if path not in (paths[4], paths[6])], tmp_path / "other")
    np.testing.assert_array_equal(result.values, alone.values)


def test_a_recording_whose_embedding_is_no_number_is_named(tmp_path: Path) -> None:
    class Overflowing(CountingExtractor):
        def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
            answer = super().__call__(prepared)
            is_loudest = tf.equal(tf.range(tf.shape(answer)[0]), 3)[:, None]
            return tf.where(is_loudest, np.nan, answer)

    paths = recordings(tmp_path / "sounds", clips_a_class=2)
    result = embed(paths, tmp_path / "cache", Overflowing(), max_bad_clips=0.2)
    assert list(result.unreadable) == [3]
    assert "no number" in result.unreadable[3]
    assert np.isfinite(result.values[:]).all()
    message = error_of(lambda: embed(paths, tmp_path / "other", Overflowing()), paths[3])
    assert "no number" in message


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.0999])
def test_too_many_that_cannot_be_read_stop_it(
    tmp_path: Path, asked: list[str], limit: float
) -> None:
    paths = text_files(tmp_path, *"ab", "broken 1", *"cd", "broken 2", *"efgh", *"ijklmnopqr")
    error_of(
        lambda: embed(paths, tmp_path / "cache", max_bad_clips=limit),
        f"at least {int(20 * limit) + 1} of 20",
        f"--max_bad_clips={limit:g}",
        f"{paths[2]} (it is broken)",
    )
    # What could be read until then is kept.
    seen = len(asked)
    assert embed(paths, tmp_path / "cache", max_bad_clips=0.1).unreadable == {
        2: "it is broken",
        5: "it is broken",
    }
    assert not set(asked[:seen]) & set(asked[seen:]) - {paths[2], paths[5]}


def test_copies_of_a_broken_recording_all_count(tmp_path: Path, asked: list[str]) -> None:
    paths = text_files(tmp_path, "a", "broken", "b", "broken", "c")
    assert set(embed(paths, tmp_path / "cache", max_bad_clips=0.5).unreadable) == {1, 3}
    error_of(lambda: embed(paths, tmp_path / "cache", max_bad_clips=0.2), "2 of 5", paths[1])


def test_nothing_that_can_be_read_is_an_error_at_any_limit(
    tmp_path: Path, asked: list[str]
) -> None:
    paths = text_files(tmp_path, "broken 1", "broken 2")
    for limit in (0.0, 1.0):
        error_of(
            lambda limit=limit: embed(paths, tmp_path / "cache", max_bad_clips=limit),
            "of 2 recordings",
            paths[0],
        )


# Several extractors.


class Loudness(LoudnessExtractor):
    """Ten levels of a window; refuses to be asked where it must not be."""

    def __init__(self, allowed: bool = True) -> None:
        super().__init__(dataclasses.replace(SHORT, beginning_seconds=(0.1,)))
        self.allowed = allowed

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        # Of one shape at all rates.
        return super().__call__(super().prepare(waveform, sample_rate_hz))

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        assert self.allowed, "asked about what is kept"
        return prepared


@pytest.mark.slow
def test_each_extractor_is_kept_by_itself(tmp_path: Path) -> None:
    paths = recordings(tmp_path / "sounds", 3)
    Path(paths[4]).write_bytes(b"broken")
    paths.append(write_wav(tmp_path / "long.wav", clip("hum", 1, 1.3), RATE_HZ))
    config = dataclasses.replace(SHORT, beginning_seconds=(0.1,))
    settings = EmbeddingSettings(tmp_path / "cache", 0.2)
    levels = embed_recordings(paths, Loudness(), settings)

    bank = CountingExtractor(config)
    # What is kept of the first isn't computed again, wherever it stands.
    joined = embed_by_each(paths, [bank, Loudness(allowed=False)], settings, ["float32", "float32"])
    alone = embed_recordings(paths, CountingExtractor(config), settings)
    assert list(joined.unreadable) == list(levels.unreadable) == [4]
    for name in ("recording", "beginning_of"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(levels, name))
    for name in ("values", "beginnings"):
        expected = np.concatenate(
            [np.asarray(getattr(one, name)) for one in (alone, levels)], axis=1
        )
        np.testing.assert_array_equal(np.asarray(getattr(joined, name)), expected)
    assert joined.values.shape[1] == 810
    for part, one in zip(joined.parts, (alone, levels), strict=True):
        assert part.unreadable == one.unreadable
        np.testing.assert_array_equal(part.recording, one.recording)
        np.testing.assert_array_equal(np.asarray(part.values), np.asarray(one.values))
    mean = np.concatenate([one.mean_of(np.array([9, 2]))[:] for one in (alone, levels)], axis=1)
    np.testing.assert_array_equal(joined.mean_of(np.array([9, 2]))[:], mean)
    assert alone.parts == (alone,)


def test_each_extractor_computes_in_its_own_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, str]] = []

    def remember(paths: Sequence[str], job: EmbeddingJob) -> object:
        assert job.plan is None
        asked.append((type(job.extractor), job.precision))
        return iter((number, rows(2, number), "") for number in range(len(paths)))

    monkeypatch.setattr(jobs, "_embed", remember)
    paths = text_files(tmp_path, "one", "two")
    embed_by_each(
        paths,
        [CountingExtractor(), LoudnessExtractor(SHORT)],
        EmbeddingSettings(tmp_path / "cache"),
        ["float32", "bfloat16"],
    )
    assert asked == [(CountingExtractor, "float32"), (LoudnessExtractor, "bfloat16")]


def test_a_recording_that_changes_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([2, 3])

    def changing(paths: Sequence[str], *_: object) -> object:
        count = next(counts)
        return iter((number, rows(count), "") for number in range(len(paths)))

    monkeypatch.setattr(jobs, "_embed", changing)
    both = [CountingExtractor(), LoudnessExtractor(SHORT)]
    error_of(
        lambda: embed_by_each(
            text_files(tmp_path, "one"),
            both,
            EmbeddingSettings(tmp_path / "cache"),
            ["float32"] * 2,
        ),
        "changed while",
    )


# Augmented copies.

CHANGES = AugmentationConfig(kinds=("noise", "mask"), stretch_seconds=0.5)


def embed_copies(
    paths: list[str], cache: Path, count: int, extractor: Extractor, **changes: object
) -> Embeddings:
    config = dataclasses.replace(CHANGES, **changes)  # type: ignore[arg-type]
    return embed_recordings(paths, extractor, EmbeddingSettings(cache, 0.2, Copies(count, config)))


@pytest.mark.slow
def test_copies_are_kept_by_themselves_and_only_new_ones_made(tmp_path: Path) -> None:
    paths = recordings(tmp_path / "sounds", 2)
    cache = tmp_path / "cache"
    plain = embed(paths, cache)
    counts, found = [], []
    for count in (1, 2, 2):
        extractor = CountingExtractor()
        found.append(embed_copies(paths, cache, count, extractor))
        counts.append(extractor.windows)
        np.testing.assert_array_equal(np.asarray(found[-1].values), plain.values)
    assert counts == [6, 6, 0]
    assert [len(one.copies) for one in found] == [1, 2, 2]
    first, second = (np.asarray(copy.values) for copy in found[1].copies)
    np.testing.assert_array_equal(np.asarray(found[0].copies[0].values), first)
    np.testing.assert_array_equal(np.asarray(found[2].copies[1].values), second)
    assert (np.abs(first - second).max(axis=1) > 0.1).all()
    assert (np.abs(first - plain.values).max(axis=1) > 0.1).all()


def test_other_changes_are_other_copies(tmp_path: Path, asked: list[str]) -> None:
    paths = text_files(tmp_path, "a", "b")
    for change in ({}, {"max_snr_db": 30.0}, {"kinds": ("noise",)}):
        embed_copies(paths, tmp_path / "cache", 1, CountingExtractor(), **change)
    assert asked == 4 * paths


@pytest.mark.slow
def test_copies_are_what_the_extractor_makes_of_the_augmented_recording(tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, beginning_seconds=(0.1,))
    paths = [
        write_wav(tmp_path / f"{number}.wav", clip("hum", number, seconds), RATE_HZ)
        for number, seconds in enumerate((1.3, 0.3))
    ]
    extractor = GaborExtractor(config)
    (copy,) = embed_copies(paths, tmp_path / "cache", 1, extractor).copies
    keys = content_keys(paths, tmp_path / "cache")
    plan, _ = Copies(1, CHANGES).plan(1, paths, keys)
    rate = tf.constant(RATE_HZ)
    assert copy.beginning_of.tolist() == [0, 1]
    for position, path in enumerate(paths):
        sound = decode_audio(tf.io.read_file(path)).waveform
        changed, heard = augment(sound, rate, plan.seeds[position], CHANGES)
        windows = split_windows(changed[None], rate, config, heard[None])
        for rows, owner, expected in (
            (copy.values, copy.recording, windows.waveform[windows.audible]),
            (copy.beginnings, copy.beginning_of, split_beginnings(changed, rate, config, heard)),
        ):
            made = extractor(extractor.prepare(expected, rate)).numpy()
            np.testing.assert_allclose(rows[owner == position], made, rtol=5e-3, atol=5e-3)


def test_each_extractor_has_copies_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def embed_stub(
        paths: Sequence[str], job: EmbeddingJob
    ) -> Iterator[tuple[int, np.ndarray | str, str]]:
        if job.plan is not None:
            seeds.append(job.plan.seeds.tolist())
        for position, path in enumerate(paths):
            broken = Path(path).read_text() == "broken"
            ones = np.ones([2, job.extractor.embedding_size], "f4")
            yield position, "it is" if broken else ones, ""

    monkeypatch.setattr(jobs, "_embed", embed_stub)
    paths = text_files(tmp_path, "a", "broken", "b", "c")
    both = [CountingExtractor(), LoudnessExtractor(SHORT)]
    settings = EmbeddingSettings(tmp_path / "cache", 0.5, Copies(1, CHANGES))
    joined = embed_by_each(paths, both, settings, ["float32"] * 2)
    copies = [part.copies[0] for part in joined.parts]
    assert [copy.values.shape for copy in copies] == [(6, 800), (6, 10)]
    for copy in copies:
        assert copy.recording.tolist() == [0, 0, 2, 2, 3, 3]
    assert seeds[0] == seeds[1]
    assert joined.copies == ()


def test_what_an_extractor_does_not_use_embeds_nothing_anew(
    tmp_path: Path, asked: list[str]
) -> None:
    paths = text_files(tmp_path, "a", "b")
    for changed in ({}, {"colormap": "gray"}):
        spectrogram = dataclasses.replace(SHORT.spectrogram, **changed)
        config = dataclasses.replace(SHORT, spectrogram=spectrogram)
        embed(paths, tmp_path / "cache", CountingExtractor(config))
    assert asked == paths
    for changed in ({"floor_db": -60.0}, {"mel_bands": 40}):
        spectrogram = dataclasses.replace(SHORT.spectrogram, **changed)
        config = dataclasses.replace(SHORT, spectrogram=spectrogram)
        embed(paths, tmp_path / "cache", LoudnessExtractor(config))
    assert asked == 2 * paths
