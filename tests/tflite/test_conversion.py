"""Models as .tflite files: what they answer, what they consist of, what they say of themselves."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import number_types
from flatbuffers.table import Table

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.models.export import export_model
from sound_pipeline.models.info import METADATA_FILE, read_metadata
from sound_pipeline.models.model import Model
from sound_pipeline.tflite.conversion import convert, export_tflite
from sound_pipeline.tflite.formats import LITE_FORMATS
from sound_pipeline.tflite.model import LiteModel
from tests.helpers import tiny_models
from tests.helpers.tiny_models import CONFIG, LABELS
from tests.helpers.user_errors import error_of

pytestmark = pytest.mark.slow

Floats = npt.NDArray[np.float32]

RATE = CONFIG.spectrogram.sample_rate_hz
MIN_SCORE = 0.375


@dataclass(frozen=True)
class Exported:
    """A SavedModel and the .tflite files made of it, by their format."""

    saved_model: Path
    files: dict[str, Path]


def export(folder: Path, extractor: str, config: FeatureConfig = CONFIG) -> Exported:
    classifier = tiny_models.random_classifier(load_extractor(extractor, config))
    classifier.min_score.assign(MIN_SCORE)
    export_model(classifier, folder / "saved_model", {"metrics": {"accuracy": 0.5}})
    files = export_tflite(folder / "saved_model", folder / "tflite", LITE_FORMATS)
    return Exported(folder / "saved_model", dict(zip(LITE_FORMATS, files, strict=True)))


@pytest.fixture(scope="module")
def gabor(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("gabor"), "gabor")


def sounds(seconds: float = CONFIG.windows.seconds) -> list[Floats]:
    """Windows of the model's rate: tones that come and go in noise, quiet and loud, and others."""
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    windows = [
        10 ** -random.uniform(0, 3)
        * (
            np.sin(2 * np.pi * random.uniform(100, 9000) * time) * np.abs(np.sin(9 * time))
            + random.normal(0, 10 ** -random.uniform(1, 4), len(time))
        )
        for _ in range(12)
    ]
    click = np.where(np.arange(len(time)) == len(time) // 3, 1.0, 0.0)
    windows += [np.zeros(len(time)), np.ones(len(time)), click, 1e30 * windows[0]]
    return [window.astype(np.float32) for window in windows]


def parsed(path: Path) -> Any:
    """A .tflite file's model, by the classes that TensorFlow generates from its schema."""
    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)


