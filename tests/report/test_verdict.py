"""What is said of made-up searches whose trouble is known."""

import json
from pathlib import Path

import pytest

from hpsearch.config import put_over
from hpsearch.report.verdict import judge
from hpsearch.report.words import sentences, short
from hpsearch.run_directory.record import RunRecord
from hpsearch.space_checks import check_space
from hpsearch.space_text import space_from_spec, spec_from_text
from hpsearch.trial import TrialState

CONSTANT = {"log_loss": 1.1, "accuracy": 0.4}


@pytest.fixture
def verdict_on(study_facts, make_result):
    """A function: the verdict on trials with (train, dev) losses; None is a trial that diverged."""

    def judged(losses, human_error=None, **more):
        study, data = study_facts
        results = []
        for number, pair in enumerate(losses):
            if pair is None:
                results.append(make_result(number, None))
                continue
            train, dev = pair
            metrics = {"train_log_loss": train, "dev_log_loss": dev, "train_accuracy": 1 - train / 2}
            metrics["dev_accuracy"] = 1 - dev / 2
            results.append(make_result(number, dev, metrics=metrics, parameters=1000 + number, **more))
        return judge(RunRecord.of(study, data | {"constant": CONSTANT}, results), Path("runs/x"), human_error)

    return judged


def test_nothing_is_said_where_no_trial_is_complete(verdict_on):
    assert verdict_on([None, None]) is None


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        ([(0.5, 0.55)] * 12, "high_bias"),
        ([(0.05, 0.55)] * 12, "high_variance"),
        ([(0.01, 0.02)] * 12, "ok"),
        ([(0.01, 0.02)] * 6 + [None] * 6, "diverged"),
    ],
)
def test_what_limits_a_search(verdict_on, losses, word):
    found = verdict_on(losses)
    assert found.limit.word == word
    assert found.limit.advice if word != "ok" else not found.limit.advice
    assert short(found.limit).startswith("what limits the best trials: ")


def test_only_the_best_trials_say_what_limits_them(verdict_on):
    found = verdict_on([(0.05, 0.3)] * 10 + [(0.9, 0.95)] * 20)
    assert found.limit.word == "high_variance"


def test_a_human_error_moves_the_verdict(verdict_on):
    losses = [(0.3, 0.4)] * 12
    assert verdict_on(losses).limit.word == "high_bias"
    found = verdict_on(losses, human_error=0.14)
    assert found.limit.word == "high_variance"
    assert "accuracy error: target 0.14, train 0.15, dev 0.2" in found.limit.because


def test_failures_are_counted_by_their_reason(verdict_on):
    found = verdict_on([(0.1, 0.2), None, (0.1, 0.3), None])
    assert found.failures == {"diverged": 2}
    assert found.counts == {"COMPLETE": 2, "FAIL": 2}
    assert any("2 of 4 trials failed: 2 diverged" in line for _, lines in sentences(found) for line in lines)


def test_of_equal_trials_the_cheaper_one_is_named(study_facts, make_result):
    results = [
        make_result(0, 0.2, parameters=9000, gflop=5.0),
        make_result(1, 0.2, parameters=500, gflop=1.0, seconds=0.1),
    ]
    results.append(make_result(2, 0.9, parameters=10, gflop=0.1))
    found = judge(RunRecord.of(*study_facts, results), Path("x"))
    assert [(one["trial"], one["parameters"]) for one in found.cheaper] == [(1, 500)]
    assert found.cheaper[0]["saves"] == {"parameters": pytest.approx(0.944, abs=1e-3), "gflop": 0.8, "seconds": 0.2}


def test_plain_data_hold_no_number_that_json_lacks(verdict_on):
    for losses in ([(0.1, 0.2)], [(0.1, 0.2 + 0.01 * i) for i in range(30)], [(0.1, 0.2)] * 3 + [None]):
        json.dumps(verdict_on(losses).to_dict(), allow_nan=False)


def test_a_name_with_spaces_is_quoted_in_the_command(study_facts, make_result):
    found = judge(RunRecord.of(*study_facts, [make_result(0, state=TrialState.COMPLETE)]), Path("my runs/a"))
    assert "'my runs/a/study.yaml'" in found.next


