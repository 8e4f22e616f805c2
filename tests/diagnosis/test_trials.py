"""Constructed trials, each of which must get its own word; and real ones that went wrong on purpose."""

import math

import numpy as np
import pytest

from hpsearch.diagnosis.bias import Yardstick, bias_and_variance
from hpsearch.diagnosis.trials import DIAGNOSES, diagnose
from hpsearch.trial import TrialResult, TrialState

EPOCHS = 40
CONSTANT = Yardstick("log_loss", {"log_loss": 1.0, "accuracy": 0.5})


def falling(start, end, epochs=EPOCHS):
    """A learning curve that is at its end after a third of the epochs, to within a twentieth."""
    return (end + (start - end) * np.exp(-9 * np.arange(epochs) / epochs)).tolist()


class Case:
    """A trial that went well, but for what is said."""

    def __init__(self, *, train=0.02, dev=0.04, losses=None, devs=None, state=TrialState.COMPLETE, error="", **more):
        self.losses = falling(1.0, train) if losses is None else losses
        self.devs = falling(1.0, dev) if devs is None else devs
        self.best = int(np.argmin(self.devs)) + 1
        self.health = {"epochs": [1, 20], "grad_norm": [[0.5, 0.6, 1.0]] * 2, "stuck": [[0.1, 0.2, 0.0]] * 2} | more
        metrics = {"train_log_loss": self.losses[self.best - 1], "dev_log_loss": self.devs[self.best - 1]}
        metrics |= {"train_accuracy": 1 - train, "dev_accuracy": 1 - dev}
        self.result = TrialResult(
            3, {}, state, metrics if state is not TrialState.FAIL else {}, self.best, len(self.devs), error=error
        )

    def curves(self):
        return {
            "train_loss": self.losses,
            "dev_loss": self.devs,
            "train_metric": self.losses,
            "dev_metric": self.devs,
        }

    def diagnosis(self, yardstick=CONSTANT, allowed=EPOCHS):
        return diagnose(self.result, self.curves(), self.health, yardstick, allowed)


def early_best():
    return [1.0, 0.5, 0.3, *np.linspace(0.31, 0.6, EPOCHS - 3)]


CASES = {
    "ok": Case(),
    "diverged": Case(state=TrialState.FAIL, error="diverged: hidden layer 1 overflowed or exploded after update 7"),
    "vanishing": Case(train=0.9, dev=0.9, grad_norm=[[1e-5, 0.01, 1.0]] * 2),
    "dead_units": Case(train=0.3, dev=0.35, stuck=[[0.0, 0.1, 0.0], [0.1, 0.9, 0.0]]),
    "unstable": Case(train=0.3, dev=0.35, losses=[1.0, 0.5, 0.9, 0.4, 0.8] * 8),
    "plateau": Case(losses=[1.0, *[0.8] * (EPOCHS - 1)], devs=falling(1.0, 0.82)),
    "still_improving": Case(losses=np.linspace(1, 0.2, EPOCHS).tolist(), devs=np.linspace(1, 0.3, EPOCHS).tolist()),
    "early_peak": Case(train=0.01, devs=early_best()),
    "high_variance": Case(train=0.02, dev=0.3),
    "high_bias": Case(train=0.3, dev=0.35),
}


@pytest.mark.parametrize("word", DIAGNOSES)
def test_each_case_gets_its_word(word):
    assert CASES[word].diagnosis() == word


def test_every_word_has_a_case():
    assert set(CASES) == set(DIAGNOSES)


@pytest.mark.parametrize("word", DIAGNOSES[1:])
@pytest.mark.parametrize("scale", [0.1, 30.0])
def test_the_scale_of_the_score_does_not_matter(word, scale):
    """Values of a target in other units: their losses are standardised, their scores are not."""
    case = CASES[word]
    curves = case.curves() | {
        name: [value * scale for value in case.curves()[name]] for name in ("train_metric", "dev_metric")
    }
    metrics = {
        "train_rmse": case.result.metrics["train_log_loss"] * scale,
        "dev_rmse": case.result.metrics["dev_log_loss"] * scale,
    }
    result = TrialResult(3, {}, TrialState.COMPLETE, metrics, case.result.best_epoch, case.result.epochs)
    assert diagnose(result, curves, case.health, Yardstick("rmse", {"rmse": scale}), EPOCHS) == word


