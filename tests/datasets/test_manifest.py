"""Classes left out of training: their recordings stay, with class ids behind the others."""

from __future__ import annotations

import numpy as np
import pytest

from sound_pipeline.datasets import Manifest, Recording
from sound_pipeline.datasets.leaks import leaked_fraction
from sound_pipeline.datasets.manifest import leave_out
from sound_pipeline.datasets.splits import PROTOCOLS, SplitConfig, make_splits
from sound_pipeline.errors import UserError

CLASSES = ("air", "bark", "drill", "zap")
MANIFEST = Manifest(
    "made up",
    tuple(
        Recording(f"{n}.wav", CLASSES[n % 4], 1 + n // 4 % 3, f"source {n // 8}-{n % 4}")
        for n in range(96)
    ),
    CLASSES,
    1.0,
)


def test_ids_of_unknown_classes_follow_the_known() -> None:
    manifest = leave_out(MANIFEST, ["drill", "air"])
    assert manifest.classes == ("bark", "zap") and manifest.unknown_classes == ("air", "drill")
    assert manifest.recordings == MANIFEST.recordings
    assert manifest.labels[:4].tolist() == [2, 0, 3, 1]
    assert manifest.is_known[:4].tolist() == [False, True, False, True]
    assert leave_out(MANIFEST, []) == MANIFEST and MANIFEST.is_known.all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_splits_test_them_and_never_train_on_them(protocol: str) -> None:
    manifest = leave_out(MANIFEST, ["drill"])
    test_folds = (1,) if protocol == "holdout" else ()
    unknown = set(np.flatnonzero(~manifest.is_known).tolist())
    tested: list[int] = []
    for split in make_splits(manifest, SplitConfig(protocol, test_folds=test_folds)):
        assert not unknown & set(split.train.tolist())
        assert unknown & set(split.validation.tolist())
        assert unknown & set(split.test.tolist())
        tested += split.test.tolist()
    if protocol != "holdout":
        assert sorted(tested) == list(range(96))


def test_they_do_not_dilute_the_share_of_leaked_recordings() -> None:
    whole, less = (
        leaked_fraction(m, make_splits(m, SplitConfig("random")))
        for m in (MANIFEST, leave_out(MANIFEST, ["drill"]))
    )
    assert less == pytest.approx(whole, abs=0.1) and less > 0.3


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (["dril"], "no class 'dril': did you mean 'drill'?"),
        (["xylophone"], "no class 'xylophone': choose from air, bark, drill, zap"),
        (["air", "bark", "zap"], "leaves 1 of 4 classes"),
    ],
)
def test_errors(unknown: list[str], words: str) -> None:
    with pytest.raises(UserError, match="--unknown_classes") as caught:
        leave_out(MANIFEST, unknown)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_manifest_arrays_follow_the_recordings() -> None:
    manifest = Manifest(
        "three",
        (
            Recording("a.wav", "dog", 10, "s1"),
            Recording("b.wav", "cat", 2, "s2"),
            Recording("c.wav", "dog", 2, "s1"),
        ),
        ("cat", "dog"),
        4.0,
    )
    assert manifest.labels.dtype == np.int32
    assert manifest.labels.tolist() == [1, 0, 1]
    assert manifest.folds == (2, 10)
    assert manifest.groups.tolist() == ["s1", "s2", "s1"]
    with pytest.raises(ValueError, match="read-only"):
        manifest.labels[0] = 0
