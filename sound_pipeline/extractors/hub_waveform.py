"""Any TF Hub module that listens for itself, as YAMNet does, as an extractor.

YAMNet: Plakal and Ellis, github.com/tensorflow/models/tree/master/research/audioset/yamnet, 2020.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from sound_pipeline.audio.resampling_ops import resample
from sound_pipeline.errors import UserError, first_line
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.hub import HubFunction, HubModule
from sound_pipeline.features.config import FeatureConfig

WAVEFORM_VERSION = 1
"""Raised whenever the same module gives other embeddings of the same sound."""

MODULE_RATE_HZ = 16_000
"""What YAMNet and its like (VGGish, TRILL) take; a module's signature doesn't name a rate."""

# Under these names modules give embeddings.
_NAMES = ("embeddings", "embedding", "default")


class HubWaveformExtractor(Extractor):
    """A module that turns float32 [samples] at 16 kHz, -1..1, into a vector a frame.

    It gives YAMNet's three outputs (scores, embeddings, log-mel), or the embeddings by name or
    alone: float32 [frames, numbers]. A window's embedding is their mean over the frames, then
    their maximum: what sounds all the time, and what sounds once.
    """

    # Measured on YAMNet, 2 cores with AVX512_BF16: 18 ms a window in bfloat16, 14 ms in float32.
    benefits_from_low_precision = False
    # The inverse Fourier transform of the resampling.
    tflite_compatible = False

    def __init__(self, loaded: HubModule, config: FeatureConfig) -> None:
        """Wraps a module.

        Args:
          loaded: one that `takes_waveforms`.
          config: gives the length of a window.

        Raises:
          UserError: the module gives no embeddings, or none for a window so short.
        """
        self._function = next(filter(_takes_waveforms, loaded.functions))
        self.samples = max(1, round(config.windows.seconds * MODULE_RATE_HZ))
        super().__init__(
            handle=loaded.handle,
            embedding_size=2 * _frame_size(self._function, self.samples, loaded.handle),
            fingerprint=f"{loaded.content}-mean-maximum-{WAVEFORM_VERSION}",
            config=config,
        )
        # Tracked, so that its weights travel inside the exported model.
        self.module = loaded.module

    def prepare(self, waveform: tf.Tensor, sample_rate_hz: tf.Tensor) -> tf.Tensor:
        """Window as the module takes it: float32 [batch, samples at 16 kHz]."""
        resampled = resample(waveform, sample_rate_hz, MODULE_RATE_HZ, self.samples)
        return tf.ensure_shape(resampled, [None, self.samples])

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Windows at 16 kHz float32 [batch, samples] to embeddings float32 [batch, 2 * numbers]."""
        # Vectorising is refused by TensorFlow (depthwise convolutions, as YAMNet has); one window
        # after the other takes one and a half times as long.
        return tf.map_fn(
            self._pooled,
            prepared,
            fn_output_signature=tf.TensorSpec([self.embedding_size], tf.float32),
        )

    def _pooled(self, window: tf.Tensor) -> tf.Tensor:
        """[samples] -> [embedding_size]."""
        frames = _frames(self._function.call(window))
        pooled = [tf.reduce_mean(frames, axis=0), tf.reduce_max(frames, axis=0)]
        return tf.ensure_shape(tf.concat(pooled, axis=0), [self.embedding_size])


def takes_waveforms(loaded: HubModule) -> bool:
    """Whether a module has a function of one waveform float32 [samples]."""
    return any(map(_takes_waveforms, loaded.functions))


def _takes_waveforms(function: HubFunction) -> bool:
    return bool(function.spec.shape.rank == 1 and function.spec.dtype == tf.float32)


def _frames(output: Any) -> Any:
    """Embeddings of the frames among a module's outputs."""
    if isinstance(output, dict):
        named = [output[name] for name in _NAMES if name in output] or [*output.values()]
        return named[0]
    if isinstance(output, tuple | list) and len(output) == 3:
        return output[1]
    return output


def _frame_size(function: HubFunction, samples: int, handle: str) -> int:
    """Numbers that the module gives a frame."""
    try:
        frames = _frames(function.tried(tf.zeros([samples])))
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(
            f"--extractor={handle}: the module refuses {samples} samples at {MODULE_RATE_HZ} Hz, "
            f"one window: {first_line(error)}"
        ) from error
    if not tf.is_tensor(frames) or frames.shape.rank != 2 or frames.dtype != tf.float32:
        given = frames.shape if tf.is_tensor(frames) else f"a {type(frames).__name__}"
        raise UserError(
            f"--extractor={handle}: the module gives {given}, not the embeddings "
            "float32 [frames, numbers] of a waveform; give one like YAMNet"
        )
    if not frames.shape[0]:
        raise UserError(
            f"--extractor={handle}: the module gives nothing for {samples / MODULE_RATE_HZ:g} s "
            "of sound; raise --window_seconds"
        )
    return int(frames.shape[1])
