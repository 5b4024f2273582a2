"""The head: scikit-learn's optimum, the same weights every time, stopped by validation alone."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from sound_pipeline.heads import fitting
from sound_pipeline.heads import standardised_rows as standardised_module
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import TrainingExamples, fit_head
from sound_pipeline.heads.head import Head

Array = npt.NDArray[np.float64]

# A TypeError from Python 3.12 on.
pytestmark = pytest.mark.filterwarnings("error:non-integer arguments to randrange")

# (clips, features, how far apart the classes are).
_MORE_FEATURES_THAN_CLIPS = (200, 800, 0.12)
_MORE_CLIPS_THAN_FEATURES = (600, 20, 0.4)
_SHAPES = pytest.mark.parametrize(
    ("count", "size", "distance"),
    [_MORE_FEATURES_THAN_CLIPS, _MORE_CLIPS_THAN_FEATURES],
    ids=["D > N", "D < N"],
)


def blobs(
    count: int,
    size: int,
    classes: int,
    distance: float,
    seed: int,
    shares: list[float] | None = None,
) -> TrainingExamples:
    """Gaussian classes that overlap, their features of very different scales and offsets."""
    world = np.random.default_rng(size)
    centres = distance * world.normal(size=(classes, size))
    scale, offset = world.uniform(0.1, 10, size), world.uniform(-30, 30, size)
    random = np.random.default_rng(seed)
    labels = random.choice(classes, count, p=shares)
    labels[:classes] = range(classes)
    values = (centres[labels] + random.normal(size=(count, size))) * scale + offset
    return examples_of(values, labels)


def examples_of(
    values: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> TrainingExamples:
    labels = np.asarray(labels, np.int32)
    weights = np.ones(len(labels)) if weights is None else weights
    return TrainingExamples(np.asarray(values, np.float32), labels, np.asarray(weights, np.float32))


def standardised(training: TrainingExamples, other: TrainingExamples | None = None) -> Array:
    known = training.embeddings.astype(np.float64)
    values = known if other is None else other.embeddings
    return (values - known.mean(axis=0)) / known.std(axis=0)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def objective(
    kernel: Array, bias: Array, inputs: Array, labels: Array, weights: Array, l2: float
) -> float:
    """What scikit-learn's LogisticRegression minimises, times C."""
    right = log_softmax(inputs @ kernel + bias)[np.arange(len(labels)), labels]
    return float(-(weights * right).sum() + l2 / 2 * np.square(kernel).sum())


def objectives(
    head: Head, oracle: LogisticRegression, training: TrainingExamples, weights: Array, l2: float
) -> tuple[float, float]:
    """The training objective of a linear head and of scikit-learn's optimum."""
    rest = (standardised(training), training.labels, weights, l2)
    ours = objective(head.kernel.numpy(), head.bias.numpy(), *rest)
    return ours, objective(oracle.coef_.T, oracle.intercept_, *rest)


def fit_oracle(training: TrainingExamples, weights: Array, l2: float) -> LogisticRegression:
    oracle = LogisticRegression(C=1 / l2, max_iter=2000, tol=1e-8)
    return oracle.fit(standardised(training), training.labels, sample_weight=weights)


def accuracy(head: Head, tested: TrainingExamples) -> float:
    return float(np.mean(head(tested.embeddings).numpy().argmax(axis=1) == tested.labels))


def weights_of(head: Head) -> list[npt.NDArray[np.float32]]:
    return [each.numpy() for each in (head.mean, head.deviation, head.kernel, head.bias)]


