"""A trial that is stopped on its way, and one that ran on and is cut short afterwards, are told of alike."""

import math
import struct
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from hpsearch.data.parts import Part, empty_labels, empty_targets
from hpsearch.executors.worker import _RungReporter
from hpsearch.run_directory.journal import encode, parse
from hpsearch.run_directory.record import events_of, result_of
from hpsearch.trial import Trial, TrialSettings, TrialState, cut_short, run_trial, score

RUNGS = (4, 8, 16)
MAY_DIFFER = ("seconds", "started", "worker", "weights")
SMALL = {"layers": 1, "units": 8, "batch_size": 16}
RISING = {"optimizer": "sgd", "activation": "identity", "layers": 2, "units": 8, "warmup": 400, "patience": 0}
# name: data, metric, hyperparameters, epochs of the whole trial
CASES = {
    "log_loss": ("wine", "log_loss", SMALL | {"epochs": 20, "patience": 0}, 20),
    "log_loss, patience": ("wine", "log_loss", SMALL | {"epochs": 60, "learning_rate": 0.01, "patience": 3}, 18),
    "log_loss, dropout": ("wine", "log_loss", SMALL | {"epochs": 70, "dropout": 0.3, "patience": 0}, 70),
    "accuracy": ("wine", "accuracy", SMALL | {"epochs": 20, "learning_rate": 0.003, "patience": 0}, 20),
    "accuracy, patience": ("wine", "accuracy", SMALL | {"epochs": 60, "learning_rate": 0.01, "patience": 3}, 10),
    "balanced_accuracy": ("wine", "balanced_accuracy", SMALL | {"epochs": 12, "normalize": "standard"}, 12),
    "auc": ("wine", "auc", SMALL | {"epochs": 20, "patience": 0}, 20),
    "auc, patience": ("wine", "auc", SMALL | {"epochs": 60, "learning_rate": 0.01, "patience": 3}, 15),
    "rmse": ("line", "rmse", SMALL | {"epochs": 20, "patience": 0}, 20),
    "rmse, patience": ("line", "rmse", SMALL | {"epochs": 200, "learning_rate": 0.1, "patience": 5}, None),
    "mae": ("line", "mae", SMALL | {"epochs": 17, "patience": 0}, 17),
    "r2": ("line", "r2", SMALL | {"epochs": 17, "patience": 0}, 17),
    "diverges later": ("wine", "log_loss", RISING | {"epochs": 20, "batch_size": 32, "learning_rate": 100}, 9),
    "diverges at last": ("wine", "auc", RISING | {"epochs": 20, "batch_size": 16, "learning_rate": 100}, 10),
    "ends at a rung": ("wine", "log_loss", SMALL | {"epochs": 16, "patience": 0}, 16),
}


def exact(result):
    """All of a result that must not depend on where it was stopped, every float as its bits."""

    def bits(value):
        if isinstance(value, float):
            return struct.pack("<d", value)
        if isinstance(value, dict):
            return {name: bits(one) for name, one in value.items()}
        return [bits(one) for one in value] if isinstance(value, list | tuple) else value

    fields = {name: value for name, value in vars(result).items() if name not in MAY_DIFFER}
    return {name: bits(value) for name, value in fields.items()}


@pytest.fixture(scope="module")
def data(wine, line_data):
    return {"wine": wine, "line": line_data}


def run(data, name, limits=(), rungs=RUNGS, watch=None):
    source, metric, config, _ = CASES[name]
    settings = TrialSettings(0, metric, rungs=tuple(rungs))
    return run_trial(Trial(0, config, tuple(limits)), data[source], settings, watch)


@pytest.fixture(scope="module")
def whole(data):
    """Every trial as it goes when nothing stops it."""
    return {name: run(data, name) for name in CASES}


def stop_at(epoch, rungs=RUNGS):
    """Limits of all rungs, of which this one alone stops a trial."""
    return [(rung, -math.inf if rung == epoch else math.inf) for rung in rungs]


def test_the_sample_has_every_kind_of_end(whole):
    for name, (*_, epochs) in CASES.items():
        assert whole[name].epochs == epochs or epochs is None, name
    states = [result.state for result in whole.values()]
    assert states.count(TrialState.FAIL) == 2
    assert states.count(TrialState.COMPLETE) == len(CASES) - 2
    assert 16 < whole["rmse, patience"].epochs < 200


