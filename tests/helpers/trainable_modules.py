"""A tiny TF Hub module for images that can go on learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

SIDE = 24
SIZE = 8


class TrainableModule(tf.train.Checkpoint):
    """Pictures float32 [batch, SIDE, SIDE, 3] to [batch, SIZE]: two convolutions, the first with
    batch normalisation; what TF Hub's reusable SavedModels offer.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        random = np.random.default_rng(seed)

        def kernel(shape: list[int], name: str) -> tf.Variable:
            values = random.normal(0, 1 / np.sqrt(np.prod(shape[:3])), shape)
            return tf.Variable(values.astype("f4"), name=name)

        self.first = kernel([3, 3, 3, 6], "conv_1/kernel")
        self.scale = tf.Variable(tf.ones(6), name="norm_1/gamma")
        self.offset = tf.Variable(tf.zeros(6), name="norm_1/beta")
        self.mean = tf.Variable(tf.zeros(6), trainable=False, name="norm_1/moving_mean")
        self.variance = tf.Variable(tf.ones(6), trainable=False, name="norm_1/moving_variance")
        self.second = kernel([3, 3, 6, SIZE], "conv_2/kernel")
        self.trainable_variables = [self.first, self.scale, self.offset, self.second]
        self.variables = [*self.trainable_variables, self.mean, self.variance]
        self.regularization_losses: list[tf.Tensor] = []
        spec = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)
        for training in (True, False):
            self.__call__.get_concrete_function(spec, training=training)

    @tf.function
    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        values = tf.nn.conv2d(images, self.first, 2, "SAME")
        mean, variance = self.mean.read_value(), self.variance.read_value()
        if training:
            mean, variance = tf.nn.moments(values, [0, 1, 2])
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
            self.variance.assign(0.9 * self.variance + 0.1 * variance)
        values = tf.nn.batch_normalization(values, mean, variance, self.offset, self.scale, 1e-3)
        values = tf.nn.conv2d(tf.nn.relu(values), self.second, 2, "SAME")
        return tf.reduce_mean(tf.nn.relu(values), axis=[1, 2])


def save_trainable_module(directory: Path, seed: int = 0) -> str:
    """Writes a `TrainableModule` as a TF2 SavedModel; returns its handle."""
    tf.saved_model.save(TrainableModule(seed), str(directory))
    return str(directory)