def operations(model: Any) -> set[str]:
    """The names of the operations in it; CUSTOM for all that are not built in."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    return {names[code.builtinCode] for code in model.operatorCodes}


def test_float32_says_what_the_saved_model_says(gabor: Exported) -> None:
    saved, lite = Model(gabor.saved_model), LiteModel(gabor.files["float32"])
    expected = np.stack([saved.scores(window, RATE) for window in sounds()])
    assert np.ptp(expected, axis=0).max() > 0.1, "sounds too alike to be told apart"
    found = np.stack([lite.scores(window, RATE) for window in sounds()])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.nightly
def test_images_of_pieces_say_the_same(tmp_path: Path) -> None:
    module = tiny_models.save_image_module(tmp_path / "module")
    exported = export(tmp_path, module, dataclasses.replace(CONFIG, pieces=(1, 2)))
    saved = Model(exported.saved_model)
    for kind, atol in (("float32", 1e-3), ("int8", 0.06)):
        lite = LiteModel(exported.files[kind])
        for window in sounds()[:6]:
            expected = saved.scores(window, RATE)
            np.testing.assert_allclose(lite.scores(window, RATE), expected, atol=atol)


@pytest.mark.parametrize(("kind", "atol"), [("float16", 0.01), ("int8", 0.06)])
def test_smaller_forms_say_about_the_same(gabor: Exported, kind: str, atol: float) -> None:
    """Not so if the power spectrum were rounded to 8 bits: then the scores are others."""
    saved, lite = Model(gabor.saved_model), LiteModel(gabor.files[kind])
    for window in sounds():
        np.testing.assert_allclose(lite.scores(window, RATE), saved.scores(window, RATE), atol=atol)


def test_samples_that_are_not_finite_count_as_zero(gabor: Exported) -> None:
    lite = LiteModel(gabor.files["float32"])
    window = sounds()[0]
    window[100:200] = 0
    expected = lite.scores(window, RATE)
    window[100:200:3] = np.nan
    window[101:200:3] = np.inf
    np.testing.assert_allclose(lite.scores(window, RATE), expected, atol=1e-6)


@pytest.mark.parametrize("kind", LITE_FORMATS)
def test_it_consists_of_built_in_operations_alone(gabor: Exported, kind: str) -> None:
    model = parsed(gabor.files[kind])
    found = operations(model)
    assert {"RFFT2D", "CONV_2D", "LOG"} <= found
    # What is not built in (Flex) has the code CUSTOM. A loop would make all shapes dynamic, and
    # keep the graph from the fast kernels.
    assert found.isdisjoint({"CUSTOM", "WHILE", "IF", "CALL_ONCE", "VAR_HANDLE"})
    assert len(model.subgraphs) == 1
    graph = model.subgraphs[0]
    shapes = [list(graph.tensors[number].shape) for number in (*graph.inputs, *graph.outputs)]
    assert shapes == [[1, round(CONFIG.windows.seconds * RATE)], [1, len(LABELS)]]


def test_weights_are_kept_as_the_format_says(gabor: Exported) -> None:
    kinds = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.INT8)

    def types(kind: str) -> dict[int, int]:
        """How many bytes of weights there are of each type."""
        model = parsed(gabor.files[kind])
        found: dict[int, int] = {}
        for tensor in model.subgraphs[0].tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and tensor.type in kinds:
                found[tensor.type] = found.get(tensor.type, 0) + len(data)
        return found

    exact, half, eighth = (types(kind) for kind in ("float32", "float16", "int8"))
    assert set(exact) == {schema.TensorType.FLOAT32}
    (all_bytes,) = exact.values()
    assert half[schema.TensorType.FLOAT16] > 0.45 * all_bytes
    # Left as they are: the mel filters, Hann's window and what is too small to be worth it.
    left = eighth[schema.TensorType.FLOAT32]
    assert left < 100_000
    assert eighth[schema.TensorType.INT8] > 0.9 * (all_bytes - left) / 4


def test_the_mel_filters_stay_exact(gabor: Exported) -> None:
    model = parsed(gabor.files["int8"])
    graph = model.subgraphs[0]
    codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators]
    first = codes.index(schema.BuiltinOperator.RFFT2D)
    end = codes.index(schema.BuiltinOperator.LOG, first)
    types = [
        graph.tensors[number].type
        for operator, code in zip(graph.operators[first:end], codes[first:end], strict=True)
        if code == schema.BuiltinOperator.FULLY_CONNECTED
        for number in operator.inputs
        if number >= 0
    ]
    assert len(types) >= 2
    assert set(types) == {schema.TensorType.FLOAT32}


@pytest.mark.parametrize("kind", LITE_FORMATS)
def test_tensors_lie_where_they_can_be_used(gabor: Exported, kind: str) -> None:
    model = schema.Model.GetRootAs(gabor.files[kind].read_bytes(), 0)
    places = set()
    for number in range(model.BuffersLength()):
        table = model.Buffers(number)._tab
        if field := table.Offset(4):
            places.add(table.Vector(field) % 16)
    assert places == {0}


class Described:
    """A table of the metadata, read by its position in the schema (metadata_schema.fbs 1.3)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @staticmethod
    def of(content: bytes) -> Described:
        assert flatbuffers.util.BufferHasIdentifier(content, 0, b"M001")
        start = flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, content, 0)
        return Described(Table(content, start))

    def number(self, field: int, kind: Any) -> Any:
        place = self.table.Offset(4 + 2 * field)
        return self.table.Get(kind, self.table.Pos + place) if place else 0

    def text(self, field: int) -> str:
        text: bytes = self.table.String(self.table.Pos + self.table.Offset(4 + 2 * field))
        return text.decode()

    def child(self, field: int) -> Described:
        place = self.table.Pos + self.table.Offset(4 + 2 * field)
        return Described(Table(self.table.Bytes, self.table.Indirect(place)))

    def children(self, field: int) -> list[Described]:
        place = self.table.Offset(4 + 2 * field)
        first, count = self.table.Vector(place), self.table.VectorLen(place)
        return [
            Described(Table(self.table.Bytes, self.table.Indirect(first + 4 * number)))
            for number in range(count)
        ]


