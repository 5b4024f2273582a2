"""What shards stand on: a window's embedding, bit for bit, wherever it is in whichever batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.windows import WINDOWS_AT_ONCE
from sound_pipeline.system.precision import choose_precision, computing_in, this_machine

RATE_HZ = 22050


def assert_alike_in_all_batches(extractor: Extractor, precision: str) -> None:
    """Batches as they are in extraction: full, of other windows, or of fillers, which are zeros."""
    random = np.random.default_rng(0)
    samples = round(extractor.config.windows.seconds * RATE_HZ)
    loudness = random.uniform(0.01, 0.3, [WINDOWS_AT_ONCE, 1])
    waveforms = (random.normal(size=[WINDOWS_AT_ONCE, samples]) * loudness).astype(np.float32)
    prepare, embed = tf.function(extractor.prepare), tf.function(extractor)
    together = prepare(waveforms, RATE_HZ).numpy()
    # Windows are prepared with those of their own recording, the same ones every time.
    np.testing.assert_array_equal(prepare(waveforms, RATE_HZ), together)
    # With others the last bit may differ: on some CPUs a product's rows do by where they stand.
    alone = np.concatenate([prepare(one[None], RATE_HZ).numpy() for one in waveforms])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)
    with computing_in(precision):
        expected = embed(together).numpy()
        for _ in range(3):
            order = random.permutation(WINDOWS_AT_ONCE)
            some = together[order]
            some[random.permutation(WINDOWS_AT_ONCE)[:5]] = 0
            is_there = some.reshape(WINDOWS_AT_ONCE, -1).any(axis=1)
            np.testing.assert_array_equal(embed(some).numpy()[is_there], expected[order[is_there]])


@pytest.mark.slow
def test_the_filter_bank() -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=0.5))
    assert_alike_in_all_batches(load_extractor("gabor", config), "float32")


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.parametrize(
    ("module", "precision"),
    [
        pytest.param("inception_v3_trunk", "float32", marks=pytest.mark.nightly),
        ("inception_v3_trunk", "bfloat16"),
        ("yamnet", "float32"),
    ],
)
def test_networks(assets: Path, module: str, precision: str) -> None:
    extractor = load_extractor(str(assets / "hub" / module), FeatureConfig())
    try:
        choose_precision(precision, this_machine(), extractor.benefits_from_low_precision)
    except UserError as error:
        pytest.skip(str(error))
    assert_alike_in_all_batches(extractor, precision)
