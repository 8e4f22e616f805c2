"""The law of executors: each trial comes back once, and nobody can tell from a result where it was run."""

import multiprocessing
import resource

import pytest
from executors.driving import ENDLESS, LONG, SHORT, by_number, gather, until

from hpsearch.trial import Trial, TrialState


def test_the_sample_has_every_kind_of_end(expected):
    states = [found[2] for found in expected.values()]
    assert states.count(TrialState.FAIL) == 1
    assert states.count(TrialState.COMPLETE) == len(SHORT) - 1
    assert expected[5][7] < 400, "stopped early"


@pytest.mark.parametrize("order", [1, -1])
def test_every_trial_comes_back_once_with_the_same_bits(executor_kind, expected, order):
    with executor_kind() as executor:
        assert by_number(gather(executor, SHORT[::order])) == expected


def test_a_trial_depends_on_its_number_and_the_seed_alone(executor_kind, expected):
    with executor_kind() as executor:
        (again,) = gather(executor, SHORT[4:5])
        (other_number,) = gather(executor, [Trial(99, SHORT[4].config)])
    with executor_kind(seed=4) as executor:
        (other_seed,) = gather(executor, SHORT[4:5])
    weights = expected[4][-1]
    assert by_number([again])[4][-1] == weights
    assert other_number.weights.tobytes() != weights[1]
    assert other_seed.weights.tobytes() != weights[1]


def test_a_result_tells_when_and_where_it_was_made(executor_kind):
    with executor_kind() as executor:
        results = gather(executor, SHORT)
        assert all(result.started > 1e9 for result in results)
        assert all(result.seconds > 0 for result in results)
        assert {result.worker for result in results} <= set(range(executor.slots))


def test_a_trial_over_its_time_fails_and_the_next_one_runs(executor_kind, expected):
    with executor_kind(trial_timeout=0.6) as executor:
        results = gather(executor, [Trial(100, ENDLESS), *SHORT[:3]])
        found = {result.number: result for result in results}
        late = found.pop(100)
        assert late.state is TrialState.FAIL
        assert late.error == "timeout: longer than 0.6 s"
        assert late.metrics == {}
        assert late.weights is None
        assert late.epochs > 0
        assert by_number(found.values()) == {number: expected[number] for number in range(3)}


def test_a_network_too_large_for_the_memory_fails(executor_kind, expected):
    huge = {"layers": 64, "units": 16384, "epochs": 1}  # 67 GB
    with executor_kind() as executor:
        results = {result.number: result for result in gather(executor, [Trial(100, huge), SHORT[0]])}
    assert results[100].state is TrialState.FAIL
    assert results[100].error.startswith("memory: ")
    assert by_number([results[0]])[0] == expected[0]


def test_a_trial_over_its_memory_fails_and_the_next_one_runs(executor_kind, expected):
    large = {"layers": 2, "units": 4096, "epochs": 1}  # 17 million parameters of 4 bytes, each several times
    with executor_kind(trial_memory=100_000_000) as executor:
        found = {result.number: result for result in gather(executor, [Trial(100, large), *SHORT[:3]])}
    late = found.pop(100)
    assert late.state is TrialState.FAIL
    assert late.error == f"memory: no room in 0.1 GB for {late.parameters} parameters"
    assert by_number(found.values()) == {number: expected[number] for number in range(3)}


def test_the_limit_of_memory_ends_with_the_trial(panda):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    gather(panda(trial_memory=100_000_000), SHORT[:1])
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_leaving_ends_what_still_runs(executor_kind):
    with executor_kind() as executor:
        if executor.slots > 1 or hasattr(executor, "_workers"):
            executor.submit(Trial(0, ENDLESS))
    executor.close()  # once more does no harm
    assert multiprocessing.active_children() == []


# --- Panda alone ---


def test_panda_shows_every_trial_after_each_slice(panda):
    seen = []
    executor = panda(watch=lambda trial, training: seen.append((trial.number, training.epochs)))
    gather(executor, [SHORT[0], Trial(7, LONG)])
    assert seen == sorted(seen)
    assert (0, 6) in seen
    assert seen[-1] == (7, LONG["epochs"])
    assert sum(number == 7 for number, _ in seen) > 2


def test_panda_abandons_a_trial_when_the_run_is_to_end(panda, expected):
    answers = iter([False, False, True])
    executor = panda(should_stop=lambda: next(answers, False))
    executor.submit(Trial(0, ENDLESS))
    assert executor.wait(0.1) == []
    assert by_number(gather(executor, SHORT[:1])) == {0: expected[0]}


def test_what_a_watcher_raises_passes_through(panda):
    def watch(trial, training):
        raise ZeroDivisionError

    executor = panda(watch=watch)
    executor.submit(SHORT[0])
    with pytest.raises(ZeroDivisionError):
        executor.wait(0.1)


def test_what_is_abandoned_never_comes_back(executor_kind, expected):
    with executor_kind() as executor:
        for number in range(min(2, executor.slots)):
            executor.submit(Trial(100 + number, LONG))
        executor.abandon()
        assert by_number(gather(executor, SHORT)) == expected


def test_running_trials_are_abandoned_at_once(caviar, expected):
    executor = caviar(2)
    for number in range(2):
        executor.submit(Trial(100 + number, ENDLESS))
    until(lambda: executor.wait(0.01) == [] and all(worker.ready for worker in executor._workers))
    before = [worker.process.pid for worker in executor._workers]
    executor.abandon()
    assert by_number(gather(executor, SHORT)) == expected
    assert not {*before} & {worker.process.pid for worker in executor._workers}
