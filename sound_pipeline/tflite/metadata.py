"""TFLite Metadata: what the standard tools read of a .tflite file.

A flatbuffer of the schema `metadata_schema.fbs` of tensorflow/tflite-support (version 1.3, the
first with sound) lies in the model's buffer TFLITE_METADATA; the files it names follow the model
as a ZIP archive. The libraries that write it have no release for newer Pythons (tflite-support)
or no longer can (mediapipe), so the few tables needed are written here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import flatbuffers
from flatbuffers.number_types import UOffsetTFlags
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from sound_pipeline.models.info import LABELS_FILE

_METADATA_IDENTIFIER = b"M001"
_METADATA_NAME = "TFLITE_METADATA"
_PARSER_VERSION = "1.3.0"

# Bytes, of a tensor's data in the file.
_ALIGNMENT = 16


class _Number(NamedTuple):
    """A number, and the builder's method for its type in the schema."""

    prepend: Callable[[flatbuffers.Builder, int, float, float], None]
    value: float


class _Fields(dict[int, "_Value"]):
    """A table of a flatbuffer: the values of its fields, by their position in the schema."""


_Value: TypeAlias = "_Number | str | list[_Fields] | _Fields"


def _uint8(value: int) -> _Number:
    return _Number(flatbuffers.Builder.PrependUint8Slot, value)


def _int8(value: int) -> _Number:
    return _Number(flatbuffers.Builder.PrependInt8Slot, value)


def _uint32(value: int) -> _Number:
    return _Number(flatbuffers.Builder.PrependUint32Slot, value)


def _float32(value: float) -> _Number:
    return _Number(flatbuffers.Builder.PrependFloat32Slot, value)


# Members of the schema's unions and enumerations.
_AUDIO_PROPERTIES = _uint8(4)
_SCORE_THRESHOLDING = _uint8(3)
_DESCRIPTIONS = _int8(1)
_TENSOR_AXIS_LABELS = _int8(2)


def add_metadata(
    model: bytes,
    description: str,
    sample_rate_hz: int,
    min_score: float,
    labels: Sequence[str],
    files: Mapping[str, str],
) -> bytes:
    """A TFLite model of one input, a waveform, and one output, scores, with metadata.

    Args:
      model: a .tflite file's content.
      description: what the model is, for people.
      sample_rate_hz: of the waveform, mono.
      min_score: the score under which an answer is better not given.
      labels: of the scores, in their order; they become the associated file labels.txt.
      files: the contents of further files to pack, by name.

    Returns:
      The content of a .tflite file that is a ZIP archive too.
    """
    about = _about(description, sample_rate_hz, min_score, tuple(files))
    archive = io.BytesIO(_with_buffer(model, _METADATA_NAME, about))
    # Stored as they are, as the tools do that map them into memory.
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as packed:
        for name, text in {LABELS_FILE: "".join(f"{label}\n" for label in labels), **files}.items():
            # Without the time: the same model is the same file.
            packed.writestr(zipfile.ZipInfo(name), text.encode())
    return archive.getvalue()


def _about(description: str, sample_rate_hz: int, min_score: float, files: Sequence[str]) -> bytes:
    """Flatbuffer of ModelMetadata."""
    waveform = _Fields(
        {
            0: "waveform",
            1: "One window of sound, -1 to 1; pad shorter sound with zeros at its end.",
            3: _Fields(
                {0: _AUDIO_PROPERTIES, 1: _Fields({0: _uint32(sample_rate_hz), 1: _uint32(1)})}
            ),
        }
    )
    threshold = _Fields({0: _SCORE_THRESHOLDING, 1: _Fields({0: _float32(min_score)})})
    labels = _Fields({0: LABELS_FILE, 1: "Names of the classes.", 2: _TENSOR_AXIS_LABELS})
    scores = _Fields({0: "scores", 1: "The score of each class.", 4: [threshold], 6: [labels]})
    builder = flatbuffers.Builder()
    root = _Fields(
        {
            0: "sound_pipeline",
            1: description,
            3: [_Fields({2: [waveform], 3: [scores]})],
            6: [_Fields({0: name, 2: _DESCRIPTIONS}) for name in files],
            7: _PARSER_VERSION,
        }
    )
    builder.Finish(_write(builder, root), file_identifier=_METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _with_buffer(model: bytes, name: str, content: bytes) -> bytes:
    """A TFLite model with one more metadata buffer, and its tensors where they can be used."""
    unpacked = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(unpacked.buffers)
    unpacked.metadata = [*(unpacked.metadata or []), entry]
    contents = [b"" if buffer.data is None else bytes(buffer.data) for buffer in unpacked.buffers]
    unpacked.buffers = [_AlignedBuffer(data) for data in (*contents, content)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


class _AlignedBuffer:
    """A buffer of a TFLite model, packed as its schema says.

    The classes that flatbuffers generates, and TensorFlow's converter uses at its end, place data
    anywhere: interpreters then have to copy each tensor.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:
        """Writes it as the generated classes write themselves; returns its offset."""
        offset = None
        if self._data:
            builder.StartVector(1, len(self._data), _ALIGNMENT)
            builder.head -= len(self._data)
            builder.Bytes[builder.head : builder.head + len(self._data)] = self._data
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        return int(schema.BufferEnd(builder))


def _write(builder: flatbuffers.Builder, fields: _Fields) -> int:
    """Writes a table after what it refers to; returns its offset."""
    numbers = {field: _number(builder, value) for field, value in fields.items()}
    builder.StartObject(max(numbers) + 1)
    for field, number in numbers.items():
        number.prepend(builder, field, number.value, 0)
    return int(builder.EndObject())


def _number(builder: flatbuffers.Builder, value: _Value) -> _Number:
    """Entry of a value in a table: the number, or the offset of what is written for it."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, str):
        offset = builder.CreateString(value)
    elif isinstance(value, _Fields):
        offset = _write(builder, value)
    else:
        offsets = [_write(builder, fields) for fields in value]
        builder.StartVector(UOffsetTFlags.bytewidth, len(offsets), UOffsetTFlags.bytewidth)
        for table_offset in reversed(offsets):
            builder.PrependUOffsetTRelative(table_offset)
        offset = builder.EndVector()
    return _Number(flatbuffers.Builder.PrependUOffsetTRelativeSlot, offset)
