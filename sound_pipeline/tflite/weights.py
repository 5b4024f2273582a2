"""Weights of a quantised TensorFlow Lite model that must not be."""

from __future__ import annotations

from typing import Any

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

_PRODUCTS = (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.BATCH_MATMUL)


def keep_spectrum_exact(quantised: bytes, exact: bytes) -> bytes:
    """Gives a model quantised to 8 bits its float32 mel filters back.

    A layer of 8-bit weights rounds what flows into it to 8 bits too. Power spectra span many more
    orders of magnitude: all but the loudest bins would be zero.

    Args:
      quantised: a .tflite file's content.
      exact: the same model in float32.

    Returns:
      `quantised` with the weights of the matrix products between the Fourier transform and the
      logarithm as they are in `exact`; unchanged where a model has no Fourier transform.
    """
    changed = flatbuffer_utils.convert_bytearray_to_object(bytearray(quantised))
    original = flatbuffer_utils.convert_bytearray_to_object(bytearray(exact))
    pairs = list(zip(_mel_filters(changed), _mel_filters(original), strict=True))
    if not pairs:
        return quantised
    for target, source in pairs:
        changed.buffers[target.buffer].data = original.buffers[source.buffer].data
        target.type, target.shape, target.quantization = source.type, source.shape, None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(changed))


def _mel_filters(model: Any) -> list[Any]:
    """Constants of the matrix products between the Fourier transform and the logarithm."""
    graph = model.subgraphs[0]
    found = []
    # What is made of a Fourier transform and not yet a level; there may be several spectra.
    powers: set[int] = set()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code == schema.BuiltinOperator.RFFT2D:
            powers.update(operator.outputs)
        elif code != schema.BuiltinOperator.LOG and not powers.isdisjoint(operator.inputs):
            powers.update(operator.outputs)
            if code in _PRODUCTS:
                tensors = [graph.tensors[number] for number in operator.inputs if number >= 0]
                found += [one for one in tensors if model.buffers[one.buffer].data is not None]
    return found
