"""How networks are fine-tuned: values out of range name their flag."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import DatasetConfig
from sound_pipeline.datasets.splits import SplitConfig
from sound_pipeline.errors import UserError
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system.json_config import from_json, to_json

RUN = RunConfig(
    dataset=DatasetConfig("folder", "sounds"),
    split=SplitConfig("grouped"),
    features=FeatureConfig(),
    extractor="module",
    head=HeadConfig(),
)


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"epochs": 0}, "--fine_tune_epochs=0"),
        ({"batch_size": 0}, "--fine_tune_batch_size=0"),
        ({"learning_rate": 0.0}, "--fine_tune_learning_rate=0"),
        ({"learning_rate": math.nan}, "--fine_tune_learning_rate=nan"),
        ({"learning_rate": math.inf}, "--fine_tune_learning_rate=inf"),
    ],
)
def test_values_out_of_range_name_their_flag(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError) as caught:
        FineTuneConfig(**values)
    assert str(caught.value).startswith(f"{flag}: give")


def test_the_edges_of_the_ranges_are_taken() -> None:
    FineTuneConfig(epochs=1, batch_size=1)


@pytest.mark.parametrize("tuning", [None, FineTuneConfig(epochs=3, first_variable="mixed_7")])
def test_a_run_keeps_it(tuning: FineTuneConfig | None) -> None:
    run = dataclasses.replace(RUN, fine_tune=tuning)
    rebuilt = from_json(RunConfig, to_json(run))
    assert rebuilt == run
    assert type(rebuilt.fine_tune) is type(tuning)
