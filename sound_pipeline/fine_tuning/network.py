"""A network under a temporary linear head, as Keras trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras
import tqdm

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.head import Head
from sound_pipeline.system.precision import computing_in

# The metric behind the curves; unlike Keras' loss it has no label smoothing, and it is a mean by
# weight, where fillers count nothing.
_METRIC = "cross_entropy"

WARM_UP_FRACTION = 0.1
"""Fraction of all steps in which the learning rate rises from zero, before a cosine."""
WEIGHT_DECAY = 0.01
"""Fraction of a kernel that AdamW's step of learning rate 1 takes off (Loshchilov and Hutter,
Decoupled Weight Decay Regularization, 2019)."""
LABEL_SMOOTHING = 0.1
"""Fraction of each label that is spread over all classes (Szegedy et al. 2016)."""


class FineTuningData(NamedTuple):
    """Data sets of (prepared, label, weight) to train and watch a network on; see examples.py.

    Attributes:
      training: without end, beginning with the epoch after those of `epochs_done`.
      validation: without end; None where nothing is watched.
      validation_steps: batches until all of it has been seen.
    """

    training: Any
    validation: Any
    validation_steps: int


class TrainingPlan(NamedTuple):
    """Schedule of training a network, its precision and what is kept of it.

    Attributes:
      config: epochs, learning rate and so on.
      steps: in an epoch.
      watched: whether the weights of the epoch of least validation loss are kept.
      precision: what to compute in; see precision.py.
    """

    config: FineTuneConfig
    steps: int
    watched: bool
    precision: str


class FineTuningModel(tf_keras.Model):
    """Prepared windows to logits, all of whose state of training is in its variables.

    So that what a checkpoint restores is what was there: the weights that did best until then and
    the curves among it.
    """

    def __init__(
        self, extractor: Extractor, head: Head, chosen: Sequence[tf.Variable], plan: TrainingPlan
    ) -> None:
        """Joins a network to its head, in the scope of the strategy that trains it.

        Args:
          extractor: brings the network.
          head: what it begins with.
          chosen: variables of the network that learn; those of the head do too.
          plan: how it learns.
        """
        super().__init__()
        config = plan.config
        self.extractor = extractor
        self.head = head
        self._steps = plan.steps
        self._precision = plan.precision
        self._learning = [*chosen, head.kernel, head.bias]
        self.epochs_learned = tf.Variable(0, trainable=False)
        self.curves = tf.Variable(np.full([2, config.epochs], np.nan, np.float32), trainable=False)
        self.best = (
            [tf.Variable(weight.numpy(), trainable=False) for weight in extractor.weights]
            if plan.watched
            else None
        )
        self.compile(
            optimizer=_optimizer(plan, self._learning),
            loss=tf_keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=LABEL_SMOOTHING
            ),
            weighted_metrics=[
                tf_keras.metrics.CategoricalCrossentropy(name=_METRIC, from_logits=True)
            ],
        )

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        """Variables that Keras changes."""
        return list(self._learning)

    def call(self, prepared: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Prepared windows to logits float32 [batch, classes]."""
        return self.head(self.extractor(prepared))

    def weights_kept(self) -> list[npt.NDArray[Any]]:
        """Values of `extractor.weights`, those of the best epoch where it was watched."""
        kept = self.extractor.weights if self.best is None else self.best
        return [variable.numpy() for variable in kept]

    def learn(
        self, data: FineTuningData, epochs: int, backup: Path, name: str
    ) -> dict[str, list[float]]:
        """Trains, going on from a backup if there is one.

        Args:
          data: of this network.
          epochs: passes.
          backup: where the state is kept after every epoch; the caller's to delete once it has kept
            what was learned.
          name: for the progress bar.

        Returns:
          `loss` and, where watched, `validation_loss` by epoch.

        Raises:
          UserError: the loss is not finite any more.
        """
        with computing_in(self._precision):
            self.fit(
                data.training,
                epochs=epochs,
                steps_per_epoch=self._steps,
                validation_data=data.validation,
                validation_steps=data.validation_steps if data.validation is not None else None,
                verbose=0,
                callbacks=[
                    _Recorder(),
                    # The last to see an epoch end, so that what the others note is in it.
                    tf_keras.callbacks.BackupAndRestore(str(backup), delete_checkpoint=False),
                    _Progress(epochs * self._steps, name),
                ],
            )
        rows = dict(zip(("loss", "validation_loss"), self.curves.numpy().tolist(), strict=True))
        if self.best is None:
            del rows["validation_loss"]
        return {name: values[:epochs] for name, values in rows.items()}


def epochs_done(backup: Path) -> int:
    """Epochs after which `FineTuningModel.learn` goes on from a backup; 0 where there is none."""
    # Where BackupAndRestore keeps it, whoever trains.
    checkpoint = tf.train.latest_checkpoint(backup / "chief")
    if checkpoint is None:
        return 0
    name = "model/epochs_learned/.ATTRIBUTES/VARIABLE_VALUE"
    return int(tf.train.load_checkpoint(checkpoint).get_tensor(name))


class _Recorder(tf_keras.callbacks.Callback):
    """Notes an epoch's losses and, where they are the least, its weights."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        network, losses = self.model, logs or {}
        if not math.isfinite(losses[_METRIC]):
            raise UserError(
                f"--fine_tune: the loss of epoch {epoch + 1} is {losses[_METRIC]}; lower "
                "--fine_tune_learning_rate"
            )
        before = network.curves.numpy()
        now = before.copy()
        now[:, epoch] = losses[_METRIC], losses.get(f"val_{_METRIC}", math.nan)
        network.curves.assign(now)
        network.epochs_learned.assign(epoch + 1)
        if network.best is not None and not (before[1, :epoch] <= now[1, epoch]).any():
            for kept, weight in zip(network.best, network.extractor.weights, strict=True):
                kept.assign(weight.numpy())


class _Progress(tf_keras.callbacks.Callback):
    """A bar on stderr, with the time left; Keras' own writes to where results go."""

    def __init__(self, steps: int, name: str) -> None:
        super().__init__()
        self._bar = tqdm.tqdm(total=steps, desc=f"{name}: fine-tuning", unit="step")

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar.update(int(self.model.epochs_learned.numpy()) * self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in (logs or {}).items()})

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar.close()


def _optimizer(
    plan: TrainingPlan, variables: Sequence[tf.Variable]
) -> tf_keras.optimizers.Optimizer:
    """AdamW, its learning rate rising from zero, then falling along a cosine."""
    config = plan.config
    total = config.epochs * plan.steps
    rising = round(WARM_UP_FRACTION * total)
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        0.0, max(total - rising, 1), warmup_target=config.learning_rate, warmup_steps=rising
    )
    if not rising:
        schedule = tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, total)
    optimizer = tf_keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY)
    # Biases and what scales a channel have no direction to be drawn back from.
    optimizer.exclude_from_weight_decay([v for v in variables if v.shape.rank < 2])
    # float16 loses what is below 6e-8: losses are scaled up, as far as nothing overflows
    # (Micikevicius et al., Mixed Precision Training, 2018).
    if plan.precision == "float16":
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer
