"""`channels` in core TensorFlow ops, for recordings inside a graph."""

from __future__ import annotations

import tensorflow as tf

from sound_pipeline.audio.channels import ALIKE, LEAST_LEFT, LEAST_POWER, MEAN, REMARK

# From so many frames on, a second or so, not all are looked at.
_FEW_FRAMES, _STEP = 1 << 16, 7


@tf.autograph.experimental.do_not_convert
def channel_to_hear(count: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    """`channels.channel_to_hear`: int32 scalar.

    Args:
      count: int scalar, at least 1.
      sums: float64 [2, channels + 1].
    """
    frames = tf.cast(count, tf.float64)
    power = tf.maximum(sums[1] / frames - tf.square(sums[0] / frames), 0.0)
    of_channels, of_mean = power[:-1], power[-1]
    channels = tf.cast(tf.size(of_channels), tf.float64)
    is_lost = of_mean < LEAST_LEFT * tf.reduce_sum(of_channels) / tf.square(channels)
    is_heard = of_channels >= LEAST_POWER * tf.reduce_max(of_channels)
    infinite = tf.fill(tf.shape(of_channels), tf.constant(float("inf"), tf.float64))
    candidates = tf.where(is_heard, of_channels, infinite)
    quietest = candidates <= ALIKE * tf.reduce_min(candidates)
    first = tf.argmax(tf.cast(quietest, tf.int32), output_type=tf.int32)
    return tf.where(is_lost, first, MEAN)


@tf.autograph.experimental.do_not_convert
def channel_sums(frames: tf.Tensor) -> tf.Tensor:
    """`channels.channel_sums` of frames float32 [n, channels]: float64 [2, channels + 1]."""
    wide = tf.cast(frames, tf.float64)
    both = tf.concat([wide, tf.reduce_mean(wide, axis=1, keepdims=True)], axis=1)
    return tf.stack([tf.reduce_sum(both, axis=0), tf.reduce_sum(tf.square(both), axis=0)])


@tf.autograph.experimental.do_not_convert
def one_channel(frames: tf.Tensor, mean: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
    """A channel of frames float32 [n, channels], or their mean [n] where `channel` is `MEAN`."""
    return tf.cond(
        tf.equal(channel, MEAN), lambda: mean, lambda: tf.gather(frames, channel, axis=1)
    )


@tf.autograph.experimental.do_not_convert
def sums_of_channels(
    samples: tf.Tensor, channels: tf.Tensor, before: tf.Tensor, total: tf.Tensor
) -> tf.Tensor:
    """`channel_sums` of part of a recording: float64 [2, channels + 1].

    Of a long recording every seventh frame counts: that says as much, in a seventh of the time.

    Args:
        samples: float32 [frames * channels], as of `wav.decode_samples`.
        channels: int64 scalar, how many there are.
        before: int64 scalar, the recording's frames before these.
        total: int64 scalar, all of its frames.
    """
    frames = tf.reshape(samples, tf.stack([-1, channels]))
    step = _step(total)
    return channel_sums(frames[-before % step :: step])


def counted_frames(total: tf.Tensor) -> tf.Tensor:
    """Frames of a recording that `sums_of_channels` looks at: int64 scalar."""
    return -(-total // _step(total))


def _step(total: tf.Tensor) -> tf.Tensor:
    return tf.where(total < _FEW_FRAMES, tf.constant(1, tf.int64), _STEP)


@tf.autograph.experimental.do_not_convert
def channel_of_whole(samples: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """The channel to take of a recording, or `channels.MEAN`: int32 scalar.

    Args:
        samples: float32 [frames * channels], all of it, as of `wav.decode_samples`.
        channels: int64 scalar, how many there are.
    """

    def of_several() -> tf.Tensor:
        total = tf.size(samples, tf.int64) // channels
        sums = sums_of_channels(samples, channels, tf.constant(0, tf.int64), total)
        return channel_to_hear(counted_frames(total), sums)

    return tf.cond(tf.equal(channels, 1), lambda: tf.constant(MEAN), of_several)


def remark(channel: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """`channels.remark`: string scalar."""
    return tf.cond(
        tf.equal(channel, MEAN),
        lambda: tf.constant(""),
        lambda: tf.strings.format(REMARK, (channel + 1, channels)),
    )


@tf.autograph.experimental.do_not_convert
def mono(samples: tf.Tensor, channels: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
    """One channel of a recording: float32 [frames].

    Args:
        samples: float32 [frames * channels], as of `wav.decode_samples`.
        channels: int64 scalar, how many there are.
        channel: int32 scalar, the one to take, or `channels.MEAN`.
    """

    def of_several(mean: tf.Tensor) -> tf.Tensor:
        frames = tf.reshape(samples, tf.stack([-1, channels]))
        return one_channel(frames, mean, channel)

    return tf.switch_case(
        tf.cast(tf.minimum(channels, 3) - 1, tf.int32),
        [
            lambda: samples,
            lambda: of_several(_mix_two(samples)),
            lambda: of_several(_mix(samples, channels)),
        ],
    )


def _mix_two(samples: tf.Tensor) -> tf.Tensor:
    left, right = tf.unstack(tf.reshape(samples, [-1, 2]), axis=1)
    # Halved first: the sum of two large floats need not be finite.
    return 0.5 * left + 0.5 * right


def _mix(samples: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    frames = tf.reshape(tf.cast(samples, tf.float64), tf.stack([-1, channels]))
    return tf.cast(tf.reduce_mean(frames, axis=1), tf.float32)
