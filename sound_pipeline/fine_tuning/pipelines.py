"""Input pipelines of a network under training, one for each process."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.fine_tuning.examples import (
    ExampleRecipe,
    Labelled,
    PipelineShare,
    all_windows,
    drawn_windows,
)
from sound_pipeline.fine_tuning.network import FineTuningData
from sound_pipeline.system.devices import Devices


@dataclasses.dataclass(frozen=True, eq=False)
class ExamplePipelines:
    """Examples that processes which train together feed to their devices.

    Attributes:
      recipe: how recordings become examples.
      learned: recordings to train on.
      watched: recordings to watch; may be none.
      batch_size: windows in a step, of all devices together.
      seed: of order, draw and augmentation.
      augmentation: how recordings are changed before they are trained on.
    """

    recipe: ExampleRecipe
    learned: Labelled
    watched: Labelled
    batch_size: int
    seed: int
    augmentation: AugmentationConfig | None

    def distributed(self, devices: Devices, first_epoch: int, windows: int) -> FineTuningData:
        """Training and validation data of a network.

        Args:
          devices: what computes.
          first_epoch: the number of the epoch to begin with.
          windows: how many windows the process watches that watches the most.
        """
        strategy = devices.training
        local = strategy.num_replicas_in_sync // devices.workers
        size = self.batch_size // strategy.num_replicas_in_sync
        training = strategy.distribute_datasets_from_function(
            lambda context: self._training(context, size, first_epoch)
        )
        validation = None
        if self.watched.paths:
            validation = strategy.distribute_datasets_from_function(
                lambda context: self._validation(context, size)
            )
        return FineTuningData(training, validation, -(-windows // (size * local)))

    def _training(
        self, context: tf.distribute.InputContext, size: int, first_epoch: int
    ) -> tf.data.Dataset:
        """Those of one process, in batches for one device each."""
        pipelines = context.num_input_pipelines
        local = context.num_replicas_in_sync // pipelines
        share = PipelineShare(context.input_pipeline_id, pipelines, size, local)
        return drawn_windows(
            self.learned, self.recipe, self.seed, share, first_epoch, self.augmentation
        )

    def _validation(self, context: tf.distribute.InputContext, size: int) -> tf.data.Dataset:
        own = self.watched.every(context.num_input_pipelines, context.input_pipeline_id)
        return all_windows(own, self.recipe, size)
