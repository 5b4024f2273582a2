"""An exported model converted to TensorFlow Lite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.models.info import (
    LITE_SUFFIX,
    METADATA_FILE,
    WINDOW_SIGNATURE,
    ModelInfo,
    check_labels,
    read_info,
    read_metadata,
)
from sound_pipeline.system.atomic_files import remove_abandoned, written_aside
from sound_pipeline.system.stderr import filtered_stderr


def export_tflite(saved_model: Path, directory: Path, formats: Sequence[str]) -> list[Path]:
    """Writes an exported model as .tflite files.

    Args:
      saved_model: what `export_model` wrote.
      directory: where they go, as model_FORMAT.tflite; made if missing.
      formats: how to keep the weights, of `LITE_FORMATS`.

    Returns:
      The files, in the order of the formats.

    Raises:
      UserError: it is no exported model, or has operations that TensorFlow Lite lacks.
    """
    written = []
    for kind, content in convert(saved_model, formats).items():
        path = directory / f"model_{kind}{LITE_SUFFIX}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with written_aside(path, "wb") as file:
                file.write(content)
            remove_abandoned(directory)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; name another folder") from error
        written.append(path)
    return written


def convert(saved_model: Path, formats: Sequence[str]) -> dict[str, bytes]:
    """An exported model as the contents of .tflite files.

    Each has one subgraph of built-in operations: `waveform` float32 [1, samples], -1..1, one window
    at the model's own rate, to `scores` float32 [1, classes]; and TFLite Metadata.

    Args:
      saved_model: what `export_model` wrote.
      formats: how to keep the weights: "float32"; "float16", half the size; "int8", a quarter of
        the size, dynamic-range quantisation: those of large layers in 8 bits a channel, and what
        flows into these layers rounded to 8 bits while it runs. The mel filters stay exact.

    Returns:
      The contents by format.

    Raises:
      UserError: it is no exported model, or has operations that TensorFlow Lite lacks.
    """
    # Here, because TensorFlow takes seconds to import.
    from sound_pipeline.tflite.metadata import add_metadata
    from sound_pipeline.tflite.weights import keep_spectrum_exact

    info, values = read_info(saved_model), read_metadata(saved_model)
    _check_signature(saved_model, info)
    needed = {"float32", *formats} if "int8" in formats else set(formats)
    models = {kind: _converted(saved_model, kind) for kind in needed}
    if "int8" in formats:
        models["int8"] = keep_spectrum_exact(models["int8"], models["float32"])
    return {
        kind: add_metadata(
            models[kind],
            description=(
                f"Names sounds. Input: {info.window_seconds:g} s of sound at "
                f"{info.sample_rate_hz} Hz, mono; output: a score for each label of "
                "labels.txt."
            ),
            sample_rate_hz=info.sample_rate_hz,
            min_score=info.min_score,
            labels=info.labels,
            files={METADATA_FILE.name: json.dumps(values, indent=2) + "\n"},
        )
        for kind in formats
    }


def _converted(saved_model: Path, kind: str) -> bytes:
    import tensorflow as tf

    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model), signature_keys=[WINDOW_SIGNATURE]
        )
    # A damaged file raises whatever the code meets first.
    except Exception as error:
        raise UserError(
            f"{saved_model}: does not load: {first_line(error)}; copy or export it again"
        ) from error
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        # The exception says what else would come as a page of compiler messages.
        with filtered_stderr(of_failures=False):
            return bytes(converter.convert())
    except Exception as error:  # the converter's own classes are not public
        raise UserError(
            f"{saved_model}: TensorFlow Lite can't take this model: {_reason(error)}; use one with "
            "another --extractor"
        ) from error


def _check_signature(saved_model: Path, info: ModelInfo) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    content = (saved_model / "saved_model.pb").read_bytes()
    try:
        graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    except (DecodeError, IndexError) as error:
        raise UserError(f"{saved_model}: does not load: {first_line(error)}") from error
    if WINDOW_SIGNATURE not in graph.signature_def:
        raise UserError(
            f"{saved_model}: was exported by an older version; run train.py again, which finds its "
            "embeddings in the cache"
        )
    scores = graph.signature_def[WINDOW_SIGNATURE].outputs["scores"].tensor_shape.dim
    check_labels(info, saved_model, scores[-1].size if scores else 0)


def _reason(error: Exception) -> str:
    """Operations that are missing, or the first line of what the converter says."""
    missing = re.search(r"TF Select ops: (.*)|Custom ops: (.*)", str(error))
    return f"it lacks {missing[1] or missing[2]}" if missing else first_line(error)
