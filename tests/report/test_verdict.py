"""What is said of made-up searches whose trouble is known."""

import json
from pathlib import Path

import pytest

from hpsearch.report.verdict import judge
from hpsearch.report.words import sentences, short
from hpsearch.run_directory.record import RunRecord
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
    results = [make_result(n, 0.5, metrics={"train_log_loss": 0.45, "dev_log_loss": 0.5}) for n in range(12)]
    record = RunRecord.of(study, data | {"constant": CONSTANT}, results)
    bigger = [text for one in judge(record, Path("x")).limit.advice for text in one.ranges]
    record.examinations[0] = {"linear": {"dev_log_loss": 0.49}}
    found = judge(record, Path("x"))
    ranges = [text for one in found.limit.advice for text in one.ranges]
    assert ranges[0] == "layers=0:2"
    assert not any(text.startswith("units=") for text in ranges)
    assert "layers=0:2" not in bigger
    assert any("linear model (layers 0) is at least as good" in line for _, lines in sentences(found) for line in lines)


def test_the_human_error_is_named_where_bias_may_be_noise(verdict_on):
    def told(found):
        return any("--human-error E" in line for _, lines in sentences(found) for line in lines)

    assert told(verdict_on([(0.5, 0.55)] * 12))
    assert not told(verdict_on([(0.5, 0.55)] * 12, human_error=0.1))
    assert not told(verdict_on([(0.05, 0.55)] * 12))
