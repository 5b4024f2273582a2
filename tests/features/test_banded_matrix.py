"""Products in parts against the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.features.banded_matrix import banded_product, banded_resize
from sound_pipeline.features.image import resize_matrix
from sound_pipeline.features.mel import mel_matrix
from tests.helpers import sounds

MATRICES = {
    "mel filters": mel_matrix(1025, 22050 / 2048, 128, 0, 11025).T,
    "mel filters, some of them between two bins": mel_matrix(129, 22050 / 256, 128, 0, 11025).T,
    "columns": resize_matrix(173, 299),
    "rows turned over": resize_matrix(128, 299)[::-1],
    "fewer rows than parts": resize_matrix(40, 3),
    "one row": resize_matrix(5, 1),
    "no zeros": np.ones((20, 30), np.float32),
    "zeros alone": np.zeros((20, 30), np.float32),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("beyond", [0, 7])
def test_is_the_product_with_the_whole_matrix(matrix: sounds.Floats, beyond: int) -> None:
    random = np.random.default_rng(0)
    new_size, size = matrix.shape
    values = random.random((2, 3, size + beyond)).astype(np.float32)
    answer = sounds.eager_and_mapped(lambda given: banded_product(given, matrix), values)
    assert answer.shape == (2, 3, new_size)
    np.testing.assert_allclose(answer, values[..., :size] @ matrix.T, rtol=1e-4, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16))
def test_wherever_the_zeros_are(new_size: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.random((new_size, size)) * (random.random((new_size, size)) < 0.1)
    values = random.random((2, size)).astype(np.float32)
    answer = banded_product(values, matrix.astype(np.float32))
    np.testing.assert_allclose(answer, values @ matrix.T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (resize_matrix(128, 299)[::-1], resize_matrix(173, 299)),
        (resize_matrix(40, 3), resize_matrix(5, 1)),
        (np.ones((20, 30), np.float32), np.zeros((20, 30), np.float32)),
    ],
    ids=["an image's", "fewer than parts", "no band"],
)
def test_resizing_is_the_product_with_both_matrices(
    rows: sounds.Floats, columns: sounds.Floats
) -> None:
    random = np.random.default_rng(0)
    images = random.random((2, columns.shape[1], rows.shape[1])).astype(np.float32)
    answer = sounds.eager_and_mapped(lambda given: banded_resize(given, rows, columns), images)
    turned = np.swapaxes(images, 1, 2)
    np.testing.assert_allclose(answer, rows @ turned @ columns.T, rtol=1e-4, atol=1e-5)
