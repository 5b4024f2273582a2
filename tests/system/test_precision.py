"""What a model is computed in: chosen by what the machine can do, and as good as float32."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio.decoding import decode_whole
from sound_pipeline.datasets import DatasetConfig, load_manifest
from sound_pipeline.datasets.splits import SplitConfig, make_splits
from sound_pipeline.embeddings.embed import embed_recordings
from sound_pipeline.embeddings.matrices import Matrix
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.evaluate import evaluate, predictions_of
from sound_pipeline.evaluation.summary import summarise
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.log_mel import log_mel
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system import precision
from sound_pipeline.system.precision import (
    Machine,
    check_precision,
    choose_precision,
    computing_in,
    this_machine,
)

OLD = Machine(frozenset({"sse4_2", "avx2", "avx512f"}))
BFLOAT16 = Machine(frozenset({"avx512f", "avx512_bf16"}))
AMX = Machine(frozenset({"avx512f", "avx512_bf16", "amx_tile", "amx_bf16"}))
UNKNOWN = Machine(None)
WITHOUT_ONEDNN = Machine(BFLOAT16.cpu_flags, onednn=False)
TENSOR_CORES = Machine(BFLOAT16.cpu_flags, gpu="H200", gpu_capability=(9, 0))
OLD_GPU = Machine(BFLOAT16.cpu_flags, gpu="GTX 1080", gpu_capability=(6, 1))
OTHER_GPU = Machine(BFLOAT16.cpu_flags, gpu="Radeon")


@pytest.mark.parametrize(
    ("machine", "expected", "why"),
    [
        (OLD, "float32", "the CPU has neither amx_bf16 nor avx512_bf16"),
        (BFLOAT16, "bfloat16", "the CPU has avx512_bf16"),
        (AMX, "bfloat16", "the CPU has amx_bf16 and avx512_bf16"),
        (UNKNOWN, "float32", "doesn't say"),
        (WITHOUT_ONEDNN, "float32", "TF_ENABLE_ONEDNN_OPTS"),
        (TENSOR_CORES, "float16", "H200, compute capability 9.0"),
        (OLD_GPU, "float32", "capability 6.1) has no units"),
        (OTHER_GPU, "float32", "Radeon"),
    ],
)
def test_auto_takes_what_the_machine_is_good_at_and_says_why(
    machine: Machine, expected: str, why: str
) -> None:
    choice = choose_precision("auto", machine)
    assert choice.precision == expected and why in choice.why
    without_gain = choose_precision("auto", machine, pays=False)
    assert without_gain.precision == "float32" and "gains nothing" in without_gain.why
    assert choose_precision("float32", machine).precision == "float32"


@pytest.mark.parametrize(
    ("asked", "machine", "why"),
    [
        ("float16", BFLOAT16, "needs a GPU"),
        ("float16", OLD_GPU, "no units"),
        ("bfloat16", OLD, "avx512_bf16"),
        ("bfloat16", UNKNOWN, "doesn't say"),
        ("bfloat16", WITHOUT_ONEDNN, "oneDNN"),
        ("bfloat16", TENSOR_CORES, "on CPUs alone"),
        ("float64", BFLOAT16, "auto, float32, bfloat16 or float16"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(asked: str, machine: Machine, why: str) -> None:
    for pays in (True, False):
        with pytest.raises(UserError) as caught:
            choose_precision(asked, machine, pays)
        assert str(caught.value).startswith(f"--precision={asked}: ") and why in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_asked_for_and_possible(tmp_path: Path) -> None:
    assert choose_precision("bfloat16", AMX, pays=False).precision == "bfloat16"
    assert choose_precision("float16", TENSOR_CORES).precision == "float16"
    for name in precision.PRECISIONS:
        check_precision(name)


def test_reads_the_flags_of_linux(tmp_path: Path) -> None:
    x86 = tmp_path / "x86"
    x86.write_text("processor\t: 0\nmodel name\t: flags\nflags\t\t: fpu sse avx512_bf16\n\n" * 2)
    assert precision._cpu_flags(x86) == {"fpu", "sse", "avx512_bf16"}
    arm = tmp_path / "arm"
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert precision._cpu_flags(arm) is None
    assert precision._cpu_flags(tmp_path / "missing") is None


def test_this_machine_is_what_linux_says(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has /proc")
    machine = this_machine()
    listed = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    assert machine.cpu_flags is None or machine.cpu_flags <= set(listed.split())
    assert (machine.gpu is None) == (not tf.config.list_physical_devices("GPU"))
    assert machine.onednn
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not this_machine().onednn


SWITCH = "auto_mixed_precision_onednn_bfloat16"


def switches() -> dict[str, bool]:
    found = tf.config.optimizer.get_experimental_options()
    return {name: value for name, value in found.items() if "precision" in name and value}


def test_the_switches_are_put_back() -> None:
    with computing_in("float32"):
        assert switches() == {}
    with pytest.raises(KeyError), computing_in("bfloat16"):
        assert switches() == {SWITCH: True}
        with computing_in("float32"):
            assert switches() == {}
        assert switches() == {SWITCH: True}
        with computing_in("float16"):
            assert switches() == {"auto_mixed_precision": True}
        raise KeyError
    assert switches() == {}


def bfloat16_or_skip() -> None:
    machine = this_machine()
    if choose_precision("auto", machine).precision != "bfloat16":
        pytest.skip(f"no bfloat16: {choose_precision('auto', machine).why}")


def test_the_same_function_inside_and_outside() -> None:
    """Also on another thread, and where it was called outside before."""
    bfloat16_or_skip()
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=[2, 32, 32, 16]), tf.float32)
    filters = tf.constant(random.normal(size=[3, 3, 16, 16]), tf.float32)

    @tf.function
    def convolved(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(images, filters, 1, "SAME")

    before = convolved(images).numpy()
    found = {}

    def inside() -> None:
        with computing_in("bfloat16"):
            found["inside"] = convolved(images).numpy()

    inside()
    error = np.abs(found["inside"] - before).mean() / np.abs(before).mean()
    assert 1e-4 < error < 1e-2, "bfloat16 has eight bits"
    elsewhere = threading.Thread(target=inside)
    first = found.pop("inside")
    elsewhere.start()
    elsewhere.join()
    np.testing.assert_array_equal(found["inside"], first)
    np.testing.assert_array_equal(convolved(images).numpy(), before)


def cosines(one: Matrix, other: Matrix) -> np.ndarray:
    a, b = (np.asarray(part, np.float64) for part in (one, other))
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.assets
@pytest.mark.slow
def test_embeddings_of_real_recordings_in_bfloat16_are_those_in_float32(
    esc10: Path, inception: Path, tmp_path: Path
) -> None:
    bfloat16_or_skip()
    extractor = load_extractor(str(inception), FeatureConfig(beginning_seconds=()))
    manifest = load_manifest(DatasetConfig("esc50", str(esc10), subset="esc10"))
    paths = [recording.path for recording in manifest.recordings][::40]
    one, other = (
        embed_recordings(paths, extractor, EmbeddingSettings(tmp_path), name)
        for name in ("float32", "bfloat16")
    )
    found = cosines(one.values, other.values)
    assert found.mean() > 0.999 and found.min() > 0.99
    assert not np.array_equal(np.asarray(one.values), np.asarray(other.values))

    # Where the whole exported model is computed in it, its log-mel is a little less exact too.
    waveforms = tf.constant(np.stack([decode_whole(path)[0][:88200] for path in paths[:4]]))
    rate = tf.constant(44100)
    whole = tf.function(lambda waveform: extractor(extractor.prepare(waveform, rate)))
    spectrogram = tf.function(lambda waveform: log_mel(waveform, rate, extractor.config))
    waveforms = tf.tile(waveforms, [1, 2])
    with computing_in("bfloat16"):
        inside = whole(waveforms).numpy(), spectrogram(waveforms).numpy()
    outside = whole(waveforms).numpy(), spectrogram(waveforms).numpy()
    assert cosines(inside[0], outside[0]).mean() > 0.999
    assert np.abs(inside[1] - outside[1]).mean() < 0.05


@pytest.mark.assets
@pytest.mark.nightly
def test_accuracy_on_esc10_in_bfloat16_is_that_in_float32(
    esc10: Path, inception: Path, tmp_path: Path
) -> None:
    bfloat16_or_skip()
    extractor = load_extractor(str(inception), FeatureConfig())
    manifest = load_manifest(DatasetConfig("esc50", str(esc10), subset="esc10"))
    splits = make_splits(manifest, SplitConfig("folds"))
    paths = [recording.path for recording in manifest.recordings]
    accuracy, embedded = {}, {}
    for name in ("float32", "bfloat16"):
        embedded[name] = embed_recordings(paths, extractor, EmbeddingSettings(tmp_path), name)
        results = evaluate(manifest, embedded[name], splits, HeadConfig())
        calibrations = {result.name: result.calibration for result in results}
        accuracy[name] = summarise(predictions_of(manifest, results), calibrations)["accuracy"]
    assert cosines(*(found.values for found in embedded.values())).mean() > 0.999
    assert abs(accuracy["bfloat16"] - accuracy["float32"]) <= 0.005, accuracy
