"""Which networks vote: the greedy selection against a slow twin, and whether the gain is told honestly."""

import numpy as np
import pytest
from sklearn import metrics as sk

from hpsearch.data.parts import Part, empty_labels, empty_targets
from hpsearch.data.target import Target
from hpsearch.ensemble import FOLDS, choose, rows_to_choose_by

ROWS = 300
CLASSES = Target("kind", "classification", [0, 1, 2])
VALUES = Target("price", "regression", [], mean=50.0, sd=4.0)
LOSSES = {
    "log_loss": lambda y, p: sk.log_loss(y, p / p.sum(axis=1, keepdims=True), labels=[0, 1, 2]),
    "error": lambda y, p: 1 - sk.accuracy_score(y, p.argmax(axis=1)),
    "accuracy": lambda y, p: -sk.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: -sk.balanced_accuracy_score(y, p.argmax(axis=1)),
    "auc": lambda y, p: -sk.roc_auc_score(y, p / p.sum(axis=1, keepdims=True), multi_class="ovr", average="macro"),
}


def labelled(labels):
    return Part(np.zeros((len(labels), 1), np.float32), labels.astype(np.int32), empty_targets())


def valued(values):
    """A part whose targets are these values, standardised."""
    targets = ((np.asarray(values) - VALUES.mean) / VALUES.sd).astype(np.float32)[:, None]
    return Part(np.zeros((len(targets), 1), np.float32), empty_labels(), targets)


def networks(labels, strengths, seed=0):
    """Shares of classes that lean to the right one by so much, each with noise of its own."""
    chance = np.random.default_rng(seed)
    found = []
    for strength in strengths:
        logits = chance.normal(size=(len(labels), 3))
        logits[np.arange(len(labels)), labels] += strength
        shares = np.exp(logits)
        found.append((shares / shares.sum(axis=1, keepdims=True)).astype(np.float32))
    return found


def guesses(values, noises, seed=0):
    """Standardised values with noise of its own for each."""
    chance = np.random.default_rng(seed)
    standard = (values - VALUES.mean) / VALUES.sd
    return [(standard + chance.normal(scale=noise, size=len(values))).astype(np.float32)[:, None] for noise in noises]


@pytest.fixture
def labels():
    return np.random.default_rng(5).integers(0, 3, ROWS)


@pytest.fixture
def values():
    return np.random.default_rng(6).normal(50, 4, ROWS)


def greedy(outputs, known, loss, size):
    """Caruana's selection as it is told: try each candidate, take the best, and cut the sequence where it was best."""
    picks, course = [], []
    for _ in range(size):
        tries = [loss(known, np.mean([outputs[i] for i in [*picks, one]], axis=0)) for one in range(len(outputs))]
        picks.append(int(np.argmin(tries)))
        course.append(min(tries))
    return picks[: int(np.argmin(course)) + 1]


@pytest.mark.parametrize("metric", ["log_loss", "auc"])
def test_votes_of_classes_are_those_of_the_slow_twin(labels, metric):
    outputs = networks(labels, [1.0, 1.2, 0.3, 1.1, 0.8])
    found = choose(outputs, labelled(labels), CLASSES, metric, size=8, seed=0)
    wanted = greedy([one.astype(float) for one in outputs], labels, LOSSES[metric], 8)
    assert found.votes == {place: wanted.count(place) for place in sorted(set(wanted))}
    assert len(found.votes) > 1
    mean = np.mean([outputs[i] for i in wanted], axis=0)
    for name, loss in LOSSES.items():
        assert abs(found.scores[name]) == pytest.approx(abs(loss(labels, mean)), rel=1e-6), name


@pytest.mark.parametrize(("metric", "loss"), [("rmse", sk.root_mean_squared_error), ("mae", sk.mean_absolute_error)])
def test_votes_of_values_are_those_of_the_slow_twin(values, metric, loss):
    outputs = guesses(values, [0.5, 0.6, 2.0, 0.5])
    found = choose(outputs, valued(values), VALUES, metric, size=6, seed=0)
    wanted = greedy([VALUES.original(one)[:, 0] for one in outputs], values, loss, 6)
    assert found.votes == {place: wanted.count(place) for place in sorted(set(wanted))}
    mean = np.mean([VALUES.original(outputs[i])[:, 0] for i in wanted], axis=0)
    assert found.scores[metric] == pytest.approx(loss(values, mean), rel=1e-5), "in units of the target"