@pytest.mark.parametrize("name", CASES)
def test_a_trial_stops_exactly_where_it_is_told_to(data, whole, name):
    ran_on = whole[name]
    for rung in RUNGS[: ran_on.rungs_gone_past(RUNGS)]:
        found = run(data, name, stop_at(rung))
        assert found.state is TrialState.PRUNED
        assert (found.epochs, found.updates) == (rung, rung * ran_on.epoch_updates)
        assert (found.error, found.metrics, found.best_epoch, found.weights) == ("", {}, None, None)
        curves = {curve: values[:rung] for curve, values in ran_on.curves.items()}
        assert exact(replace(ran_on, curves=curves))["curves"] == exact(found)["curves"]
        assert found.health["epochs"] == [epoch for epoch in ran_on.health["epochs"] if epoch <= rung]
        told = cut_short(ran_on, RUNGS.index(rung), RUNGS, CASES[name][1])
        assert exact(replace(told, metrics={}, best_epoch=None)) == exact(found)
        assert found.rungs_gone_past(RUNGS) == RUNGS.index(rung) + 1


@pytest.mark.parametrize("name", CASES)
def test_cut_short_afterwards_is_cut_short_at_once(data, whole, name):
    metric = CASES[name][1]
    gone_past = whole[name].rungs_gone_past(RUNGS)
    assert gone_past > 0
    others = [run(data, name, stop_at(rung)) for rung in RUNGS[:gone_past]]
    for place in range(gone_past):
        wanted = exact(cut_short(whole[name], place, RUNGS, metric))
        for other in others[place:]:
            assert exact(cut_short(other, place, RUNGS, metric)) == wanted
        again = cut_short(cut_short(whole[name], gone_past - 1, RUNGS, metric), place, RUNGS, metric)
        assert exact(again) == wanted


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_of_a_trial_that_was_cut_short(whole, name):
    result, metric = whole[name], CASES[name][1]
    maximize = metric in ("accuracy", "balanced_accuracy", "auc", "r2")
    for place in range(result.rungs_gone_past(RUNGS)):
        epochs = RUNGS[place]
        found = cut_short(result, place, RUNGS, metric)
        values = result.curves["dev_metric"][:epochs]
        best = max(values) if maximize else min(values)
        assert found.state is TrialState.PRUNED
        assert found.epochs == epochs
        assert found.metrics[f"dev_{metric}"] == best
        assert found.best_epoch == values.index(best) + 1
        assert found.metrics[f"train_{metric}"] == result.curves["train_metric"][found.best_epoch - 1]
        assert score(found, metric, maximize) == pytest.approx(result.reports[place], rel=1e-6)
        assert found.gflop == pytest.approx(result.gflop * epochs / result.epochs, rel=1e-6)
        assert found.reports == [*result.reports[: place + 1], *[math.inf] * (len(RUNGS) - place - 1)]
        assert found.weights is None
        assert found.error == ""
        assert len({len(column) for column in found.health.values()}) == 1
        assert result.curves["dev_metric"][:epochs] == found.curves["dev_metric"]


@pytest.mark.parametrize("name", CASES)
def test_a_trial_within_its_limits_is_the_trial_without_any(data, whole, name):
    """Limits that are just met stop nothing, and pausing at them changes no bit, not even of the weights."""
    found = run(data, name, zip(RUNGS, whole[name].reports, strict=True))
    assert exact(found) == exact(whole[name])
    if found.weights is not None:
        assert found.weights.tobytes() == whole[name].weights.tobytes()
    best = whole[name].reports[0]
    assert run(data, name, [(4, np.nextafter(best, -math.inf))]).state is TrialState.PRUNED


@pytest.mark.parametrize("name", CASES)
def test_reports_are_the_best_scores_so_far(whole, name):
    result, metric = whole[name], CASES[name][1]
    sign = -1.0 if metric in ("accuracy", "balanced_accuracy", "auc", "r2") else 1.0
    scores = [sign * value for value in result.curves["dev_metric"]]
    behind = math.inf if result.state is TrialState.FAIL else min(scores)
    wanted = [min(scores[:rung]) if rung <= len(scores) else behind for rung in RUNGS]
    assert result.reports == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_worker_reports_each_rung_that_is_gone_past_and_what_the_result_says_of_it(data, whole, name):
    source, metric, _, _ = CASES[name]
    sent = []
    pipe = SimpleNamespace(send=sent.append)
    settings = TrialSettings(0, metric, rungs=RUNGS)
    reporter = _RungReporter(pipe, data[source].target_sd, settings)
    result = run(data, name, [(rung, math.inf) for rung in RUNGS], watch=reporter)
    assert {kind for kind, _ in sent} == {"report"}
    assert {report.number for _, report in sent} == {0}
    reports = [(report.rung, report.score) for _, report in sent]
    assert reports == list(enumerate(whole[name].reports))[: result.rungs_gone_past(RUNGS)]


