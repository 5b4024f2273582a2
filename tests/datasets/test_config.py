"""Which data set: values that do not go together name their flags."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sound_pipeline.datasets import DatasetConfig
from tests.helpers.user_errors import error_of


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "esc5"}, ("--dataset", "esc5", "urbansound8k, esc50, folder, csv")),
        ({"dataset": "esc50", "subset": "esc20"}, ("--subset", "esc20", "esc10")),
        ({"dataset": "urbansound8k", "subset": "esc10"}, ("--subset=esc10", "--dataset=esc50")),
        ({"dataset": "csv"}, ("--dataset=csv", "--manifest")),
        ({"dataset": "csv", "manifest": "a.csv", "label_column": ""}, ("--label_column",)),
        ({"dataset": "csv", "manifest": "a.csv", "fold_column": ""}, ("--fold_column",)),
        ({"dataset": "esc50", "data_dir": ""}, ("--data_dir", "esc50")),
        ({"dataset": "esc50", "manifest": "a.csv"}, ("--manifest", "--dataset=csv")),
        ({"dataset": "folder", "group_column": "who"}, ("--group_column", "--dataset=csv")),
    ],
)
def test_config_errors(values: dict[str, str], words: Sequence[str]) -> None:
    error_of(lambda: DatasetConfig(**{"data_dir": "data", **values}), *words)
