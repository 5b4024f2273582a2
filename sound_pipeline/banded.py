"""Products with constant matrices that are zero but for a band along their diagonal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# More parts have fewer zeros left in them, but are slower to multiply by: from 4 to 12 the products
# of the features take the same time.
_PARTS = 8


def banded_product(values: tf.Tensor, matrix: npt.NDArray[np.float32]) -> tf.Tensor:
    """The product of vectors with a banded matrix: mel filters, or weights to resize a picture by.

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
    products = []
    for rows in np.array_split(matrix, min(_PARTS, new_size)):
        used = np.flatnonzero(rows.any(axis=0))
        # Of rows of zeros alone, as of mel filters between two bins, one column is kept.
        first, end = (used[0], used[-1] + 1) if len(used) else (0, 1)
        part = tf.constant(rows[:, first:end])
        products.append(tf.matmul(vectors[:, first:end], part, transpose_b=True))
    shape = tf.concat([tf.shape(values)[:-1], [new_size]], axis=0)
    result = tf.reshape(tf.concat(products, axis=1), shape)
    return tf.ensure_shape(result, [*values.shape[:-1], new_size])
