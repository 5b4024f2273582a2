"""The exported model: reloaded, it must be the classifier it was made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from sound_pipeline.audio.durations import MAX_REQUEST_SECONDS
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features import image as image_module
from sound_pipeline.features import log_mel
from sound_pipeline.features.windows import split_windows
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model
from sound_pipeline.models.info import METADATA_FILE
from tests.helpers import tiny_models
from tests.helpers.sounds import centred
from tests.helpers.tiny_models import CONFIG, LABELS
from tests.helpers.wav_matrix import FILES

pytestmark = pytest.mark.slow

Floats = npt.NDArray[np.float32]

OWN_RATE = CONFIG.spectrogram.sample_rate_hz
WINDOW = round(CONFIG.windows.seconds * OWN_RATE)
METADATA = {"config": asdict(CONFIG), "metrics": {"accuracy": 0.5}}
SAME = 1e-5


@dataclass(frozen=True)
class Exported:
    """A classifier and what came back from disk."""

    classifier: SoundClassifier
    loaded: Any
    directory: Path

    def scores(self, waveform: npt.ArrayLike, rate: int) -> Floats:
        """The answer of the classifier in memory."""
        batch = tf.constant(np.asarray(waveform, np.float32))
        return self.classifier.scores(batch, tf.constant(rate)).numpy()

    def signature(self, name: str, **inputs: Any) -> dict[str, Any]:
        answer = self.loaded.signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        return {name: value.numpy() for name, value in answer.items()}


def export(extractor: Extractor, folder: Path) -> Exported:
    """Saves a classifier, moves it to another place and loads it there."""
    classifier = tiny_models.random_classifier(extractor)
    (folder / "first").mkdir()
    (folder / "first" / "labels.txt").write_text("somebody else's")
    export_model(classifier, folder / "first" / "saved_model", METADATA)
    assert {path.name for path in (folder / "first").iterdir()} == {"labels.txt", "saved_model"}
    assert (folder / "first" / "labels.txt").read_text() == "somebody else's"
    moved = folder / "elsewhere" / "model"
    moved.parent.mkdir()
    (folder / "first" / "saved_model").rename(moved)
    return Exported(classifier, tf.saved_model.load(str(moved)), moved)


@pytest.fixture(scope="module")
def gabor(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(load_extractor("gabor", CONFIG), tmp_path_factory.mktemp("gabor"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model on a TF Hub module whose folder is gone before the model is loaded."""
    folder = tmp_path_factory.mktemp("exported")
    module = tiny_models.save_image_module(folder / "module")
    extractor = load_extractor(module, CONFIG)
    shutil.rmtree(module)
    assert extractor.embedding_size == 12
    return export(extractor, folder)


@pytest.fixture(params=["gabor", "exported"])
def either(request: pytest.FixtureRequest) -> Exported:
    found: Exported = request.getfixturevalue(request.param)
    return found


