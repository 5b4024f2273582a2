"""Exported SavedModel: raw waveforms in, scores out, nothing but core TensorFlow ops inside."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from sound_pipeline.audio.durations import MAX_REQUEST_SECONDS
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import decode_wav, read_whole_header
from sound_pipeline.features import image, log_mel
from sound_pipeline.features.windows import split_windows
from sound_pipeline.models.canonical import make_canonical
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.info import (
    LABELS_FILE,
    METADATA_FILE,
    WINDOW_SIGNATURE,
    WINDOWS_SIGNATURE,
)

_BATCH = tf.TensorSpec([None, None], tf.float32, "waveform")
_ONE = tf.TensorSpec([None], tf.float32, "waveform")
_RATE = tf.TensorSpec([], tf.int32, "sample_rate")
_FILES = tf.TensorSpec([None], tf.string, "wav")
# A loaded function takes the types it was traced with and no others: these are what audio
# libraries and NumPy give. Each adds to the time that loading takes, so the rarer ones have fewer.
# Of 32-bit integers nobody knows whether they hold 16 bits or 32.
_RATE_TYPES = (tf.int32, None, tf.int64, tf.float32, tf.float64)
_RATE_TYPES_OF = {
    tf.float32: _RATE_TYPES,
    tf.float64: _RATE_TYPES,
    tf.float16: _RATE_TYPES[:2],
    tf.int16: _RATE_TYPES[:2],
}
_INT16_FULL_SCALE = 2.0**15
# No batch has so many recordings of so few samples, but a recording [samples, channels] has.
_MOST_CHANNELS = 8
_MOST_TINY_RECORDINGS = 1000


# Everything is graph code already: AutoGraph would only make tracing it take twice as long.
def _graph(*specs: tf.TensorSpec) -> Callable[[Callable[..., Any]], Any]:
    return partial(tf.function, input_signature=list(specs) or None, autograph=False)


def export_model(classifier: SoundClassifier, directory: Path, metadata: dict[str, Any]) -> None:
    """Writes a SavedModel that loads in any TensorFlow 2 without this package.

    In Python the loaded object is called as `model(waveform, sample_rate=None)` and has
    `labels`, `sample_rate`, `window_seconds` and `min_score`. Signatures: `serving_default`,
    `with_rate`, `recording`, `windows`, `wav`, `embedding`, `spectrogram`, `window`; see
    docs/saved_model.md.

    Args:
      classifier: what to export.
      directory: must not exist; its parent must.
      metadata: JSON values for `assets.extra/model.json`, beside those about the model itself.
    """
    names = [label.decode() for label in classifier.labels.numpy()]
    with tempfile.TemporaryDirectory() as aside:
        labels_file = Path(aside, LABELS_FILE)  # saving copies it into the model
        labels_file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        module = _Exported(classifier, tf.saved_model.Asset(str(labels_file)))
        tf.saved_model.save(module, str(directory), signatures=module.signature_functions())
    make_canonical(directory)
    extra = directory / METADATA_FILE
    extra.parent.mkdir()
    about = {
        "labels": names,
        "sample_rate_hz": int(classifier.sample_rate),
        "window_seconds": float(classifier.window_seconds),
        "min_score": float(classifier.min_score),
        "config": {"features": dataclasses.asdict(classifier.config)},
        "benefits_from_low_precision": classifier.extractor.benefits_from_low_precision,
    }
    text = json.dumps(about | metadata, indent=2) + "\n"
    extra.write_text(text, encoding="utf-8")


class _Exported(tf.Module):
    """Interface of a loaded model."""

    def __init__(self, classifier: SoundClassifier, labels_file: tf.saved_model.Asset) -> None:
        super().__init__()
        self.classifier = classifier
        self.labels = classifier.labels
        self._names = tuple(classifier.labels.numpy())
        self.sample_rate = classifier.sample_rate
        self.window_seconds = classifier.window_seconds
        self.min_score = classifier.min_score
        self.labels_file = labels_file
        samples = int(log_mel.window_samples(classifier.config, classifier.sample_rate))
        self.window = _graph(tf.TensorSpec([1, samples], tf.float32, "waveform"))(self._window)
        for shape, samples in itertools.product(([None, None], [None]), _RATE_TYPES_OF):
            for rate in _RATE_TYPES_OF[samples]:
                self.__call__.get_concrete_function(
                    tf.TensorSpec(shape, samples, "waveform"),
                    None if rate is None else tf.TensorSpec([], rate, "sample_rate"),
                )

    @_graph()
    def __call__(
        self, waveform: tf.Tensor, sample_rate: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Waveforms at a rate (the model's own if None) to named answers.

        Args:
          waveform: [batch, samples] or [samples], whose answers have no batch either; of one of the
            types above: floats in -1..1, or 16-bit integers.
          sample_rate: scalar, Hz.
        """
        rate = self.sample_rate if sample_rate is None else _whole(sample_rate)
        sound = tf.cast(waveform, tf.float32)
        if waveform.dtype.is_integer:
            sound /= _INT16_FULL_SCALE
        if waveform.shape.rank == 2:
            return dict(self.with_rate(sound, rate))
        return {name: value[0] for name, value in self.with_rate(sound[None], rate).items()}

    @_graph(_BATCH)
    def serving_default(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.with_rate(waveform, self.sample_rate)

    # The others call this one, so that the graph holds the classifier once for all of them.
    @_graph(_BATCH, _RATE)
    def with_rate(self, waveform: tf.Tensor, sample_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        recordings, rate = _request(waveform, sample_rate)
        scores, seconds = self.classifier.answer(recordings, rate)
        # A constant: Keras 3 copies the variables that a layer reads, and can't save strings.
        names = tf.gather(tf.constant(self._names), tf.argmax(scores, axis=1))
        return {
            "scores": scores,
            # Of nothing there is no label.
            "label": tf.where(seconds > 0, names, ""),
            "score": tf.reduce_max(scores, axis=1),
            "audible_seconds": seconds,
        }

    @_graph(_ONE, _RATE)
    def recording(self, waveform: tf.Tensor, sample_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        recordings, rate = _request(waveform[None], sample_rate)
        scores, start_seconds = self.classifier.window_scores(recordings[0], rate)
        return {"scores": scores, "start_seconds": start_seconds}

    @_graph(_BATCH, _RATE)
    def windows(self, waveform: tf.Tensor, sample_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        rate = _checked(sample_rate)
        samples, length = (
            tf.shape(waveform)[1],
            log_mel.window_samples(self.classifier.config, rate),
        )
        message = ["every row must be exactly one window:", length, "samples, not", samples]
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(samples, length), message)]):
            answers = self.classifier.each_window(tf.identity(waveform), rate)
        return dict(zip(("scores", "embedding", "power"), answers, strict=True))

    @_graph(_FILES)
    def wav(self, wav: tf.Tensor) -> dict[str, tf.Tensor]:
        def answer(contents: tf.Tensor) -> dict[str, tf.Tensor]:
            decoded = decode_wav(contents)
            readable = tf.debugging.Assert(tf.equal(decoded.reason, ""), [decoded.reason])
            with tf.control_dependencies([readable]):
                waveform = tf.identity(decoded.waveform)
                rate = tf.identity(decoded.sample_rate_hz)
            return {name: value[0] for name, value in self.with_rate(waveform[None], rate).items()}

        # Of all files, before any is decoded.
        lengths = tf.map_fn(_seconds, wav, fn_output_signature=tf.float32)
        with tf.control_dependencies([_bounded(tf.reduce_sum(lengths))]):
            files = tf.identity(wav)
        return tf.map_fn(
            answer,
            files,
            fn_output_signature={
                "scores": tf.TensorSpec([self.classifier.head.classes], tf.float32),
                "label": tf.TensorSpec([], tf.string),
                "score": tf.TensorSpec([], tf.float32),
                "audible_seconds": tf.TensorSpec([], tf.float32),
            },
        )

    @_graph(_BATCH, _RATE)
    def embedding(self, waveform: tf.Tensor, sample_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self.classifier.embedding(*_request(waveform, sample_rate))}

    @_graph(_BATCH, _RATE)
    def spectrogram(self, waveform: tf.Tensor, sample_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        recordings, rate = _request(waveform, sample_rate)
        config = self.classifier.config
        first = split_windows(recordings, rate, config).waveform[:, 0]
        return {"image": image.display_image(first, rate, config)}

    def _window(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self.classifier.full_window_scores(waveform)}

    def signature_functions(self) -> dict[str, Any]:
        return {
            "serving_default": self.serving_default,
            "with_rate": self.with_rate,
            "recording": self.recording,
            WINDOWS_SIGNATURE: self.windows,
            "wav": self.wav,
            "embedding": self.embedding,
            "spectrogram": self.spectrogram,
            WINDOW_SIGNATURE: self.window,
        }


def _whole(sample_rate: tf.Tensor) -> tf.Tensor:
    """Rate of any type as int32; one out of range stays so, where a cast alone would wrap it."""
    if sample_rate.dtype == tf.int32:
        return sample_rate
    rate = tf.round(sample_rate) if sample_rate.dtype.is_floating else sample_rate
    return tf.cast(tf.clip_by_value(rate, 0, 2 * MAX_SAMPLE_RATE_HZ), tf.int32)


def _seconds(contents: tf.Tensor) -> tf.Tensor:
    """Duration of a WAV file: float32 scalar."""
    header = read_whole_header(contents)
    frames, rate = (tf.cast(n, tf.float32) for n in (header.frames, header.fmt.sample_rate_hz))
    return tf.where(tf.equal(header.reason, ""), frames / tf.maximum(rate, 1.0), 0.0)


def _bounded(seconds: tf.Tensor) -> tf.Operation:
    """Refuses a request of more sound than is held at once."""
    message = f"a request may hold {MAX_REQUEST_SECONDS} seconds of sound in all, not"
    return tf.debugging.Assert(seconds <= MAX_REQUEST_SECONDS, [message, seconds])


def _request(waveform: tf.Tensor, sample_rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Batch and rate, where the batch is one and not too long."""
    recordings, rate = _recordings(waveform), _checked(sample_rate)
    seconds = tf.size(recordings, tf.int64) / tf.cast(rate, tf.int64)
    with tf.control_dependencies([_bounded(seconds)]):
        return tf.identity(recordings), rate


def _recordings(waveform: tf.Tensor) -> tf.Tensor:
    """Batch [batch, samples], where it is one and no recording [samples, channels]."""
    recordings, samples = tf.unstack(tf.shape(waveform))
    is_batch = (samples == 0) | (samples > _MOST_CHANNELS) | (recordings <= _MOST_TINY_RECORDINGS)
    message = "waveform must be [batch, samples] of one channel each, not [samples, channels]:"
    refused = tf.debugging.Assert(is_batch, [message, recordings, samples])
    with tf.control_dependencies([refused]):
        return tf.identity(waveform)


def _checked(sample_rate: tf.Tensor) -> tf.Tensor:
    """Rate, where a spectrogram can be made at it."""
    in_range = (sample_rate >= MIN_SAMPLE_RATE_HZ) & (sample_rate <= MAX_SAMPLE_RATE_HZ)
    message = f"sample_rate must lie between {MIN_SAMPLE_RATE_HZ} and {MAX_SAMPLE_RATE_HZ} Hz, not"
    with tf.control_dependencies([tf.debugging.Assert(in_range, [message, sample_rate])]):
        # Clipped for TensorFlow's shape inference: it computes with a constant rate before the
        # assertion is run, and would stop at an absurd one with words of its own.
        return tf.clip_by_value(sample_rate, MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ)