@pytest.mark.parametrize("metric", list(LOSSES))
def test_networks_that_err_on_different_rows_gain_together(labels, metric):
    found = choose(networks(labels, [1.0] * 6), labelled(labels), CLASSES, metric, size=10, seed=0)
    assert found.better
    assert found.gain > 0
    assert 0 < found.error < found.gain
    assert sum(found.votes.values()) <= 10


def test_values_gain_by_the_mean_of_independent_errors(values):
    """The error of a mean of n is smaller by the root of n; the gain is in units of the target."""
    found = choose(guesses(values, [0.5] * 9), valued(values), VALUES, "rmse", size=9, seed=0)
    assert found.better
    assert found.gain == pytest.approx(0.5 * VALUES.sd * (1 - 1 / 3), rel=0.15)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_one_network_again_and_again_gains_nothing(labels, metric):
    found = choose(networks(labels, [1.0]) * 5, labelled(labels), CLASSES, metric, size=10, seed=0)
    assert found.votes == {0: sum(found.votes.values())}
    assert (found.gain, found.error, found.better) == (0.0, 0.0, False)


def test_the_gain_is_without_the_luck_of_the_choice():
    """Copies of one network that differ by chance alone: what the best of them seem to gain is mostly luck."""
    chance = np.random.default_rng(3)
    seeming, told = [], []
    for seed in range(20):
        labels = chance.integers(0, 3, 60)
        logits = np.log(networks(labels, [2.0], seed)[0].astype(float))
        copies = [np.exp(logits + chance.normal(scale=0.2, size=(60, 3))) for _ in range(30)]
        outputs = [(one / one.sum(axis=1, keepdims=True)).astype(np.float32) for one in copies]
        found = choose(outputs, labelled(labels), CLASSES, "log_loss", size=10, seed=seed)
        seeming.append(LOSSES["log_loss"](labels, outputs[0].astype(float)) - found.scores["log_loss"])
        told.append(found.gain)
    assert np.mean(seeming) > 2 * abs(np.mean(told))


def test_the_same_seed_gives_the_same_choice_and_another_one_other_folds(labels):
    outputs, part = networks(labels, [1.0, 1.1, 0.9]), labelled(labels)
    first, again, other = (choose(outputs, part, CLASSES, "log_loss", size=5, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.votes == other.votes
    assert first.gain != other.gain


@pytest.mark.parametrize("rows", [1, 2, FOLDS - 1, 7])
@pytest.mark.parametrize("metric", ["log_loss", "auc", "balanced_accuracy"])
def test_a_handful_of_rows_is_enough_not_to_fail(rows, metric):
    labels = np.zeros(rows, int)
    found = choose(networks(labels, [0.5, 0.7]), labelled(labels), CLASSES, metric, size=3, seed=0)
    assert found.votes
    assert not (metric == "auc" and found.better), "the area is not defined for one class"


def test_it_can_be_stopped_before_each_vote(labels):
    from hpsearch.ensemble import AbandonedError

    asked = []
    with pytest.raises(AbandonedError):
        choose(
            networks(labels, [1.0, 1.1]), labelled(labels), CLASSES, "log_loss", size=5, seed=0,
            should_stop=lambda: asked.append(1) or len(asked) == 4,
        )  # fmt: skip
    assert len(asked) == 4


def test_ten_thousand_rows_are_enough_to_choose_by():
    few, many = rows_to_choose_by(7, 0), rows_to_choose_by(50_000, 3)
    assert few.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert len(set(many.tolist())) == len(many) == 10_000
    assert (np.diff(many) > 0).all()
    assert many.mean() == pytest.approx(25_000, rel=0.02)