def equal(one: Head, other: Head) -> bool:
    pairs = zip(weights_of(one), weights_of(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@_SHAPES
@pytest.mark.parametrize("l2", [0.3, 10.0, 300.0])
def test_converges_to_the_optimum_of_scikit_learn(
    count: int, size: int, distance: float, l2: float
) -> None:
    training, tested = (blobs(n, size, 5, distance, seed) for n, seed in ((count, 1), (3000, 2)))
    config = HeadConfig(class_weights="none", l2=l2)
    fit = fit_head(training, None, 5, config)
    assert fit.epochs < config.epochs
    oracle = fit_oracle(training, training.weights, l2)
    ours, least = objectives(fit.head, oracle, training, training.weights, l2)
    assert least * (1 - 1e-6) <= ours <= 1.001 * least
    np.testing.assert_allclose(
        np.exp(log_softmax(fit.head(training.embeddings).numpy().astype(np.float64))),
        oracle.predict_proba(standardised(training)),
        atol=0.02,
    )
    expected = oracle.score(standardised(training, tested), tested.labels)
    assert 0.5 < expected < 0.9
    assert accuracy(fit.head, tested) > expected - 0.015


def test_weighs_examples_and_balances_classes_as_scikit_learn() -> None:
    training = blobs(300, 10, 3, 0.4, seed=4, shares=[0.75, 0.2, 0.05])
    random = np.random.default_rng(5)
    training = examples_of(
        training.embeddings, training.labels, random.choice([0.1, 0.5, 1.0], 300)
    )
    config = HeadConfig(class_weights="balanced")
    totals = np.bincount(training.labels, training.weights)
    weights = training.weights * (totals.sum() / (3 * totals))[training.labels]
    balanced = fit_head(training, None, 3, config).head
    oracle = fit_oracle(training, weights, config.l2)
    ours, least = objectives(balanced, oracle, training, weights, config.l2)
    assert ours == pytest.approx(least, rel=1e-3)

    plain = HeadConfig(class_weights="none")
    unbalanced = fit_head(training, None, 3, plain).head
    ours, least = objectives(
        unbalanced,
        fit_oracle(training, training.weights, plain.l2),
        training,
        training.weights,
        plain.l2,
    )
    assert ours == pytest.approx(least, rel=1e-3)
    rare = examples_of(
        *(column[training.labels == 2] for column in (training.embeddings, training.labels))
    )
    assert accuracy(balanced, rare) > accuracy(unbalanced, rare) + 0.2


def test_windows_of_one_recording_count_as_one() -> None:
    single = blobs(60, 10, 2, 0.5, seed=6)
    twice = examples_of(
        np.repeat(single.embeddings, 2, axis=0), np.repeat(single.labels, 2), np.full(120, 0.5)
    )
    config = HeadConfig()
    one, other = (fit_head(training, None, 2, config).head for training in (single, twice))
    np.testing.assert_allclose(one.kernel, other.kernel, atol=1e-4)
    np.testing.assert_allclose(one.bias, other.bias, atol=1e-4)


def test_no_feature_outvotes_the_others_however_far_off_it_is() -> None:
    training = blobs(80, 5, 2, 1.0, seed=7)
    head = fit_head(training, None, 2, HeadConfig(epochs=40)).head
    far, farther = training.embeddings.copy(), training.embeddings.copy()
    far[:, 1] = head.mean[1] + 4.01 * head.deviation[1]
    farther[:, 1] += 1e6
    np.testing.assert_array_equal(head(far), head(farther))
    near = training.embeddings.copy()
    near[:, 1] = head.mean[1] + 3.9 * head.deviation[1]
    assert not np.allclose(head(near), head(far), atol=1e-3)


_MIXED = HeadConfig(epochs=15, mixup=1.0)


def _fit_and_save(path: str) -> None:
    training, validation = (blobs(count, 8, 2, 0.4, seed=count) for count in (150, 50))
    np.savez(path, *weights_of(fit_head(training, validation, 2, _MIXED).head))


@pytest.mark.slow
def test_same_seed_gives_the_same_weights_in_any_process(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_fit_and_save, args=(str(tmp_path / "elsewhere.npz"),)
    )
    process.start()
    training, validation = (blobs(count, 8, 2, 0.4, seed=count) for count in (150, 50))
    fits = [fit_head(training, validation, 2, _MIXED) for _ in range(2)]
    process.join()
    assert process.exitcode == 0
    assert equal(fits[0].head, fits[1].head) and fits[0].curves == fits[1].curves
    with np.load(tmp_path / "elsewhere.npz") as elsewhere:
        for here, there in zip(weights_of(fits[0].head), elsewhere.values(), strict=True):
            np.testing.assert_array_equal(here, there)


def test_stops_at_the_best_epoch_of_the_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "PATIENCE", 7)
    training = blobs(60, 100, 3, 0.5, seed=11)
    validation = blobs(90, 100, 3, 0.5, seed=12)
    config = HeadConfig(l2=0.01, epochs=200)
    found = fit_head(training, validation, 3, config)
    watched = found.curves["validation_loss"]
    assert 1 < found.epochs < config.epochs, "the data must be such that a head overfits"
    assert found.epochs == np.argmin(watched) + 1
    assert len(watched) == len(found.curves["loss"]) == found.epochs + 7

    # The weights are those of the best epoch, not of the last one.
    right = log_softmax(found.head(validation.embeddings).numpy().astype(np.float64))
    loss = -right[np.arange(90), validation.labels].mean()
    assert loss == pytest.approx(min(watched), rel=1e-4)

    # Validation decided when to stop, and nothing else: without it, the same way is gone.
    blind = fit_head(training, None, 3, config, epochs=found.epochs)
    assert blind.epochs == found.epochs and "validation_loss" not in blind.curves
    assert blind.curves["loss"] == found.curves["loss"][: found.epochs]
    assert equal(blind.head, found.head)


def test_trains_for_as_many_epochs_as_it_may_and_every_one_gains() -> None:
    config = HeadConfig(epochs=6, class_weights="none", l2=0.0)
    fit = fit_head(blobs(400, 5, 3, 0.5, seed=13), None, 3, config)
    assert fit.epochs == len(fit.curves["loss"]) == 6
    assert fit.curves["loss"] == sorted(fit.curves["loss"], reverse=True)


def test_the_curve_is_of_the_loss_without_the_penalty() -> None:
    training = blobs(200, 10, 3, 0.4, seed=13)
    config = HeadConfig(l2=30.0, class_weights="none")
    fit = fit_head(training, None, 3, config)
    right = log_softmax(fit.head(training.embeddings).numpy().astype(np.float64))
    loss = -right[np.arange(200), training.labels].mean()
    assert fit.curves["loss"][-1] == pytest.approx(loss, rel=1e-4)


def test_smoothed_labels_give_smoother_answers() -> None:
    training = blobs(200, 10, 4, 3.0, seed=13)
    most = []
    for smoothing in (0.0, 0.2):
        config = HeadConfig(l2=0.1, label_smoothing=smoothing)
        logits = fit_head(training, None, 4, config).head(training.embeddings).numpy()
        scores = np.exp(log_softmax(logits.astype(np.float64)))
        assert (scores.argmax(axis=1) == training.labels).mean() > 0.98
        most.append(scores.max(axis=1).mean())
    # What is wanted of the right class: 1, and 1 - 0.2 + 0.2 / 4.
    assert most[0] > 0.97
    assert most[1] == pytest.approx(0.85, abs=0.03)


def test_a_feature_constant_in_training_does_not_decide_later() -> None:
    config = HeadConfig(epochs=30, l2=0.1)
    plain = blobs(100, 3, 2, 1.0, seed=14)
    rounding = np.random.default_rng(15).uniform(-1e-3, 1e-3, 100)
    constants = np.stack([np.zeros(100), np.full(100, 1000.1), 1000 + rounding], axis=1)
    training = examples_of(np.hstack([plain.embeddings, constants]), plain.labels)
    head = fit_head(training, None, 2, config).head
    usual = head(training.embeddings).numpy()
    assert np.isfinite(usual).all()
    changed = training.embeddings.copy()
    changed[:, 3:] += [0.01, -0.01, 0.01]
    np.testing.assert_allclose(head(changed).numpy(), usual, atol=0.1)


# Memory for each byte of examples that is held.
_OF_MEMORY = round(1 / standardised_module._SHARE_OF_MEMORY)


@pytest.mark.parametrize("limit", [_OF_MEMORY * 4 * 20 * 600, _OF_MEMORY * 4 * 20 * 130, 1])
def test_examples_that_do_not_fit_into_memory_train_the_same_head(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    config = HeadConfig(epochs=6)
    training, validation = (blobs(count, 20, 3, 0.4, seed=count) for count in (599, 201))
    whole = fit_head(training, validation, 3, config)
    read: list[int] = []

    class OnDisk:
        """Says how many rows are read at once."""

        def __init__(self, values: Array) -> None:
            self.values = values
            self.shape = values.shape

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, index: object) -> Array:
            rows = self.values[index]
            read.append(len(rows))
            return rows

    monkeypatch.setattr("sound_pipeline.heads.standardised_rows.memory_bytes", lambda: limit)
    parts = [
        TrainingExamples(OnDisk(part.embeddings), part.labels, part.weights)
        for part in (training, validation)
    ]
    streamed = fit_head(*parts, 3, config)
    fits = limit >= _OF_MEMORY * 4 * 20 * 599
    assert max(read) == {0: 1, 32: 32, 150: 150}[limit // (_OF_MEMORY * 4 * 20) // 4]
    # Once to keep them; or for the moments and at every look at them.
    assert (sum(read) == 599 + 201) if fits else (sum(read) > 599 * config.epochs)
    assert streamed.epochs == whole.epochs
    for name, curve in whole.curves.items():
        assert streamed.curves[name] == pytest.approx(curve, rel=1e-4)
    for one, other in zip(weights_of(whole.head), weights_of(streamed.head), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_of_pieces_it_says_the_mean_of_their_log_probabilities() -> None:
    training = dataclasses.replace(blobs(80, 5, 3, 1.0, seed=7), pieces=4)
    config = HeadConfig(epochs=40)
    in_pieces = fit_head(training, None, 3, config).head
    alone = fit_head(dataclasses.replace(training, pieces=1), None, 3, config).head
    pieces = training.embeddings[:48].reshape(12, 4, 5)
    said = [tf.nn.log_softmax(alone(pieces[:, number])).numpy() for number in range(4)]
    for head in (in_pieces, alone):
        head.temperature.assign(1.7)
    found = in_pieces(pieces.reshape(12, 20)).numpy()
    np.testing.assert_allclose(found, np.mean(said, axis=0) / 1.7, atol=1e-5)