def sound(seconds: float, rate: int = OWN_RATE, seed: int = 0, batch: int = 2) -> Floats:
    """Tones that come and go in noise, of another pitch in every row: [batch, samples]."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    rows = [
        0.3 * np.sin(2 * np.pi * random.uniform(200, 3000) * time) * np.abs(np.sin(5 * row * time))
        for row in range(1, batch + 1)
    ]
    return (np.stack(rows) + random.normal(0, 0.02, [batch, len(time)])).astype(np.float32)


def assert_scores(scores: npt.ArrayLike) -> None:
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, atol=1e-5)


def test_signatures_have_the_promised_names_types_and_shapes(either: Exported) -> None:
    size = either.classifier.extractor.embedding_size
    waveform = {"waveform": ("float32", (None, None))}
    rate = {"sample_rate": ("int32", ())}
    answer = {
        "scores": ("float32", (None, len(LABELS))),
        "label": ("string", (None,)),
        "score": ("float32", (None,)),
        "audible_seconds": ("float32", (None,)),
    }
    promised = {
        "serving_default": (waveform, answer),
        "with_rate": (waveform | rate, answer),
        "recording": (
            {"waveform": ("float32", (None,))} | rate,
            {"scores": ("float32", (None, len(LABELS))), "start_seconds": ("float32", (None,))},
        ),
        "windows": (
            waveform | rate,
            {
                "scores": ("float32", (None, len(LABELS))),
                "embedding": ("float32", (None, size)),
                "power": ("float32", (None,)),
            },
        ),
        "wav": ({"wav": ("string", (None,))}, answer),
        "embedding": (waveform | rate, {"embedding": ("float32", (None, size))}),
        "spectrogram": (waveform | rate, {"image": ("uint8", (None, 299, 299, 3))}),
        "window": (
            {"waveform": ("float32", (1, WINDOW))},
            {"scores": ("float32", (1, len(LABELS)))},
        ),
    }

    def described(specs: dict[str, tf.TensorSpec]) -> dict[str, tuple[str, tuple[int | None, ...]]]:
        return {name: (spec.dtype.name, tuple(spec.shape)) for name, spec in specs.items()}

    found = {
        name: (
            described(signature.structured_input_signature[1]),
            described(signature.structured_outputs),
        )
        for name, signature in either.loaded.signatures.items()
    }
    assert found == promised


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [(0.1, 16000), (0.5, 22050), (0.7, 44100), (2.3, 8000), (0.5, 48000), (0.9, 11025)],
)
def test_scores_are_those_of_the_classifier(either: Exported, seconds: float, rate: int) -> None:
    waveform = sound(seconds, rate, seed=rate, batch=3)
    expected = either.scores(waveform, rate)
    assert_scores(expected)
    assert np.ptp(expected, axis=0).max() > 100 * SAME, "rows too alike to be told apart"
    answer = either.signature("with_rate", waveform=waveform, sample_rate=rate)
    np.testing.assert_allclose(answer["scores"], expected, atol=SAME)
    best = expected.argmax(axis=1)
    assert [label.decode() for label in answer["label"]] == [LABELS[i] for i in best]
    np.testing.assert_allclose(answer["score"], expected.max(axis=1), atol=SAME)


def test_without_a_rate_the_models_own_is_meant(exported: Exported) -> None:
    waveform = sound(0.8)
    expected = exported.scores(waveform, OWN_RATE)
    assert np.abs(expected - exported.scores(waveform, 16000)).max() > 100 * SAME
    for answer in (
        exported.signature("serving_default", waveform=waveform),
        exported.loaded(waveform),
        exported.loaded(waveform, None),
        exported.loaded(waveform, sample_rate=None),
    ):
        np.testing.assert_allclose(answer["scores"], expected, atol=SAME)


@pytest.mark.parametrize(
    "rate",
    [
        16000,
        16000.0,
        np.int32(16000),
        np.int64(16000),
        np.float32(16000.4),
        np.float64(16000),
        np.array(16000),
        tf.constant(16000),
        tf.constant(16000.0),
    ],
    ids=lambda rate: f"{type(rate).__name__}-{getattr(rate, 'dtype', '')}",
)
def test_a_rate_of_any_real_type(exported: Exported, rate: Any) -> None:
    waveform = sound(0.3, 16000)
    answer = exported.loaded(waveform, rate)
    np.testing.assert_allclose(answer["scores"], exported.scores(waveform, 16000), atol=SAME)


@pytest.mark.parametrize("convert", [np.float32, np.float64, tf.constant, np.ndarray.tolist])
def test_a_waveform_of_any_float_type(exported: Exported, convert: Any) -> None:
    waveform = sound(0.02, 16000)
    expected = exported.scores(waveform, 16000)
    for answer in (
        exported.loaded(convert(waveform), 16000),
        exported.loaded(waveform=convert(waveform), sample_rate=16000),
    ):
        np.testing.assert_allclose(answer["scores"], expected, atol=SAME)
    own = exported.loaded(convert(waveform))["scores"]
    np.testing.assert_allclose(own, exported.scores(waveform, OWN_RATE), atol=SAME)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("rate", [16000, 16000.0, None])
def test_a_recording_without_a_batch(exported: Exported, dtype: str, rate: float | None) -> None:
    waveform = sound(0.6)[0]
    given = (waveform * 32768).round() if dtype == "int16" else waveform
    alone = exported.loaded(given.astype(dtype), rate)
    batch = exported.loaded(given.astype(dtype)[None], rate)
    assert alone["scores"].shape == (len(LABELS),) and alone["label"].shape == ()
    for name, values in batch.items():
        np.testing.assert_array_equal(alone[name], values[0])
    expected = exported.scores(waveform[None], OWN_RATE if rate is None else 16000)[0]
    np.testing.assert_allclose(alone["scores"], expected, atol=SAME if "32" in dtype else 0.01)


def test_32_bit_integers_are_refused(exported: Exported) -> None:
    """They may hold 16 bits."""
    with pytest.raises(ValueError, match="float32"):
        exported.loaded((sound(0.1) * 32767).astype(np.int32), OWN_RATE)


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_are_no_batch(exported: Exported, channels: int) -> None:
    recording = np.repeat(sound(0.2, batch=1)[0][:, None], channels, axis=1)
    for name in ("with_rate", "embedding", "spectrogram"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"not \[samples, channels\]"):
            exported.signature(name, waveform=recording, sample_rate=OWN_RATE)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not \[samples, channels\]"):
        exported.loaded(recording, OWN_RATE)


def test_attributes_and_files(either: Exported) -> None:
    model, directory = either.loaded, either.directory
    assert [label.decode() for label in model.labels.numpy()] == list(LABELS)
    assert int(model.sample_rate) == OWN_RATE
    assert float(model.window_seconds) == CONFIG.windows.seconds
    written = (directory / "assets" / "labels.txt").read_text(encoding="utf-8")
    assert written == "".join(f"{label}\n" for label in LABELS)
    made = json.loads((directory / METADATA_FILE).read_text(encoding="utf-8"))
    # JSON has lists where the configuration has tuples.
    assert made == json.loads(json.dumps(METADATA)) | {
        "benefits_from_low_precision": either.classifier.extractor.handle != "gabor",
        "labels": list(LABELS),
        "min_score": 0.0,
        "sample_rate_hz": OWN_RATE,
        "window_seconds": CONFIG.windows.seconds,
    }


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.7])
def test_recording_answers_for_every_window(either: Exported, seconds: float) -> None:
    rate = 16000
    waveform = sound(seconds, rate, batch=1)[0]
    answer = either.signature("recording", waveform=waveform, sample_rate=rate)
    expected, starts = either.classifier.window_scores(tf.constant(waveform), tf.constant(rate))
    np.testing.assert_allclose(answer["scores"], expected, atol=SAME)
    np.testing.assert_allclose(answer["start_seconds"], starts)
    # 1.7 s: a window each 0.3 s, the last moved back to end with the recording.
    whole = {0.2: [0.0], 0.5: [0.0], 1.7: [0.0, 0.3, 0.6, 0.9, 1.2]}[seconds]
    np.testing.assert_allclose(answer["start_seconds"], whole, atol=1e-6)
    for start, scores in zip(whole, answer["scores"], strict=True):
        window = waveform[round(start * rate) :][: rate // 2]
        np.testing.assert_allclose(scores, either.scores(window[None], rate)[0], atol=SAME)


def test_a_longer_recording_gets_the_mean_of_its_windows(either: Exported) -> None:
    waveform = sound(1.7, 16000)
    answer = either.signature("with_rate", waveform=waveform, sample_rate=16000)
    for row, scores in zip(waveform, answer["scores"], strict=True):
        windows = either.signature("recording", waveform=row, sample_rate=16000)["scores"]
        assert len(windows) == 5
        mean = np.exp(np.log(windows).mean(axis=0))
        np.testing.assert_allclose(scores, mean / mean.sum(), atol=SAME)


def test_a_shorter_recording_is_padded(exported: Exported) -> None:
    waveform = sound(0.2, 16000)
    padded = np.pad(waveform, [(0, 0), (0, 4800)])
    np.testing.assert_allclose(
        exported.loaded(waveform, 16000)["scores"],
        exported.loaded(padded, 16000)["scores"],
        atol=SAME,
    )


@pytest.mark.parametrize("rate", [8000, OWN_RATE, 44100])
def test_windows_are_answered_as_recordings_of_their_own(either: Exported, rate: int) -> None:
    """To the last digit: what labelling finds must not depend on which signature it asks."""
    samples = round(CONFIG.windows.seconds * rate)
    waveform = sound(CONFIG.windows.seconds, rate, batch=20)[:, :samples]
    waveform[3] *= 1e-6
    waveform[4] = 0
    waveform[5, ::7], waveform[6, 3], waveform[7] = np.nan, np.inf, 1e20
    answer = either.signature("windows", waveform=waveform, sample_rate=rate)
    with_rate = either.signature("with_rate", waveform=waveform, sample_rate=rate)
    np.testing.assert_array_equal(answer["scores"], with_rate["scores"])
    embedding = either.signature("embedding", waveform=waveform, sample_rate=rate)["embedding"]
    np.testing.assert_array_equal(answer["embedding"], embedding)
    limited = np.clip(np.where(np.isfinite(waveform), waveform, 0), -1e4, 1e4)
    heard = np.stack([centred(window) for window in limited])
    power = np.square(heard, dtype=np.float64).mean(axis=1)
    np.testing.assert_allclose(answer["power"], power, rtol=1e-6)
    eager = either.classifier.each_window(tf.constant(waveform), tf.constant(rate))
    for value, name in zip(eager, ("scores", "embedding", "power"), strict=True):
        np.testing.assert_allclose(value, answer[name], rtol=1e-4, atol=SAME)
    rows = tf.data.Dataset.from_tensor_slices(waveform).batch(8)
    signature = either.loaded.signatures["windows"]
    mapped = rows.map(lambda batch: signature(waveform=batch, sample_rate=tf.constant(rate)))
    power = np.concatenate([batch["power"] for batch in mapped])
    np.testing.assert_array_equal(power, answer["power"])


@pytest.mark.parametrize("rate", [8000, OWN_RATE])
@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_an_offset_of_a_recorder_changes_nothing(
    either: Exported, rate: int, seconds: float
) -> None:
    waveform = sound(seconds, rate)
    shifted = (waveform + np.linspace(-0.2, 0.3, len(waveform))[:, None]).astype(np.float32)
    for name in ("with_rate", "embedding"):
        expected = either.signature(name, waveform=waveform, sample_rate=rate)
        found = either.signature(name, waveform=shifted, sample_rate=rate)
        key = "scores" if name == "with_rate" else name
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 100, 3 * OWN_RATE])
def test_nothing_has_no_label(exported: Exported, samples: int) -> None:
    nothing = np.stack([np.zeros(samples, "f4"), np.full(samples, 0.3, "f4")])
    answer = exported.loaded(nothing, OWN_RATE)
    assert answer["audible_seconds"].numpy().tolist() == [0, 0]
    assert answer["label"].numpy().tolist() == [b"", b""]
    assert np.isfinite(answer["scores"]).all()
    both = np.stack([sound(0.2, OWN_RATE)[0], np.zeros(round(0.2 * OWN_RATE), "f4")])
    answer = exported.loaded(both, OWN_RATE)
    np.testing.assert_allclose(answer["audible_seconds"], [0.2, 0], atol=1e-4)
    assert answer["label"][0].numpy().decode() in LABELS and answer["label"][1] == b""


def test_no_windows_get_no_answers(exported: Exported) -> None:
    nothing = np.zeros([0, WINDOW], np.float32)
    answer = exported.signature("windows", waveform=nothing, sample_rate=OWN_RATE)
    assert answer["scores"].shape == (0, len(LABELS)) and answer["power"].shape == (0,)


@pytest.mark.parametrize("samples", [0, 1, 7999, 8001, 16000])
def test_windows_of_another_length_are_refused(exported: Exported, samples: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="exactly one window") as error:
        exported.signature(
            "windows", waveform=np.zeros([2, samples], np.float32), sample_rate=16000
        )
    (line,) = (line for line in str(error.value).splitlines() if "exactly one window" in line)
    assert "[8000]" in line and f"[{samples}]" in line


def wav_bytes(waveform: npt.ArrayLike, rate: int, subtype: str) -> bytes:
    file = BytesIO()
    soundfile.write(file, waveform, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def test_wav_takes_whole_files_of_any_kind(either: Exported) -> None:
    """Each of its own rate, length, channels and encoding, against libsndfile's decoding."""
    files = [
        wav_bytes(sound(0.4, 16000, batch=1)[0], 16000, "PCM_16"),
        wav_bytes(sound(0.6, 44100, seed=1).T, 44100, "PCM_24"),
        wav_bytes(sound(1.2, 22050, seed=2, batch=1)[0], 22050, "FLOAT"),
        wav_bytes(sound(0.5, 8000, seed=3, batch=1)[0], 8000, "PCM_U8"),
    ]
    expected = []
    for content in files:
        samples, rate = soundfile.read(BytesIO(content), dtype="float32", always_2d=True)
        expected.append(either.scores(samples.mean(axis=1)[None], rate)[0])
    answer = either.signature("wav", wav=files)
    np.testing.assert_allclose(answer["scores"], expected, atol=SAME)
    best = np.argmax(expected, axis=1)
    assert [label.decode() for label in answer["label"]] == [LABELS[i] for i in best]
    np.testing.assert_allclose(answer["score"], np.max(expected, axis=1), atol=SAME)
    assert either.loaded.signatures["wav"](wav=tf.zeros([0], tf.string))["label"].shape == [0]


