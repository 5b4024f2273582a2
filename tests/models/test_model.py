"""Exported models loaded again: their answers, and what is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline import load_model
from sound_pipeline.errors import UserError
from sound_pipeline.features.windows import split_windows
from sound_pipeline.models import export
from sound_pipeline.models import model as model_module
from sound_pipeline.models.info import METADATA_FILE, WINDOWS_SIGNATURE, ModelInfo, read_info
from sound_pipeline.models.model import Model
from sound_pipeline.system.precision import Machine
from tests.helpers import tiny_models
from tests.helpers.tiny_models import CONFIG, LABELS
from tests.helpers.user_errors import error_of

pytestmark = pytest.mark.slow

RATE = 16000
OTHER_VERSION = json.dumps(
    {
        "labels": ["a"],
        "window_seconds": 1,
        "min_score": 0,
        "config": {"features": {"a_setting_to_come": 1}},
    }
)


def export_tiny(directory: Path) -> Path:
    classifier = tiny_models.random_classifier(tiny_models.LoudnessExtractor(CONFIG))
    classifier.min_score.assign(0.375)
    export.export_model(classifier, directory, {})
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("run") / "saved_model")


def test_knows_what_it_is(directory: Path) -> None:
    expected = ModelInfo(tuple(LABELS), CONFIG.windows.seconds, 0.375, CONFIG)
    assert Model(directory).info == read_info(directory) == expected


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.7])
def test_scores_and_images_are_those_of_the_signatures(directory: Path, seconds: float) -> None:
    random = np.random.default_rng(0)
    waveform = random.normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    model, loaded = Model(directory), tf.saved_model.load(str(directory))
    scores = model.scores(waveform, RATE)
    assert scores.shape == (len(LABELS),) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, loaded(waveform[None], RATE)["scores"][0], atol=1e-6)
    image = model.image(waveform, RATE)
    assert image.shape == (299, 299, 3) and image.dtype == np.uint8
    exported = loaded.signatures["spectrogram"](
        waveform=tf.constant(waveform[None]), sample_rate=tf.constant(RATE)
    )["image"]
    np.testing.assert_array_equal(image, exported[0])


def test_computes_in_what_was_chosen_for_the_machine(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    @contextlib.contextmanager
    def noted(precision: str) -> Iterator[None]:
        used.append(precision)
        yield

    monkeypatch.setattr(model_module, "computing_in", noted)
    machine = Machine(frozenset({"avx512_bf16"}))
    monkeypatch.setattr(model_module, "this_machine", lambda: machine)
    shutil.copytree(directory, tmp_path / "copy")
    about = json.loads((directory / METADATA_FILE).read_text()) | {
        "benefits_from_low_precision": True
    }
    (tmp_path / "copy" / METADATA_FILE).write_text(json.dumps(about))
    for folder, asked, expected in (
        (directory, "auto", "float32"),
        (directory, "bfloat16", "bfloat16"),
        (tmp_path / "copy", "auto", "bfloat16"),
        (tmp_path / "copy", "float32", "float32"),
    ):
        model = Model(folder, asked)
        assert model.choice.precision == expected
        model.scores(np.zeros(RATE, np.float32), RATE)
        model.windows((np.zeros(RATE // 2, np.float32), RATE))
        assert used == [expected] * 2
        used.clear()
    with pytest.raises(UserError, match="--precision=float16: "):
        Model(directory, "float16")


def test_a_folder_without_a_model_is_refused(directory: Path, tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError, match=r"holds no SavedModel; train one with train\.py"):
            read_info(nothing)
    with pytest.raises(UserError, match=f"did you mean {directory}"):
        read_info(directory.parent)


@pytest.mark.parametrize("keep", [0, 11, -1])
def test_a_broken_model_is_refused(directory: Path, tmp_path: Path, keep: int) -> None:
    """All of the graph but nothing of the weights (-1), or no graph."""
    (tmp_path / "saved_model.pb").write_bytes((directory / "saved_model.pb").read_bytes()[:keep])
    shutil.copytree(directory / METADATA_FILE.parent, tmp_path / METADATA_FILE.parent)
    with pytest.raises(UserError, match="does not load") as error:
        Model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["variables/variables.index", "saved_model.pb"])
def test_a_file_cut_in_two_is_refused_without_a_word_of_tensorflow(
    directory: Path, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = shutil.copytree(directory, tmp_path / "model")
    content = (broken / file).read_bytes()
    (broken / file).write_bytes(content[: len(content) // 2])
    error_of(lambda: Model(broken), "does not load", "copy or export it again")
    assert caplog.text == ""


def test_a_damaged_fingerprint_is_refused(directory: Path, tmp_path: Path) -> None:
    """Models of before had one of TensorFlow's."""
    broken = shutil.copytree(directory, tmp_path / "model")
    (broken / "fingerprint.pb").write_bytes(b"\xff" * 40)
    error_of(lambda: Model(broken), "does not load", "copy or export it again")


