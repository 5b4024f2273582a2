"""Heads of several extractors, tuned and weighed by validation recordings alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.splits import SplitConfig, make_splits
from sound_pipeline.embeddings.embed import Embeddings, side_by_side
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation.evaluate import evaluate
from sound_pipeline.heads import train
from sound_pipeline.heads.calibration import with_temperature
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import FittedHead, fit_head
from sound_pipeline.heads.head import JointHead
from sound_pipeline.heads.train import (
    L2_GRID,
    HeldOutScores,
    TrainedHead,
    ask,
    calibrate,
    examples,
    join_heads,
    train_head,
)
from tests.evaluation.test_evaluate import LABELS, QUICK, embeddings_of, manifest_of, weights_of

TRAIN, VALIDATION, TEST = np.arange(0, 30), np.arange(30, 48), np.arange(48, 60)


def two_extractors(first: float = 1.0, second: float = 1.0) -> Embeddings:
    """The same windows seen by two: of classes so far apart, and of 6 and 4 numbers."""
    one = embeddings_of(LABELS, first)
    other = embeddings_of(LABELS, second, seed=1)
    # As many windows as the first has.
    random = np.random.default_rng(2)
    centres = second * random.normal(size=(3, 4))
    values = centres[LABELS[one.recording]] + random.normal(size=(len(one.recording), 4))
    other = dataclasses.replace(
        one, values=values.astype(np.float32), beginnings=np.zeros((0, 4), np.float32)
    )
    return side_by_side([one, other])


def loss_of(manifest: Manifest, said: HeldOutScores, temperature: float) -> float:
    scores = with_temperature(said.log_scores, temperature)
    return -float(np.log(scores[np.arange(len(scores)), manifest.labels[said.recordings]]).mean())


def test_weights_are_the_inverse_of_the_calibrated_validation_losses() -> None:
    manifest, embeddings = manifest_of(LABELS), two_extractors(1.5, 0.5)
    trained = [train_head(manifest, part, TRAIN, VALIDATION, QUICK) for part in embeddings.parts]
    temperatures = [calibrate(manifest, [one.validation]).temperature for one in trained]
    losses = [
        loss_of(manifest, one.validation, temperature)
        for one, temperature in zip(trained, temperatures, strict=True)
    ]
    joint = train_head(manifest, embeddings, TRAIN, VALIDATION, QUICK)
    assert isinstance(joint.head, JointHead)
    shares = 1 / (np.array(losses) + 0.01)
    assert shares[0] > 1.5 * shares[1], "nothing to tell them apart by"
    said = [ask(one.head, part, TEST) for one, part in zip(trained, embeddings.parts, strict=True)]
    expected = sum(
        share / shares.sum() / temperature * one.log_scores
        for share, temperature, one in zip(shares, temperatures, said, strict=True)
    )
    found = ask(joint.head, embeddings, TEST)
    np.testing.assert_array_equal(found.recordings, TEST)
    np.testing.assert_allclose(np.exp(found.log_scores), with_temperature(expected, 1.0), atol=1e-5)
    assert joint.epochs == max(one.epochs for one in trained)
    lengths = {name: len(curve) for name, curve in joint.curves.items()}
    longest = max(len(one.curves["loss"]) for one in trained)
    assert lengths == {"loss": longest, "validation_loss": longest}
    mean = np.mean([one.curves["loss"][0] for one in trained])
    assert joint.curves["loss"][0] == pytest.approx(mean)


def test_what_it_says_of_validation_recordings_is_what_its_heads_would_say_together() -> None:
    manifest, embeddings = manifest_of(LABELS), two_extractors()
    trained = []
    for part in embeddings.parts:
        fit = fit_head(examples(manifest, part, TRAIN), None, 3, QUICK)
        trained.append(TrainedHead(fit.head, ask(fit.head, part, VALIDATION), 25, fit.curves))
    joint = join_heads(manifest, embeddings, trained)
    said = ask(joint.head, embeddings, VALIDATION)
    np.testing.assert_array_equal(joint.validation.recordings, said.recordings)
    np.testing.assert_allclose(joint.validation.log_scores, said.log_scores, atol=1e-5)


def test_together_they_are_right_more_often() -> None:
    manifest, embeddings = manifest_of(LABELS), two_extractors(0.6, 0.6)
    splits = make_splits(manifest, SplitConfig("folds", validation_fraction=0.3))
    config = dataclasses.replace(QUICK, epochs=10)

    def right(of: Embeddings) -> float:
        results = evaluate(manifest, of, splits, config)
        hits = [
            manifest.labels[result.tested.recordings] == result.tested.log_scores.argmax(axis=1)
            for result in results
        ]
        return float(np.concatenate(hits).mean())

    assert right(embeddings) > max(right(part) for part in embeddings.parts)


def test_without_a_validation_part_all_weigh_the_same() -> None:
    manifest, embeddings = manifest_of(LABELS), two_extractors(2.0, 0.1)
    joint = train_head(manifest, embeddings, np.arange(48), (), QUICK)
    alone = [train_head(manifest, part, np.arange(48), (), QUICK) for part in embeddings.parts]
    said = [
        ask(one.head, part, TEST).log_scores
        for one, part in zip(alone, embeddings.parts, strict=True)
    ]
    found = ask(joint.head, embeddings, TEST).log_scores
    expected = with_temperature((said[0] + said[1]) / 2, 1.0)
    np.testing.assert_allclose(np.exp(found), expected, atol=1e-5)
    assert len(joint.validation.recordings) == 0


def test_tuning_takes_the_weight_decay_of_the_least_calibrated_validation_loss() -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, distance=0.8)
    # Only the configured one is out of the question.
    config = dataclasses.replace(QUICK, epochs=10, l2=3000.0)
    losses, heads = [], []
    for l2 in L2_GRID:
        variant = dataclasses.replace(config, l2=l2)
        one = train_head(manifest, embeddings, TRAIN, VALIDATION, variant)
        temperature = calibrate(manifest, [one.validation]).temperature
        losses.append(loss_of(manifest, one.validation, temperature))
        heads.append(weights_of(one.head))
    assert len({str(head) for head in heads}) == len(L2_GRID)
    tuned = train_head(
        manifest, embeddings, TRAIN, VALIDATION, dataclasses.replace(config, tune=True)
    )
    assert weights_of(tuned.head) == heads[int(np.argmin(losses))]


@pytest.mark.parametrize(("gain", "taken"), [(0.02, False), (-0.5, False), (0.3, True)])
def test_another_weight_decay_must_be_better_beyond_chance(gain: float, taken: bool) -> None:
    random = np.random.default_rng(0)
    losses = random.exponential(size=100)
    nothing = HeldOutScores(np.zeros(0, np.int64), np.zeros((0, 3), np.float32))

    def trial(l2: float, values: np.ndarray) -> train._Trial:
        fit = FittedHead(None, 1, {})  # type: ignore[arg-type]
        return train._Trial(HeadConfig(l2=l2), fit, nothing, values.astype("f4"))

    difference = random.normal(size=100)
    difference += gain - difference.mean()  # its standard error is about 0.1
    others = [trial(1.0, losses + 5), trial(2.0, losses - difference)]
    chosen = train._best(trial(10.0, losses), others)
    assert chosen.config.l2 == (2.0 if taken else 10.0)


def test_the_test_part_has_no_influence_on_tuning_or_weights() -> None:
    embeddings = two_extractors(1.0, 0.6)
    manifest = manifest_of(LABELS)
    config = dataclasses.replace(QUICK, epochs=3, tune=True)
    (split,) = make_splits(manifest, SplitConfig("folds"))[:1]
    labels = LABELS.copy()
    labels[split.test] = (labels[split.test] + 1) % 3
    spoilt = []
    for part in embeddings.parts:
        values = np.asarray(part.values).copy()
        values[np.isin(part.recording, split.test)] = np.nan
        spoilt.append(dataclasses.replace(part, values=values))
    (before,) = evaluate(manifest, embeddings, [split], config)
    (after,) = evaluate(manifest_of(labels), side_by_side(spoilt), [split], config)
    assert weights_of(before.head) == weights_of(after.head)
    known = embeddings.values[:][np.isin(embeddings.recording, split.train)]
    np.testing.assert_array_equal(before.head(known), after.head(known))
    assert before.calibration == after.calibration


def test_there_must_be_something_to_tune_by() -> None:
    config = HeadConfig(tune=True)
    with pytest.raises(UserError, match=r"--tune: .*--validation_fraction"):
        train_head(manifest_of(LABELS), embeddings_of(LABELS), TRAIN, (), config)


def test_a_head_that_is_always_right_silences_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, embeddings = manifest_of(LABELS), two_extractors(30.0, 1.0)
    weights = []

    def remember(head: object, columns: object, weight: float) -> object:
        weights.append(weight)
        return member(head, columns, weight)

    member = train.Member
    monkeypatch.setattr(train, "Member", remember)
    train_head(manifest, embeddings, TRAIN, VALIDATION, QUICK)
    assert sum(weights) == pytest.approx(1)
    assert 0.001 < weights[1] < 0.5 < weights[0]


def with_copies(embeddings: Embeddings, *values: float) -> Embeddings:
    """With a copy for each value, all of whose numbers it is: a window and a beginning more."""

    def copy(value: float) -> Embeddings:
        readable = np.unique(embeddings.recording)
        rows = np.full((2 * len(readable), embeddings.values.shape[1]), value, np.float32)
        owners = np.repeat(readable, 2)
        return Embeddings(rows, owners, rows[::2], owners[::2], {})

    return dataclasses.replace(embeddings, copies=tuple(copy(value) for value in values))


def test_a_recordings_windows_and_those_of_its_copies_share_its_weight() -> None:
    manifest, plain = manifest_of(LABELS), embeddings_of(LABELS, unreadable=(3,))
    readable = np.delete(np.arange(60, dtype=np.int32), 3)
    rows = np.zeros((59, plain.values.shape[1]), np.float32)
    begun = dataclasses.replace(plain, beginnings=rows, beginning_of=readable)
    some = np.array([0, 3, 7, 20])
    own = int(np.isin(plain.recording, some).sum())
    found = examples(manifest, with_copies(begun, 7.0, 8.0), some, augmented=True)
    assert len(found.labels) == (own + 2 * 2 * 3) + (3 + 2 * 3)
    np.testing.assert_allclose(
        np.bincount(found.labels, found.weights, minlength=3),
        np.bincount(LABELS[[0, 7, 20]], minlength=3),
        rtol=1e-5,
    )
    values, windows = found.embeddings[:], own + 12
    for value in (7.0, 8.0):
        assert (values[:windows] == value).all(axis=1).sum() == 6
        assert (values[windows:] == value).all(axis=1).sum() == 3
    assert found.weights[:windows].sum() == pytest.approx(0.7 * 3, rel=1e-5)
    without = examples(manifest, with_copies(begun, 7.0, 8.0), some)
    assert len(without.labels) == own + 3
    assert without.weights.sum() == pytest.approx(3, rel=1e-5)


def test_copies_are_learned_from_but_never_chosen_or_tested_by() -> None:
    manifest, embeddings = manifest_of(LABELS), embeddings_of(LABELS, 0.7)
    (split,) = make_splits(manifest, SplitConfig("folds"))[:1]
    config = dataclasses.replace(QUICK, epochs=8)
    held_out = np.union1d(split.validation, split.test)

    def copies(changed: np.ndarray) -> Embeddings:
        """One copy, as the recordings are, but for those that are changed."""
        values = np.asarray(embeddings.values).copy()
        values[np.isin(embeddings.recording, changed)] += 5.0
        return dataclasses.replace(
            embeddings, copies=(dataclasses.replace(embeddings, values=values),)
        )

    nothing, tested, validated, learned = (
        train_head(manifest, copies(side), split.train, split.validation, config)
        for side in (np.zeros(0, int), split.test, held_out, split.train)
    )
    assert weights_of(tested.head) == weights_of(nothing.head)
    assert weights_of(learned.head) != weights_of(nothing.head)
    # The final head learns from the validation part too; the one that it was chosen by does not.
    np.testing.assert_array_equal(validated.validation.log_scores, nothing.validation.log_scores)
    assert validated.epochs == nothing.epochs
    assert validated.curves == nothing.curves
    assert not np.array_equal(learned.validation.log_scores, nothing.validation.log_scores)


def test_a_windows_pieces_share_its_weight_and_are_learned_from_one_by_one() -> None:
    manifest, plain = manifest_of(LABELS), embeddings_of(LABELS)
    windows, size = plain.values.shape
    others = np.random.default_rng(1).normal(size=(windows, 2 * size)).astype(np.float32)
    values = np.concatenate([plain.values, others], axis=1)
    begun = np.zeros((60, 3 * size), np.float32)
    of_pieces = dataclasses.replace(
        plain,
        values=values,
        beginnings=begun,
        beginning_of=np.arange(60, dtype=np.int32),
        pieces=3,
    )
    some = np.array([0, 7, 20])
    own = np.isin(plain.recording, some)
    found = examples(manifest, of_pieces, some)
    assert found.pieces == 3 and len(found.embeddings) == 3 * (own.sum() + 3)
    expected = np.concatenate([values[own], begun[some]]).reshape(-1, size)
    np.testing.assert_array_equal(found.embeddings[:], expected)
    counted = np.bincount(found.labels, found.weights, minlength=3)
    np.testing.assert_allclose(counted, np.bincount(LABELS[some], minlength=3), rtol=1e-5)
    assert np.unique(found.weights[-9:]).tolist() == pytest.approx([0.1])


def test_heads_of_pieces_answer_beside_others() -> None:
    manifest = manifest_of(LABELS)
    one = embeddings_of(LABELS, 0.8)
    repeated = np.tile(np.asarray(one.values), 2)
    begun = np.zeros((0, repeated.shape[1]), np.float32)
    twice = dataclasses.replace(one, values=repeated, beginnings=begun, pieces=2)
    joint = train_head(manifest, side_by_side([one, twice]), TRAIN, VALIDATION, QUICK)
    alone = train_head(manifest, one, TRAIN, VALIDATION, QUICK)
    # The same numbers twice over, learned from with the same weight, say the same.
    found = ask(joint.head, side_by_side([one, twice]), TEST)
    temperature = calibrate(manifest, [alone.validation]).temperature
    expected = with_temperature(ask(alone.head, one, TEST).log_scores, temperature)
    np.testing.assert_allclose(np.exp(found.log_scores), expected, atol=0.01)