def test_wav_takes_every_encoding_that_is_decoded(exported: Exported) -> None:
    """The whole matrix of the decoder's own tests, against libsndfile's samples."""
    expected = []
    for _, alike in FILES.values():
        samples, rate = soundfile.read(BytesIO(alike), dtype="float32", always_2d=True)
        with_rate = exported.signature(
            "with_rate", waveform=samples.mean(axis=1)[None], sample_rate=rate
        )
        expected.append(with_rate["scores"][0])
    answer = exported.signature("wav", wav=[contents for contents, _ in FILES.values()])
    np.testing.assert_allclose(answer["scores"], expected, atol=SAME)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "WAV"),
        (b"<html>404 Not Found</html>", "WAV"),
        (b"RIFF\x04\0\0\0WAVE", "there is no fmt chunk"),
        (wav_bytes([], 16000, "PCM_16"), "holds no audio frame"),
        (wav_bytes(np.zeros(8), 500, "PCM_16"), "sample rate of 500 Hz"),
        (wav_bytes([0.1, np.nan], 16000, "FLOAT"), "not finite"),
        (wav_bytes(np.zeros(800), 16000, "MS_ADPCM"), "Microsoft ADPCM"),
    ],
    ids=["empty", "text", "header", "no frame", "rate", "not a number", "ADPCM"],
)
def test_wav_says_why_a_file_is_broken(exported: Exported, content: bytes, reason: str) -> None:
    good = wav_bytes(sound(0.2, 16000, batch=1)[0], 16000, "PCM_16")
    for files in ([content], [good, content, good]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            exported.signature("wav", wav=files)


def test_a_padded_batch_answers_as_each_alone(either: Exported) -> None:
    """Servers that batch requests of several lengths put zeros behind the shorter ones."""
    rate = 22050
    alone = [sound(seconds, rate, batch=1)[0] for seconds in (0.1, 0.52, 0.75, 1.3, 2.9)]
    longest = len(alone[-1]) + rate
    batch = np.stack([np.pad(row, (0, longest - len(row))) for row in alone])
    for name in ("with_rate", "embedding"):
        together = either.signature(name, waveform=batch, sample_rate=rate)
        for place, row in enumerate(alone):
            expected = either.signature(name, waveform=row[None], sample_rate=rate)
            for output, value in expected.items():
                if value.dtype == object:
                    assert together[output][place] == value[0]
                else:
                    np.testing.assert_allclose(together[output][place], value[0], atol=1e-5)
    padded = either.signature("recording", waveform=batch[1], sample_rate=rate)
    assert len(padded["scores"]) == len(
        either.signature("recording", waveform=alone[1], sample_rate=rate)["scores"]
    )


@pytest.mark.parametrize(("seconds", "rate"), [(0.3, 22050), (1.1, 44100)])
def test_embedding_is_the_mean_over_the_windows(
    either: Exported, seconds: float, rate: int
) -> None:
    waveform = sound(seconds, rate)
    answer = either.signature("embedding", waveform=waveform, sample_rate=rate)
    expected = either.classifier.embedding(tf.constant(waveform), tf.constant(rate))
    np.testing.assert_allclose(answer["embedding"], expected, rtol=1e-5, atol=1e-5)
    extractor = either.classifier.extractor
    for row, embedding in zip(waveform, answer["embedding"], strict=True):
        windows = split_windows(tf.constant(row[None]), tf.constant(rate), CONFIG).waveform[0]
        mean = extractor(extractor.prepare(windows, tf.constant(rate))).numpy().mean(axis=0)
        np.testing.assert_allclose(embedding, mean, rtol=1e-4, atol=1e-4)


def test_spectrogram_is_the_coloured_image_of_the_first_window(exported: Exported) -> None:
    rate = 16000
    waveform = sound(0.5, rate)
    heard = np.stack([centred(window) for window in waveform])
    grey = image_module.grey_image(log_mel.log_mel(heard, rate, CONFIG), 299, 299, CONFIG).numpy()
    expected = matplotlib.colormaps[CONFIG.spectrogram.colormap](grey, bytes=True)[..., :3].astype(
        int
    )
    image = exported.signature("spectrogram", waveform=waveform, sample_rate=rate)["image"]
    assert image.dtype == np.uint8
    differs = np.abs(image.astype(int) - expected).max(axis=-1)
    # A pixel on the edge between two of the 256 colours may fall to either.
    assert (differs > 1).mean() < 0.001
    assert differs.max() <= 16
    longer = np.pad(waveform, [(0, 0), (0, rate)])
    again = exported.signature("spectrogram", waveform=longer, sample_rate=rate)["image"]
    assert (np.abs(again.astype(int) - image).max(axis=-1) > 1).mean() < 0.001


def test_spectrogram_has_time_to_the_right_and_high_notes_on_top(exported: Exported) -> None:
    time = np.arange(8000) / 16000
    low_then_high = np.where(time < 0.25, np.sin(800 * time), np.sin(30000 * time))
    waveform = 0.3 * low_then_high[None].astype(np.float32)
    image = exported.signature("spectrogram", waveform=waveform, sample_rate=16000)["image"][0]
    brightness = image.astype(int).sum(axis=-1)
    assert brightness[:, 50:100].mean(axis=1).argmax() > 200
    assert brightness[:, 200:250].mean(axis=1).argmax() < 100


STRANGE = {
    "silence": np.zeros(9000),
    "a constant": np.full(9000, 0.5),
    "full scale": np.tile([1.0, -1.0], 4500),
    "not a number": np.full(9000, np.nan),
    "infinite": np.full(9000, np.inf),
    "minus infinite": np.full(9000, -np.inf),
    "some of each": np.resize([0.1, np.nan, -0.2, np.inf, 0.3, -np.inf], 9000),
    "beyond all scales": np.resize([3e38, -3e38, 1e30], 9000),
    "fainter than float": np.full(9000, 1e-44),
    "one sample": np.array([0.5]),
    "nothing": np.array([]),
}


@pytest.mark.parametrize("samples", STRANGE.values(), ids=STRANGE.keys())
def test_strange_sounds_get_finite_scores(exported: Exported, samples: npt.ArrayLike) -> None:
    waveform = np.asarray(samples, np.float32)
    batch = exported.signature("with_rate", waveform=waveform[None], sample_rate=16000)
    assert batch["scores"].shape == (1, len(LABELS))
    one = exported.signature("recording", waveform=waveform, sample_rate=16000)
    for scores in (batch["scores"], one["scores"], exported.loaded(waveform[None])["scores"]):
        assert_scores(scores)
    embedding = exported.signature("embedding", waveform=waveform[None], sample_rate=16000)
    assert np.isfinite(embedding["embedding"]).all()
    assert np.isfinite(one["start_seconds"]).all()
    np.testing.assert_allclose(batch["scores"], exported.scores(waveform[None], 16000), atol=SAME)


def test_a_strange_sound_does_not_touch_others_of_its_batch(exported: Exported) -> None:
    good = sound(0.6, 16000, batch=1)[0]
    batch = np.stack([good, np.full_like(good, np.nan), good, np.zeros_like(good)])
    scores = exported.loaded(batch, 16000)["scores"].numpy()
    alone = exported.loaded(good[None], 16000)["scores"].numpy()[0]
    np.testing.assert_allclose(scores[[0, 2]], [alone, alone], atol=SAME)
    np.testing.assert_allclose(scores[1], scores[3], atol=SAME)


def test_an_empty_batch_gets_an_empty_answer(exported: Exported) -> None:
    answer = exported.loaded(np.zeros([0, 9000], np.float32), 16000)
    assert answer["scores"].shape == [0, len(LABELS)]
    assert answer["label"].shape == [0]


@pytest.mark.parametrize("rate", [0, -1, -22050, 5, 999, 384_001, 2**31 - 1])
def test_absurd_rates_are_refused(exported: Exported, rate: int) -> None:
    waveform = sound(0.1)
    calls = {
        "recording": waveform[0],
        "with_rate": waveform,
        "embedding": waveform,
        "windows": waveform,
        "spectrogram": waveform,
    }
    refused = pytest.raises(
        tf.errors.InvalidArgumentError, match="sample_rate must lie between 1000 and 384000 Hz"
    )
    for name, argument in calls.items():
        with refused:
            exported.signature(name, waveform=argument, sample_rate=rate)
    with refused:
        exported.loaded(waveform, rate)


def test_a_rate_beyond_32_bits_is_refused(exported: Exported) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="sample_rate must lie between"):
        exported.loaded(sound(0.1), np.int64(2**32 + OWN_RATE))