@pytest.mark.parametrize("kind", LITE_FORMATS)
def test_the_standard_metadata_is_inside(gabor: Exported, kind: str) -> None:
    model = parsed(gabor.files[kind])
    (entry,) = (entry for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    root = Described.of(bytes(model.buffers[entry.buffer].data))
    assert root.text(0) == "sound_pipeline" and "0.5 s of sound at 22050 Hz" in root.text(1)
    assert root.text(7) == "1.3.0"
    assert [file.text(0) for file in root.children(6)] == ["model.json"]
    (graph,) = root.children(3)
    (waveform,), (scores,) = graph.children(2), graph.children(3)
    assert (waveform.text(0), scores.text(0)) == ("waveform", "scores")
    content = waveform.child(3)
    assert content.number(0, number_types.Uint8Flags) == 4  # AudioProperties
    audio = content.child(1)
    assert [audio.number(field, number_types.Uint32Flags) for field in (0, 1)] == [RATE, 1]
    (labels,) = scores.children(6)
    assert labels.text(0) == "labels.txt"
    assert labels.number(2, number_types.Int8Flags) == 2  # TENSOR_AXIS_LABELS
    (unit,) = scores.children(4)
    assert unit.number(0, number_types.Uint8Flags) == 3  # ScoreThresholdingOptions
    assert unit.child(1).number(0, number_types.Float32Flags) == MIN_SCORE


@pytest.mark.parametrize("kind", LITE_FORMATS)
def test_labels_can_be_unzipped(gabor: Exported, kind: str) -> None:
    with zipfile.ZipFile(gabor.files[kind]) as files:
        assert files.testzip() is None
        assert {info.compress_type for info in files.infolist()} == {zipfile.ZIP_STORED}
        assert files.read("labels.txt").decode() == "".join(f"{label}\n" for label in LABELS)
        assert json.loads(files.read("model.json")) == read_metadata(gabor.saved_model)


class Unsupported(tiny_models.PictureModule):
    """A module with an operation that TensorFlow Lite lacks."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, tiny_models.SIDE, tiny_models.SIDE, 3], tf.float32)]
    )
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return tf.math.digamma(1.0 + tf.reduce_sum(images, axis=[2, 3]))


def test_operations_that_are_missing_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tf.saved_model.save(Unsupported(), str(tmp_path / "module"))
    extractor = load_extractor(str(tmp_path / "module"), CONFIG)
    export_model(tiny_models.random_classifier(extractor), tmp_path / "saved_model", {})
    with pytest.raises(UserError, match=r"TensorFlow Lite .*: it lacks Digamma; use") as error:
        export_tflite(tmp_path / "saved_model", tmp_path / "tflite", ["float32"])
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == "", "the compiler's messages beside it"
    assert not (tmp_path / "tflite").exists()


def test_an_older_export_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "saved_model"
    tf.saved_model.save(tiny_models.PictureModule(), str(directory))
    (directory / "assets.extra").mkdir()
    about = {
        "labels": ["a"],
        "window_seconds": FeatureConfig().windows.seconds,
        "min_score": 0,
        "config": {"features": {}},
        "benefits_from_low_precision": False,
    }
    (directory / "assets.extra" / "model.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"older version; run train\.py again"):
        convert(directory, ["float32"])


def test_a_damaged_graph_is_refused(gabor: Exported, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"damaged")
    (tmp_path / "assets.extra").symlink_to(gabor.saved_model / "assets.extra")
    with pytest.raises(UserError, match="does not load") as error:
        convert(tmp_path, ["float32"])
    assert "\n" not in str(error.value)


def test_damaged_weights_are_refused(gabor: Exported, tmp_path: Path) -> None:
    broken = shutil.copytree(gabor.saved_model, tmp_path / "model")
    (broken / "variables" / "variables.index").write_bytes(b"damaged")
    error_of(lambda: convert(broken, ["float32"]), "does not load", "copy or export it again")


def test_labels_of_another_model_are_refused(gabor: Exported, tmp_path: Path) -> None:
    other = shutil.copytree(gabor.saved_model, tmp_path / "model")
    about = read_metadata(other)
    about["labels"].pop()
    (other / METADATA_FILE).write_text(json.dumps(about))
    error_of(lambda: convert(other, ["float32"]), "scores for", "labels")


def test_a_folder_that_can_not_be_written_is_named(gabor: Exported, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"model_float32\.tflite: .*; name another folder"):
        export_tflite(gabor.saved_model, tmp_path / "file", ["float32"])