def test_a_graph_without_scores_is_refused(directory: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(directory, tmp_path / "model")
    shutil.rmtree(broken / "variables")
    tf.saved_model.save(tf.Module(), str(broken))
    error_of(lambda: Model(broken), "its graph has no scores")


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"labels": 3}), OTHER_VERSION])
def test_damaged_metadata_is_refused(directory: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(directory, tmp_path / "copy")
    (tmp_path / "copy" / METADATA_FILE).write_text(content)
    with pytest.raises(UserError, match="export the model again") as error:
        read_info(tmp_path / "copy")
    assert "\n" not in str(error.value)


def test_other_savedmodels_are_refused(tmp_path: Path) -> None:
    handle = tiny_models.save_image_module(tmp_path / "module")
    with pytest.raises(UserError, match="not one exported by sound_pipeline"):
        read_info(Path(handle))


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level goes up and down, with a second of faint noise in it."""
    random = np.random.default_rng(seed)
    samples = random.normal(0, 0.1, round(seconds * RATE)) * np.abs(
        np.sin(np.arange(round(seconds * RATE)) / RATE)
    )
    samples[2 * RATE : 3 * RATE] *= 1e-3
    return samples.astype(np.float32)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 0.52, 7.3, 20.0])
def test_windows_are_those_of_the_recording_signature(
    directory: Path, tmp_path: Path, seconds: float
) -> None:
    waveform = sound(seconds)
    expected = tf.saved_model.load(str(directory)).signatures["recording"](
        waveform=tf.constant(waveform), sample_rate=tf.constant(RATE)
    )
    split = split_windows(tf.constant(waveform[None]), tf.constant(RATE), CONFIG)
    assert bool(np.all(split.audible)) == (seconds < 3)
    model = Model(directory)
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    for source in ((waveform, RATE), tmp_path / "a.wav"):
        found = model.windows(source)
        np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-6)
        np.testing.assert_allclose(
            found.starts / RATE, expected["start_seconds"].numpy(), rtol=1e-6
        )
        np.testing.assert_array_equal(found.is_audible, split.audible[0])
        assert found.sample_rate_hz == RATE
        assert found.ends[-1] <= len(waveform) and found.ends[0] == min(len(waveform), RATE // 2)


@pytest.mark.parametrize("seconds", [0.1, 7.3, 20.0])
def test_embeddings_are_those_of_the_signature(directory: Path, seconds: float) -> None:
    waveform = sound(seconds)
    expected = tf.saved_model.load(str(directory)).signatures["embedding"](
        waveform=tf.constant(waveform[None]), sample_rate=tf.constant(RATE)
    )["embedding"][0]
    embedding = Model(directory).embed((waveform, RATE))
    assert embedding.dtype == np.float32 and embedding.shape == (10,)
    np.testing.assert_allclose(embedding, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def exported_before(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same model, without the signature for whole windows that earlier exports lack."""
    everything = export._Exported.signature_functions
    older = tmp_path_factory.mktemp("older") / "saved_model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            export._Exported,
            "signature_functions",
            lambda self: {k: v for k, v in everything(self).items() if k != WINDOWS_SIGNATURE},
        )
        export_tiny(older)
    assert WINDOWS_SIGNATURE not in tf.saved_model.load(str(older)).signatures
    assert WINDOWS_SIGNATURE in tf.saved_model.load(str(directory)).signatures
    yield older