def test_where_a_linear_model_is_as_good_fewer_layers_come_first(study_facts, make_result):
    study, data = study_facts
    metrics, config = {"train_log_loss": 0.45, "dev_log_loss": 0.5}, {"learning_rate": 0.01, "layers": 2, "epochs": 9}
    results = [make_result(n, 0.5, metrics=metrics, config=config) for n in range(12)]
    record = RunRecord.of(study | {"space": config | {"layers": [1, 2]}}, data | {"constant": CONSTANT}, results)
    bigger = [text for one in judge(record, Path("x")).limit.advice for text in one.ranges]
    record.examinations[0] = {"linear": {"dev_log_loss": 0.49}}
    found = judge(record, Path("x"))
    ranges = [text for one in found.limit.advice for text in one.ranges]
    assert ranges[0] == "layers=0:2"
    assert "-p layers=0:2" in found.next
    assert not any(text.startswith("units=") for text in ranges)
    assert "layers=0:2" not in bigger
    assert any("linear model (layers 0) is at least as good" in line for _, lines in sentences(found) for line in lines)


def test_the_human_error_is_named_where_bias_may_be_noise(verdict_on):
    def told(found):
        return any("--human-error E" in line for _, lines in sentences(found) for line in lines)

    assert told(verdict_on([(0.5, 0.55)] * 12))
    assert not told(verdict_on([(0.5, 0.55)] * 12, human_error=0.1))
    assert not told(verdict_on([(0.05, 0.55)] * 12))


@pytest.mark.parametrize(
    ("space", "config", "wanted"),
    [
        ({"layers": [2, 4]}, {"layers": 4}, ["layers=0:4"]),
        ({"hidden": [[9], [8, 8]]}, {"hidden": [8, 8]}, []),
    ],
)
def test_fewer_layers_hold_those_of_the_winner_or_are_not_advised(study_facts, make_result, space, config, wanted):
    study, data = study_facts
    fixed = {"learning_rate": 0.01}
    results = [make_result(n, 0.5, config=fixed | config) for n in range(3)]
    record = RunRecord.of(study | {"space": fixed | space}, data | {"constant": CONSTANT}, results)
    record.examinations[0] = {"linear": {"dev_log_loss": 0.49}}
    advice = judge(record, Path("x")).limit.advice
    assert advice[0].text.startswith("a simpler model")
    assert [text for one in advice for text in one.ranges if text.startswith("layers")] == wanted


CONDITIONAL = {
    "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    "activation": ["relu", "tanh"],
    "init": {"values": ["he", "glorot"], "when": {"activation": "relu"}},
    "dropout": {"value": [0.1, 0.2, 0.3]},
    "layers": 3,
    "units": 32,
    "epochs": 20,
}


def test_what_is_advised_can_be_searched(study_facts, make_result):
    """No activation that a condition needs is lost, and no number of layers comes to a dropout of another number."""
    study, data = study_facts
    study["space"] = CONDITIONAL
    config = {"learning_rate": 0.01, "activation": "tanh", "dropout": [0.1, 0.2, 0.3], "layers": 3, "units": 32}
    metrics = {"train_log_loss": 0.9, "dev_log_loss": 0.95}
    results = [make_result(n, 0.95, metrics=metrics, config=config | {"epochs": 20}) for n in range(6)]
    found = judge(RunRecord.of(study, data | {"constant": CONSTANT}, results), Path("x"))
    assert found.limit.word == "high_bias"
    names = [text.partition("=")[0] for text in found.ranges]
    assert "units" in names
    assert not {"layers", "activation"} & set(names)
    spec = put_over(CONDITIONAL, dict(spec_from_text(text) for text in found.ranges))
    check_space(space_from_spec(spec), task="classification")


def test_a_goal_that_was_reached_is_not_that_of_the_next_search(study_facts, make_result):
    record = RunRecord.of(*study_facts, [make_result(0, state=TrialState.COMPLETE)])
    assert "goal" not in judge(record, Path("x")).next
    record.end = {"reason": "goal", "counted": 1}
    assert judge(record, Path("x")).next.endswith("--set goal=null")


def test_a_test_of_learning_rates_says_nothing_of_what_mattered(study_facts, make_result):
    study, data = study_facts
    rate = {"low": 1e-4, "high": 1.0, "log": True}
    study["space"] = {"learning_rate": rate, "schedule": ["constant", "cosine", "rising"]}

    def trial(number, score, rate, schedule, **more):
        return make_result(number, score, config={"learning_rate": rate, "schedule": schedule}, **more)

    usual = [trial(n, 0.5 + 0.3 * (n % 2), 0.001 * (1 + n), ["constant", "cosine"][n % 2]) for n in range(24)]
    tested = trial(24, 9.0, 1.0, "rising", state=TrialState.PRUNED)
    without = judge(RunRecord.of(study, data, usual), Path("x")).importance
    with_it = judge(RunRecord.of(study, data, [*usual, tested]), Path("x")).importance
    assert without is not None
    assert without == with_it