def every_epoch(result):
    return range(1, result.epochs + 2)


@pytest.mark.parametrize(
    "name",
    [
        "log_loss, patience",
        "rmse",
        "ends at a rung",
        "diverges later",
        "diverges at last",
    ],
)
def test_a_rung_counts_as_gone_past_where_a_trial_can_be_stopped(data, whole, name):
    for epoch in every_epoch(whole[name])[-4:]:
        stopped = run(data, name, [(epoch, -math.inf)], rungs=[epoch]).state is TrialState.PRUNED
        assert whole[name].rungs_gone_past([epoch]) == stopped, epoch


def test_a_trial_that_diverges_in_the_first_update_behind_a_rung_can_be_stopped_there(wine):
    config = RISING | {"epochs": 20, "batch_size": "full", "learning_rate": 1000}
    settings = TrialSettings(0, "log_loss", rungs=RUNGS)
    ran_on = run_trial(Trial(0, config), wine, settings)
    stopped = run_trial(Trial(0, config, ((4, -math.inf),)), wine, settings)
    assert (ran_on.state, ran_on.epochs) == (TrialState.FAIL, 4)
    assert (stopped.state, stopped.epochs) == (TrialState.PRUNED, 4)
    assert ran_on.rungs_gone_past(RUNGS) == stopped.rungs_gone_past(RUNGS)


def made_up(inputs, labels=None, targets=None):
    """Data of which train and dev are given as pairs."""
    none = (empty_labels(), empty_labels()), (empty_targets(), empty_targets())
    labels, targets = (found or other for found, other in zip((labels, targets), none, strict=True))
    parts = {name: Part(inputs[i], labels[i], targets[i]) for i, name in enumerate(("train", "dev"))}
    task, outputs = ("regression", 1) if len(targets[0]) else ("classification", 2)
    facts = {"task": task, "target_sd": 3.0, "n_inputs": inputs[0].shape[1], "n_outputs": outputs, "image_shape": None}
    return SimpleNamespace(**facts, part=lambda name, normalize: parts[name])


def random_inputs(rows):
    return np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)


def test_a_trial_that_diverges_on_dev_at_a_rung_has_ended_there():
    inputs = random_inputs(20), random_inputs(5)
    inputs[1][:] = 3e38
    data = made_up(inputs, targets=(inputs[0][:, :1].copy(), np.zeros((5, 1), np.float32)))
    settings = TrialSettings(0, "rmse", rungs=(1,))
    config = {"layers": 1, "units": 4, "activation": "identity", "epochs": 3}
    results = [run_trial(Trial(0, config, limits), data, settings) for limits in ((), ((1, -math.inf),))]
    assert [(result.state, result.epochs, result.rungs_gone_past((1,))) for result in results] == [
        (TrialState.FAIL, 1, 0)
    ] * 2
    assert exact(results[0]) == exact(results[1])


def journalled(result):
    return result_of(parse(0, encode(0, events_of(result)[1])[:-1]).event())


def test_the_journal_keeps_what_is_told_of_a_trial_that_was_cut_short(whole):
    for name, (_, metric, _, _) in CASES.items():
        found = cut_short(whole[name], 0, RUNGS, metric)
        again = journalled(found)
        assert again.reports == found.reports
        assert asdict(again)["metrics"] == found.metrics
        assert (again.state, again.epochs, again.best_epoch) == (found.state, found.epochs, found.best_epoch)


@pytest.mark.parametrize("part", ["dev", "train"])
def test_a_trial_without_any_score_can_be_cut_short_and_noted(part):
    """The AUC of a part with one class alone is undefined; with a constant's 0.5 as limit such a trial is stopped."""
    labels = {"dev": np.zeros(6, np.int32), "train": np.zeros(20, np.int32)}
    labels["train" if part == "dev" else "dev"][::2] = 1
    data = made_up((random_inputs(20), random_inputs(6)), labels=(labels["train"], labels["dev"]))
    settings = TrialSettings(0, "auc", rungs=(2,))
    config = {"layers": 1, "units": 4, "epochs": 3, "patience": 0}
    for limits in ((), ((2, -2.0),)):
        result = run_trial(Trial(0, config, limits), data, settings)
        assert result.rungs_gone_past((2,)) == 1
        found = cut_short(result, 0, (2,), "auc")
        again = journalled(found)
        assert all(map(math.isfinite, again.metrics.values()))
        assert again.metrics == found.metrics
        assert (score(again, "auc", maximize=True) == math.inf) == (part == "dev")
