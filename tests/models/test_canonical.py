"""Equal models are equal files, whatever the process did before, and work as they did."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.models.canonical import make_canonical
from sound_pipeline.models.export import export_model
from sound_pipeline.models.info import fingerprint
from tests.helpers import tiny_models
from tests.helpers.tiny_models import CONFIG
from tests.helpers.trees import contents_of


@pytest.mark.parametrize("kind", ["loudness", "waveform module"])
def test_an_equal_model_has_equal_bytes(tmp_path: Path, kind: str) -> None:
    module = tiny_models.save_waveform_module(tmp_path / "module")

    def export(name: str) -> Path:
        own = kind == "loudness"
        extractor = tiny_models.LoudnessExtractor(CONFIG) if own else load_extractor(module, CONFIG)
        export_model(tiny_models.random_classifier(extractor), tmp_path / name, {})
        return tmp_path / name

    first, second = export("first"), export("second")
    assert "saved_model.pb" in contents_of(first)
    assert contents_of(first) == contents_of(second)
    assert fingerprint(first) == fingerprint(second)
    make_canonical(first)
    assert contents_of(first) == contents_of(second)


class Loops(tf.Module):
    """A gradient of its own, a loop in a loop over a variable, and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(1.5)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient  # type: ignore[misc]
        def doubled(value: tf.Tensor) -> tuple[tf.Tensor, object]:
            return value * 2.0, lambda upstream: upstream * 7.0

        def inner(total: tf.Tensor) -> tf.Tensor:
            return tf.while_loop(
                lambda n, _: n < 2, lambda n, t: (n + 1, t * self.factor), (0, total)
            )[1]

        looped = tf.while_loop(lambda n, _: n < 2, lambda n, t: (n + 1, inner(t)), (0, x))[1]
        return tf.cond(x > 0, lambda: doubled(looped), lambda: -looped)


def test_functions_and_their_gradients_work_as_before(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    for folder in folders:
        tf.saved_model.save(Loops(), str(folder), options=options)
        assert contents_of(folder)["saved_model.pb"]
        make_canonical(folder)
    assert contents_of(folders[0]) == contents_of(folders[1])
    model = tf.saved_model.load(str(folders[0]))
    with tf.GradientTape() as tape:
        x = tf.constant(2.0)
        tape.watch(x)
        y = model(x)
    assert float(y) == pytest.approx(2 * 2 * 1.5**4)
    assert float(tape.gradient(y, x)) == pytest.approx(7 * 1.5**4)
    assert float(model(tf.constant(-2.0))) == pytest.approx(2 * 1.5**4)