def test_models_exported_before_label_the_same(
    directory: Path, exported_before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveform = sound(20.0)
    waveform[[5, 17000]], waveform[40_000:50_000] = np.nan, 1e5
    asked: list[str] = []
    call = Model._call

    def noted(self: Model, signature: str, *arguments: Any) -> Any:
        asked.append(signature)
        return call(self, signature, *arguments)

    monkeypatch.setattr(Model, "_call", noted)
    now, before = Model(directory), Model(exported_before)
    expected, found = now.windows((waveform, RATE)), before.windows((waveform, RATE))
    assert len(expected.scores) > 40 and not expected.is_audible.all()
    for name in ("scores", "power", "starts", "ends", "is_audible"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    embedding = now.embed((waveform, RATE))
    np.testing.assert_array_equal(before.embed((waveform, RATE)), embedding)
    assert now.label((waveform, RATE)) == before.label((waveform, RATE))
    assert set(asked) == {WINDOWS_SIGNATURE, "with_rate", "embedding"}


def test_events_of_files_and_waveforms(loudness_model: Path, tmp_path: Path) -> None:
    model = load_model(loudness_model)
    assert model.labels == ("quiet", "loud")
    time = np.arange(4 * RATE) / RATE
    level = np.where(time < 2, tiny_models.LOUD, tiny_models.QUIET) * np.sqrt(2)
    waveform = (level * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, RATE, subtype="FLOAT")
    events = model.label(tmp_path / "a.wav")
    assert events == model.label((waveform, RATE)) == model.label((waveform.tolist(), RATE))
    assert [event.label for event in events] == ["loud", "quiet"]
    loud, quiet = events
    assert loud.start_seconds == 0 and quiet.end_seconds == 4
    assert loud.end_seconds == quiet.start_seconds == pytest.approx(2, abs=0.3)
    assert max(loud.scores) == loud.score > 0.9
    middle = (tiny_models.LOUD + tiny_models.QUIET) / np.sqrt(2)
    between = (waveform * (middle / level), RATE)
    assert model.label(between) != []
    assert model.label(between, min_score=0.95) == []
    assert model.label(between, min_score={"quiet": 0.95, "loud": 0.95}) == []
    (unsure,) = model.label(between, min_score=0.95, unknown=True)
    assert unsure.label == "unknown"
    assert len(model.windows((waveform, RATE), hop_seconds=0.25).starts) == 15


@pytest.fixture(scope="module")
def loudness(loudness_model: Path) -> Model:
    return Model(loudness_model)


@pytest.mark.parametrize("seconds", [0.52, 1.03, 4.04, 4.15])
def test_without_overlap_a_steady_sound_is_one_event(loudness: Model, seconds: float) -> None:
    samples = round(seconds * RATE)
    waveform = tiny_models.LOUD * np.sqrt(2) * np.sin(np.arange(samples)).astype(np.float32)
    (event,) = loudness.label((waveform, RATE), hop_seconds=0.5)
    assert (event.label, event.start_seconds) == ("loud", 0)
    assert event.end_seconds == pytest.approx(seconds, abs=1e-3)


def test_a_bang_at_its_start_hides_no_minute(loudness: Model) -> None:
    waveform = tiny_models.QUIET / 10 * np.sin(np.arange(60 * RATE))
    waveform[: RATE // 2] *= 10 / tiny_models.QUIET
    events = loudness.label((waveform.astype(np.float32), RATE))
    assert events[0].label == "loud"
    assert events[-1].label == "quiet" and events[-1].end_seconds == 60
    assert events[-1].start_seconds < 17


def test_a_short_sound_at_the_end_is_heard_and_zeros_after_it_change_nothing(
    loudness: Model,
) -> None:
    waveform = np.zeros(RATE // 2 + 300, np.float32)
    waveform[-300:] = 1.0
    waveform[-300::2] = -1.0
    (event,) = loudness.label((waveform, RATE))
    assert event.end_seconds == len(waveform) / RATE
    padded = np.append(waveform, np.zeros(5 * RATE, np.float32))
    assert loudness.label((padded, RATE)) == [event]
    assert loudness.windows((padded, RATE)).seconds == len(padded) / RATE


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("gone.wav", {}, "gone.wav: No such file"),
        ((np.zeros((2, 100)), RATE), {}, r"shape \[2, 100\]"),
        ((np.zeros(0), RATE), {}, r"shape \[0\]"),
        ((np.zeros(100), 10), {}, "10 Hz"),
        ((np.zeros(100), RATE), {"hop_seconds": 0.6}, "--hop_seconds=0.6: give 0.025"),
        ((np.zeros(100), RATE), {"min_score": 2}, "--min_score=2"),
        ((np.zeros(100), RATE), {"min_score": {"cat": 0.2}}, "no label 'cat'"),
        ((np.zeros(100), RATE), {"min_score": "a"}, "--min_score=a: give a number"),
        ((np.zeros(100), RATE), {"min_score": {"quiet": [1]}}, r"--min_score=quiet=\[1\]"),
        (np.zeros(100), {}, "a ndarray is no sound: give a path, or a tuple"),
        ((np.zeros(100),), {}, "a tuple is no sound"),
        (None, {}, "a NoneType is no sound"),
    ],
)
def test_what_cannot_be_labelled(
    directory: Path, source: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        Model(directory).label(source, **options)


def test_integers_are_scaled_everywhere(directory: Path) -> None:
    model, waveform = Model(directory), sound(0.5)
    whole = (waveform * 32767).round().astype(np.int16)
    exact = whole / np.float32(32768)
    pairs = [
        (
            model.scores(each, RATE),
            model.embed((each, RATE)),
            model.image(each, RATE),
            *model.window_scores(each[None], RATE),
            *model.window_embeddings(each[None], RATE),
        )
        for each in (whole, exact)
    ]
    for found, expected in zip(*pairs, strict=True):
        np.testing.assert_array_equal(found, expected)
