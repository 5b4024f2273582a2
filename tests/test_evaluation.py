"""Evaluation: the test recordings are not looked at, and each gets its own scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sound_pipeline import evaluation
from sound_pipeline.config import HeadConfig
from sound_pipeline.datasets import Manifest, Recording
from sound_pipeline.embeddings import Embeddings
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation import FoldResult, clip_scores, evaluate, examples, train_head
from sound_pipeline.head import Fit, Head, fit_head
from sound_pipeline.splits import Split, SplitConfig, make_splits

CLASSES = ("bark", "drill", "siren")
QUICK = HeadConfig(epochs=25, learning_rate=0.01, patience=10)
SIZE = 6


def manifest_of(labels: np.ndarray, folds: int = 3) -> Manifest:
    recordings = tuple(
        Recording(f"{position}.wav", CLASSES[label], 1 + position % folds, f"source {position}")
        for position, label in enumerate(labels.tolist())
    )
    return Manifest("made up", recordings, CLASSES, 1.0)


def embeddings_of(
    labels: np.ndarray, distance: float = 2.0, unreadable: tuple[int, ...] = (), seed: int = 0
) -> Embeddings:
    """One to three windows a recording, around the centre of its class."""
    random = np.random.default_rng(seed)
    centres = distance * random.normal(size=(len(CLASSES), SIZE))
    windows = random.integers(1, 4, len(labels))
    windows[list(unreadable)] = 0
    recording = np.repeat(np.arange(len(labels), dtype=np.int32), windows)
    values = centres[labels[recording]] + random.normal(size=(len(recording), SIZE))
    return Embeddings(
        values.astype(np.float32), recording, dict.fromkeys(unreadable, "not decodable")
    )


LABELS = np.arange(60) // 2 % 3
"""Each class in every one of three folds."""


def weights_of(head: Head) -> list[bytes]:
    return [variable.numpy().tobytes() for variable in head.variables]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """What `evaluate` trains, in turn."""
    trained: list[Fit] = []

    def remember(*arguments: object) -> Fit:
        trained.append(train_head(*arguments))
        return trained[-1]

    monkeypatch.setattr(evaluation, "train_head", remember)
    return trained


def split_of(train: object, validation: object, test: object, name: str = "fold 1") -> Split:
    return Split(name, *(np.asarray(side, np.int64) for side in (train, validation, test)))


def test_the_test_part_has_no_influence_on_the_head(fits: list[Fit]) -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS)
    splits = make_splits(manifest, SplitConfig("folds"))[:1]
    evaluate(manifest, embeddings, splits, QUICK)

    tested = splits[0].test
    labels, values = LABELS.copy(), embeddings.values.copy()
    labels[tested] = (labels[tested] + 1) % 3
    values[np.isin(embeddings.recording, tested)] = np.nan
    spoilt = dataclasses.replace(embeddings, values=values)
    evaluate(manifest_of(labels), spoilt, splits, QUICK)
    assert weights_of(fits[0].head) == weights_of(fits[1].head)
    assert fits[0].curves == fits[1].curves

    # The same spoiling of a recording that is learned from does show.
    values = embeddings.values.copy()
    values[embeddings.recording == splits[0].train[0]] += 1.0
    other = dataclasses.replace(embeddings, values=values)
    evaluate(manifest, other, splits, QUICK)
    assert weights_of(fits[0].head) != weights_of(fits[2].head)


def test_every_recording_is_tested_once_and_easy_ones_are_right() -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, distance=4.0)
    came: list[FoldResult] = []
    results = evaluate(
        manifest, embeddings, make_splits(manifest, SplitConfig("folds")), QUICK, came.append
    )
    assert [result.name for result in results] == ["fold 1", "fold 2", "fold 3"]
    assert all(one is other for one, other in zip(came, results, strict=True))
    tested = np.concatenate([result.recordings for result in results])
    assert sorted(tested.tolist()) == list(range(60))
    for result in results:
        assert result.scores.shape == (20, 3) and result.scores.dtype == np.float32
        np.testing.assert_allclose(result.scores.sum(axis=1), 1, atol=1e-5)
        right = result.scores.argmax(axis=1) == LABELS[result.recordings]
        assert result.accuracy == right.mean() >= 0.95
        assert set(result.curves) == {"loss", "validation_loss"}


def test_shuffled_labels_give_chance() -> None:
    """Recordings of one source on both sides of a split would show here, and any peeking."""
    count = 300
    labels = np.random.default_rng(1).integers(0, 3, count)
    manifest = manifest_of(labels)
    embeddings = embeddings_of(np.random.default_rng(2).integers(0, 3, count), distance=4.0)
    results = evaluate(manifest, embeddings, make_splits(manifest, SplitConfig("folds")), QUICK)
    right = round(sum(result.accuracy * len(result.recordings) for result in results))
    least, most = stats.binom.interval(0.999, count, 1 / 3)
    assert least <= right <= most


def test_scores_come_in_the_order_asked_for() -> None:
    embeddings = embeddings_of(LABELS)
    random = np.random.default_rng(3)
    layer = (random.normal(size=(SIZE, 3)).astype(np.float32), np.zeros(3, np.float32))
    head = Head(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), [layer])
    asked = random.permutation(60)[:25]
    scores = clip_scores(head, embeddings, asked)
    assert scores.shape == (25, 3)
    for position, row in zip(asked, scores, strict=True):
        np.testing.assert_array_equal(row, clip_scores(head, embeddings, np.array([position]))[0])
        # The mean of the windows' log-probabilities, normalised.
        logits = head(embeddings.values[embeddings.recording == position]).numpy()
        log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        product = np.exp(log_shares.mean(axis=0))
        np.testing.assert_allclose(row, product / product.sum(), rtol=1e-4)


def test_a_recording_weighs_one_however_many_windows_it_has() -> None:
    embeddings = embeddings_of(LABELS)
    chosen = np.array([41, 3, 17, 8])
    windows = examples(manifest_of(LABELS), embeddings, chosen)
    owner = embeddings.recording[np.isin(embeddings.recording, chosen)]
    assert windows.labels.tolist() == LABELS[owner].tolist()
    totals = np.bincount(owner, windows.weights)
    np.testing.assert_allclose(totals[np.sort(chosen)], 1, rtol=1e-6)
    assert totals.sum() == pytest.approx(4)
    assert windows.weights.dtype == np.float32


def test_learns_from_the_validation_part_too_for_as_long_as_was_best_on_it() -> None:
    config = HeadConfig(l2=0.01, learning_rate=0.05, patience=5)
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, distance=0.4)
    train, validation = np.arange(0, 40), np.arange(40, 60)
    fit = train_head(manifest, embeddings, train, validation, config)
    watched = fit_head(
        examples(manifest, embeddings, train),
        examples(manifest, embeddings, validation),
        3,
        config,
    )
    assert fit.curves == watched.curves and fit.epochs == watched.epochs < config.epochs
    both = fit_head(
        examples(manifest, embeddings, np.arange(60)), None, 3, config, epochs=watched.epochs
    )
    assert weights_of(fit.head) == weights_of(both.head)


@pytest.mark.parametrize("unreadable", [(), (50, 51)], ids=["none", "unreadable"])
def test_trains_for_all_epochs_without_a_validation_part(unreadable: tuple[int, ...]) -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, unreadable=unreadable)
    fit = train_head(manifest, embeddings, np.arange(50), unreadable, QUICK)
    assert fit.epochs == QUICK.epochs and "validation_loss" not in fit.curves


def test_unreadable_recordings_are_left_out() -> None:
    embeddings = embeddings_of(LABELS, unreadable=(2, 30, 50))
    split = split_of(range(40), range(40, 48), range(48, 60))
    (result,) = evaluate(manifest_of(LABELS), embeddings, [split], QUICK)
    assert result.recordings.tolist() == [48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 59]
    assert len(result.scores) == 11 and np.isfinite(result.scores).all()
    assert result.accuracy == np.mean(result.scores.argmax(axis=1) == LABELS[result.recordings])


def test_a_split_without_a_readable_test_recording_is_named() -> None:
    embeddings = embeddings_of(LABELS, unreadable=(58, 59))
    split = split_of(range(50), range(50, 58), (58, 59), name="fold 7")
    with pytest.raises(UserError, match=r"fold 7.*test recordings") as caught:
        evaluate(manifest_of(LABELS), embeddings, [split], QUICK)
    assert len(str(caught.value).splitlines()) == 1


def test_a_class_without_a_readable_recording_is_named() -> None:
    drills = tuple(np.flatnonzero(LABELS == 1).tolist())
    embeddings = embeddings_of(LABELS, unreadable=drills[:-1])
    # The one that can be read validates.
    train = [position for position in range(60) if position != drills[-1]]
    with pytest.raises(UserError, match=r"'drill'.*no readable recording") as caught:
        train_head(manifest_of(LABELS), embeddings, train, [drills[-1]], QUICK)
    assert len(str(caught.value).splitlines()) == 1
