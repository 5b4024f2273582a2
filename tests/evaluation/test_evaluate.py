"""Evaluation: the test recordings are not looked at, and each gets its own scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sound_pipeline.datasets import Manifest, Recording
from sound_pipeline.datasets.manifest import leave_out
from sound_pipeline.datasets.splits import Split, SplitConfig, make_splits
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation import evaluate as evaluate_module
from sound_pipeline.evaluation.evaluate import FoldResult, evaluate, predictions_of
from sound_pipeline.heads.calibration import with_temperature
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import fit_head
from sound_pipeline.heads.head import Head
from sound_pipeline.heads.train import TrainedHead, ask, calibrate, examples, train_head

CLASSES = ("bark", "drill", "siren")
QUICK = HeadConfig(epochs=25)
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
        values.astype(np.float32),
        recording,
        beginnings=np.zeros((0, SIZE), np.float32),
        beginning_of=np.zeros(0, np.int32),
        unreadable=dict.fromkeys(unreadable, "not decodable"),
    )


LABELS = np.arange(60) // 2 % 3
"""Each class in every one of three folds."""


def weights_of(head: Head) -> list[bytes]:
    return [variable.numpy().tobytes() for variable in head.variables]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[TrainedHead]:
    """What `evaluate` trains, in turn."""
    trained: list[TrainedHead] = []

    def remember(*arguments: object) -> TrainedHead:
        trained.append(train_head(*arguments))
        return trained[-1]

    monkeypatch.setattr(evaluate_module, "train_head", remember)
    return trained


def split_of(train: object, validation: object, test: object, name: str = "fold 1") -> Split:
    return Split(name, *(np.asarray(side, np.int64) for side in (train, validation, test)))


def test_the_test_part_has_no_influence_on_head_epochs_or_thresholds(
    fits: list[TrainedHead],
) -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS)
    splits = make_splits(manifest, SplitConfig("folds"))[:1]
    (before,) = evaluate(manifest, embeddings, splits, QUICK)

    tested = splits[0].test
    labels, values = LABELS.copy(), embeddings.values.copy()
    labels[tested] = (labels[tested] + 1) % 3
    values[np.isin(embeddings.recording, tested)] = np.nan
    spoilt = dataclasses.replace(embeddings, values=values)
    (after,) = evaluate(manifest_of(labels), spoilt, splits, QUICK)
    assert weights_of(fits[0].head) == weights_of(fits[1].head)
    assert fits[0].epochs == fits[1].epochs
    assert before.curves == after.curves
    assert before.calibration == after.calibration
    assert before.calibration.temperature != 1.0, "there was nothing to calibrate"

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
    tested = np.concatenate([result.tested.recordings for result in results])
    assert sorted(tested.tolist()) == list(range(60))
    for result in results:
        scores = result.tested.log_scores
        assert scores.shape == (20, 3) and scores.dtype == np.float32
        np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-5)
        right = scores.argmax(axis=1) == LABELS[result.tested.recordings]
        assert right.mean() >= 0.95
        assert set(result.curves) == {"loss", "validation_loss"}


def test_shuffled_labels_give_chance() -> None:
    """Recordings of one source on both sides of a split would show here, and any peeking."""
    count = 300
    labels = np.random.default_rng(1).integers(0, 3, count)
    manifest = manifest_of(labels)
    embeddings = embeddings_of(np.random.default_rng(2).integers(0, 3, count), distance=4.0)
    results = evaluate(manifest, embeddings, make_splits(manifest, SplitConfig("folds")), QUICK)
    right = int(predictions_of(manifest, results).right.sum())
    least, most = stats.binom.interval(0.999, count, 1 / 3)
    assert least <= right <= most


def test_a_recording_is_answered_by_all_its_windows() -> None:
    embeddings = embeddings_of(LABELS)
    random = np.random.default_rng(3)
    layer = random.normal(size=(SIZE, 3)).astype(np.float32), np.zeros(3, np.float32)
    head = Head(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), *layer)
    asked = random.permutation(60)[:25]
    answer = ask(head, embeddings, asked)
    assert answer.recordings.tolist() == sorted(asked.tolist())
    assert answer.log_scores.shape == (25, 3)
    for position, row in zip(answer.recordings, answer.log_scores, strict=True):
        # The mean of the windows' log-probabilities, normalised.
        logits = head(embeddings.values[embeddings.recording == position]).numpy()
        log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        product = np.exp(log_shares.mean(axis=0))
        np.testing.assert_allclose(np.exp(row), product / product.sum(), rtol=1e-4)


def test_a_heads_own_temperature_is_that_of_the_evaluation() -> None:
    """The exported head divides logits of windows; the evaluation, log-scores of recordings."""
    embeddings = embeddings_of(LABELS)
    kernel = np.random.default_rng(3).normal(size=(SIZE, 3)).astype(np.float32)
    layer = (kernel, np.zeros(3, np.float32))
    head = Head(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32), *layer)
    plain = ask(head, embeddings, np.arange(60)).log_scores
    head.temperature.assign(2.5)
    scaled = ask(head, embeddings, np.arange(60)).log_scores
    np.testing.assert_allclose(np.exp(scaled), with_temperature(plain, 2.5), atol=1e-6)


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


def test_beginnings_are_learned_from_and_nothing_else() -> None:
    manifest, whole = manifest_of(LABELS), embeddings_of(LABELS)
    owner = np.repeat(np.arange(60, dtype=np.int32), 2)
    values = np.random.default_rng(1).normal(size=(120, SIZE)).astype(np.float32)
    both = dataclasses.replace(whole, beginnings=values, beginning_of=owner)
    chosen = np.array([41, 3, 6])
    found = examples(manifest, both, chosen)
    windows = np.isin(whole.recording, chosen)
    np.testing.assert_array_equal(
        found.embeddings, np.concatenate((whole.values[windows], values[np.isin(owner, chosen)]))
    )
    np.testing.assert_allclose(found.weights[windows.sum() :], 0.15, rtol=1e-6)
    owners = np.concatenate((whole.recording[windows], owner[np.isin(owner, chosen)]))
    assert found.labels.tolist() == LABELS[owners].tolist()
    np.testing.assert_allclose(np.bincount(owners, found.weights)[chosen], 1, rtol=1e-6)

    head = fit_head(found, None, 3, QUICK).head
    for one, other in zip(
        (ask(head, both, chosen).log_scores, both.mean_of(np.sort(chosen))[:]),
        (ask(head, whole, chosen).log_scores, whole.mean_of(np.sort(chosen))[:]),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_learns_from_the_validation_part_too_for_as_long_as_was_best_on_it() -> None:
    config = HeadConfig(l2=0.01)
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
    # Calibration hears the head that has not learned from the validation part.
    said = ask(watched.head, embeddings, validation)
    np.testing.assert_array_equal(fit.validation.recordings, validation)
    np.testing.assert_array_equal(fit.validation.log_scores, said.log_scores)
    both = fit_head(
        examples(manifest, embeddings, np.arange(60)), None, 3, config, epochs=watched.epochs
    )
    assert weights_of(fit.head) == weights_of(both.head)


@pytest.mark.parametrize("unreadable", [(), (50, 51)], ids=["none", "unreadable"])
def test_trains_until_nothing_is_gained_without_a_validation_part(
    unreadable: tuple[int, ...],
) -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, unreadable=unreadable)
    fit = train_head(manifest, embeddings, np.arange(50), unreadable, QUICK)
    assert 5 < fit.epochs < QUICK.epochs and "validation_loss" not in fit.curves
    assert len(fit.validation.recordings) == len(fit.validation.log_scores) == 0
    calibration = calibrate(manifest, [fit.validation])
    assert (calibration.temperature, calibration.min_score) == (1.0, 0.0)


def test_unreadable_recordings_are_left_out() -> None:
    embeddings = embeddings_of(LABELS, unreadable=(2, 30, 50))
    split = split_of(range(40), range(40, 48), range(48, 60))
    (result,) = evaluate(manifest_of(LABELS), embeddings, [split], QUICK)
    assert result.tested.recordings.tolist() == [48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 59]
    scores = result.tested.log_scores
    assert len(scores) == 11 and np.isfinite(scores).all()


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


def test_recordings_of_unknown_classes_are_asked_about_and_never_learned_from(
    fits: list[TrainedHead],
) -> None:
    whole, embeddings = manifest_of(LABELS), embeddings_of(LABELS, distance=4.0)
    manifest = leave_out(whole, ["drill"])
    splits = make_splits(manifest, SplitConfig("folds", validation_fraction=0.3))
    results = evaluate(manifest, embeddings, splits, QUICK)
    predictions = predictions_of(manifest, results)
    assert predictions.classes == ("bark", "siren")
    assert len(predictions.labels) == 60 and len(predictions.unknown.labels) == 20
    assert set(predictions.unknown.labels.tolist()) == {"drill"}
    assert predictions.known.right.mean() > 0.9
    for split, result in zip(splits, results, strict=True):
        drills = np.flatnonzero(LABELS == 1)
        assert not set(split.train) & set(drills)
        assert set(result.validation.recordings) & set(drills)

    # Without them the heads are the same, and so are the temperatures.
    values = embeddings.values.copy()
    values[LABELS[embeddings.recording] == 1] += 100.0
    moved = dataclasses.replace(embeddings, values=values)
    again = evaluate(manifest, moved, splits, QUICK)
    # Several are trained at a time, so they end in any order.
    before, after = (sorted(weights_of(fit.head) for fit in some) for some in (fits[:3], fits[3:]))
    assert before == after
    for one, other in zip(results, again, strict=True):
        assert one.calibration.temperature == other.calibration.temperature


def test_predictions_are_calibrated_fold_by_fold() -> None:
    manifest = manifest_of(LABELS)
    embeddings = embeddings_of(LABELS, distance=0.7)
    results = evaluate(manifest, embeddings, make_splits(manifest, SplitConfig("folds")), QUICK)
    predictions = predictions_of(manifest, results)
    assert len({result.calibration.temperature for result in results}) == 3
    for result in results:
        rows = predictions.where(predictions.folds == result.name)
        numbers = [int(path.removesuffix(".wav")) for path in rows.paths.tolist()]
        assert numbers == result.tested.recordings.tolist()
        assert rows.labels.tolist() == [CLASSES[LABELS[number]] for number in numbers]
        assert rows.groups.tolist() == [f"source {number}" for number in numbers]
        scores = with_temperature(result.tested.log_scores, result.calibration.temperature)
        np.testing.assert_array_equal(rows.scores, scores)
        uncalibrated = np.exp(result.tested.log_scores).max(axis=1)
        np.testing.assert_allclose(rows.uncalibrated_score, uncalibrated, rtol=1e-6)