@pytest.mark.parametrize("rate", [1000, 384_000])
def test_the_lowest_and_highest_rates_work(exported: Exported, rate: int) -> None:
    waveform = sound(0.6, rate)
    scores = exported.loaded(waveform, rate)["scores"]
    assert_scores(scores)
    np.testing.assert_allclose(scores, exported.scores(waveform, rate), atol=SAME)


def test_inside_another_function(exported: Exported) -> None:
    model = exported.loaded

    @tf.function(input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([], tf.int32)])
    def outer(waveform: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return model(waveform, rate)["scores"], model(waveform)["scores"]

    waveform = sound(0.7, 16000)
    with_rate, without = outer(waveform, 16000)
    np.testing.assert_allclose(with_rate, exported.scores(waveform, 16000), atol=SAME)
    np.testing.assert_allclose(without, exported.scores(waveform, OWN_RATE), atol=SAME)


def test_inside_a_dataset(either: Exported) -> None:
    """In parallel, one by one and in batches, the order kept."""
    model = either.loaded
    waveforms = sound(0.5, 16000, batch=6)
    expected = either.scores(waveforms, 16000)
    sounds = tf.data.Dataset.from_tensor_slices(waveforms)
    singly = sounds.map(
        lambda waveform: model(waveform[None], 16000)["scores"][0], num_parallel_calls=4
    )
    np.testing.assert_allclose(list(singly), expected, atol=SAME)
    batched = sounds.batch(4).map(lambda batch: model(batch, 16000)["scores"], num_parallel_calls=2)
    np.testing.assert_allclose(np.concatenate(list(batched)), expected, atol=SAME)


def operations(directory: Path) -> set[str]:
    """The names of all ops in a SavedModel's graphs and functions."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((directory / "saved_model.pb").read_bytes())
    found: set[str] = set()
    for graph in model.meta_graphs:
        found |= {node.op for node in graph.graph_def.node}
        for function in graph.graph_def.library.function:
            found |= {node.op for node in function.node_def}
    return found


def foreign_operations(directory: Path) -> list[str]:
    """Those that a serving process without Python and tensorflow-io lacks."""
    return sorted(
        name for name in operations(directory) if "PyFunc" in name or "Numpy" in name or ">" in name
    )


def test_the_graph_holds_core_ops_alone(either: Exported) -> None:
    assert "RFFT" in operations(either.directory)
    assert foreign_operations(either.directory) == []


def test_foreign_ops_would_be_found(tmp_path: Path) -> None:
    module = tf.Module()
    module.double = tf.function(
        lambda x: (
            tf.numpy_function(lambda y: y * 2, [x], tf.float32)
            + tf.py_function(lambda y: y * 2, [x], tf.float32)
        ),
        input_signature=[tf.TensorSpec([], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path))
    assert foreign_operations(tmp_path) == ["EagerPyFunc", "PyFunc"]


def test_the_module_folder_is_not_asked_for(exported: Exported) -> None:
    """Nothing in the model names a place on the machine that exported it."""
    first = str(exported.directory.parents[1] / "module").encode()
    for path in exported.directory.rglob("*"):
        assert path.is_dir() or first not in path.read_bytes()


@pytest.mark.parametrize("name", ["with_rate", "recording", "embedding"])
def test_a_request_is_of_bounded_duration(exported: Exported, name: str) -> None:
    """By what is in the batch together, at its rate; refused before anything is computed."""
    rows = [None, slice(None)] if name != "recording" else [slice(None)]
    long = np.zeros(MAX_REQUEST_SECONDS * 1000 + 1, np.float32)[tuple(rows)]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="may hold 600 seconds of sound in all"
    ):
        exported.signature(name, waveform=long, sample_rate=1000)
    exported.signature(name, waveform=long[..., ::4], sample_rate=1000)


def test_wav_files_together_are_of_bounded_duration(exported: Exported) -> None:
    def silence(seconds: float) -> bytes:
        file = BytesIO()
        soundfile.write(file, np.zeros(round(seconds * 1000)), 1000, format="WAV", subtype="PCM_U8")
        return file.getvalue()

    few = [silence(150)] * 2
    exported.signature("wav", wav=few)
    for many in ([silence(150)] * 5, [silence(MAX_REQUEST_SECONDS + 1)]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="may hold 600 seconds"):
            exported.signature("wav", wav=many)