def test_more_is_better_for_some_metrics():
    case = CASES["high_variance"]
    curves = case.curves() | {
        "train_metric": [1 - value for value in case.losses],
        "dev_metric": [1 - value for value in case.devs],
    }
    metrics = {"train_accuracy": 1 - case.losses[-1], "dev_accuracy": 1 - min(case.devs)}
    result = TrialResult(3, {}, TrialState.COMPLETE, metrics, case.best, EPOCHS)
    assert diagnose(result, curves, case.health, Yardstick("accuracy", {"accuracy": 0.0}), EPOCHS) == "high_variance"


def test_the_human_error_decides_what_bias_is_avoidable():
    case = Case(train=0.3, dev=0.35)
    assert case.diagnosis() == "high_bias"
    assert case.diagnosis(Yardstick("log_loss", CONSTANT.constant, human_error=0.29)) == "high_variance"
    assert case.diagnosis(Yardstick("log_loss", CONSTANT.constant, human_error=0.2)) == "high_bias"
    split = bias_and_variance(case.result, case.curves(), Yardstick("log_loss", CONSTANT.constant, human_error=0.2))
    assert (split.train, split.dev) == pytest.approx((0.3, 0.35)), "shares of wrong rows"
    assert (split.avoidable_bias, split.variance, split.worth) == pytest.approx((0.1, 0.05, 0.3))


def test_what_early_stopping_left_unlearned_is_not_bias():
    """At its best epoch the network does not fit train, but it went on and did: it is large enough."""
    losses, devs = np.linspace(1, 0, EPOCHS).tolist(), [*np.linspace(1, 0.6, 20), *np.linspace(0.61, 0.9, 20)]
    case = Case(losses=losses, devs=devs)
    split = bias_and_variance(case.result, case.curves(), CONSTANT)
    assert split.train > 0.4
    assert split.fitted == 0
    assert case.diagnosis() == "high_variance"


def test_a_pruned_trial_has_a_word_and_one_that_failed_otherwise_has_none():
    assert Case(train=0.3, dev=0.35, state=TrialState.PRUNED).diagnosis() == "high_bias"
    assert Case(state=TrialState.FAIL, error="timeout: longer than 1 s").diagnosis() == ""


def test_little_known_is_said_to_be_nothing():
    assert Case(train=0.3, dev=0.35).diagnosis(Yardstick("log_loss", {})) == ""
    nothing = diagnose(CASES["ok"].result, {}, {}, CONSTANT, EPOCHS)
    assert nothing in ("ok", "high_variance", "high_bias")


def test_holes_in_curves_are_looked_over():
    case = Case(train=0.3, dev=0.35)
    case.losses[5] = case.devs[7] = None
    case.losses[6] = math.nan
    assert case.diagnosis() == "high_bias"


def test_a_network_that_never_learned_anything_is_not_unstable():
    """Its loss trembles around that of a constant prediction."""
    chance = np.random.default_rng(0)
    losses = (1.0 + 0.001 * chance.normal(size=EPOCHS)).tolist()
    assert Case(losses=losses, devs=losses).diagnosis() == "plateau"


def test_values_that_are_no_better_than_their_mean_were_not_learned():
    """Its squared loss is 1/2 of the variance, so what fell to that from higher up has learned nothing."""
    losses = [0.9, 0.65, 0.52, 0.5, 0.63, 0.5, 0.64, *[0.5] * (EPOCHS - 7)]
    case = Case(losses=losses, devs=losses)
    case.result.metrics |= {"train_rmse": 1.0, "dev_rmse": 1.0}
    assert case.diagnosis(Yardstick("rmse", {"rmse": 1.0})) == "high_bias"
