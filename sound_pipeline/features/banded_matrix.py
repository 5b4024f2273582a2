"""Products with constant matrices that are zero but for a band along their diagonal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from sound_pipeline.system.arrays import Floats

# More parts have fewer zeros left in them, but are slower to multiply by: from 4 to 12 the products
# of the features take the same time.
_PARTS = 8


def banded_product(values: tf.Tensor, matrix: Floats) -> tf.Tensor:
    """Product of vectors with a banded matrix, as mel filters are.

    The matrix's rows are split into parts, and each is multiplied by without the columns that are
    zero in all of it: an eighth to a quarter of the arithmetic.

    Args:
      values: float32 [..., at least size]; what lies beyond is left out.
      matrix: float32 [new_size, size].

    Returns:
      float32 [..., new_size], `matrix` times each vector.
    """
    new_size = len(matrix)
    vectors = tf.reshape(values, [-1, tf.shape(values)[-1]])
    products = [
        tf.matmul(vectors[:, first:end], tf.constant(part), transpose_b=True)
        for first, end, part in _parts(matrix)
    ]
    shape = tf.concat([tf.shape(values)[:-1], [new_size]], axis=0)
    result = tf.reshape(tf.concat(products, axis=1), shape)
    return tf.ensure_shape(result, [*values.shape[:-1], new_size])


def banded_resize(images: tf.Tensor, rows: Floats, columns: Floats) -> tf.Tensor:
    """Turns images by a right angle and resizes them, with banded matrices of weights.

    In parts, as `banded_product`; with the matrices on the left, and the one for columns first, so
    that nothing has to be transposed on the way.

    Args:
      images: float32 [batch, old_columns, old_rows].
      rows: float32 [new_rows, old_rows].
      columns: float32 [new_columns, old_columns].

    Returns:
      float32 [batch, new_rows, new_columns]: `rows` times the turned image times `columns`
      transposed.
    """
    wide = tf.concat(
        [
            tf.matmul(tf.constant(part[np.newaxis]), images[:, first:end])
            for first, end, part in _parts(columns)
        ],
        axis=1,
    )
    return tf.concat(
        [
            tf.matmul(tf.constant(part[np.newaxis]), wide[..., first:end], transpose_b=True)
            for first, end, part in _parts(rows)
        ],
        axis=1,
    )


def _parts(matrix: Floats) -> Iterator[tuple[int, int, Floats]]:
    """Some rows at a time: the first column that isn't zero, the end, what lies between."""
    for rows in np.array_split(matrix, min(_PARTS, len(matrix))):
        used = np.flatnonzero(rows.any(axis=0))
        # Of rows of zeros alone, as of mel filters between two bins, one column is kept.
        first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        yield first, end, rows[:, first:end]
