"""Training on train and dev together for a given number of epochs."""

from dataclasses import replace

import numpy as np
import pytest

from hpsearch.data.parts import Part
from hpsearch.engine.network import Network, Training
from hpsearch.seeds import Purpose, stream_key
from hpsearch.trial import Trial, TrialSettings, TrialState, run_trial

SETTINGS = TrialSettings(3, "log_loss")
CONFIG = {"hidden": [9], "epochs": 12, "batch_size": 16, "normalize": "standard", "learning_rate": 0.01}


def joined(data, normalize="standard"):
    """All rows of both parts by hand."""
    train, dev = (data.part(name, normalize) for name in ("train", "dev"))
    pairs = [(getattr(train, name), getattr(dev, name)) for name in ("inputs", "labels", "targets")]
    return Part(*(np.concatenate(pair) for pair in pairs))


def by_hand(data, config, epochs, repeat=0, until=None):
    """The weights that are judged after so many epochs of a whole training on all rows."""
    streams = (Purpose.INIT, Purpose.SHUFFLE, Purpose.DROPOUT, Purpose.AUGMENT)
    network = Network(
        config | {"epochs": until or config["epochs"], "patience": 0},
        n_inputs=data.n_inputs, n_outputs=3, task="classification", metric="log_loss",
        keys=[stream_key(3, 5, purpose, repeat) for purpose in streams],
    )  # fmt: skip
    training = Training(network, joined(data), data.part("dev", "standard"))
    while training.epochs < epochs:
        training.advance(until=epochs)
    return training.latest.copy()


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}, {"batch_norm": True, "ema": 0.5}, {"schedule": "cosine"}], ids=str)
@pytest.mark.parametrize("epochs", [1, 7, 12])
def test_it_is_a_training_on_all_rows_to_that_epoch(wine, more, epochs):
    result = run_trial(Trial(5, CONFIG | more, refit_epochs=epochs), wine, SETTINGS)
    assert (result.state, result.epochs, result.best_epoch) == (TrialState.COMPLETE, epochs, epochs)
    assert result.key == (5, 0, epochs)
    assert result.weights.tobytes() == by_hand(wine, CONFIG | more, epochs).tobytes()
    assert result.updates == epochs * -(-(wine.rows["train"] + wine.rows["dev"]) // 16)


def test_a_schedule_is_that_of_the_whole_training(wine):
    """A rate that falls to nothing by epoch 12 has hardly fallen at epoch 3."""
    config = CONFIG | {"schedule": "cosine"}
    result = run_trial(Trial(5, config, refit_epochs=3), wine, SETTINGS)
    assert result.weights.tobytes() != by_hand(wine, config, 3, until=3).tobytes()


def test_no_patience_ends_it_early_and_the_last_epoch_counts(wine):
    """A rate so large that the first epochs are the best."""
    config = CONFIG | {"patience": 1, "learning_rate": 0.3, "epochs": 40}
    assert run_trial(Trial(5, config), wine, SETTINGS).epochs < 20
    result = run_trial(Trial(5, config, refit_epochs=20), wine, SETTINGS)
    assert (result.state, result.epochs) == (TrialState.COMPLETE, 20)
    assert result.weights.tobytes() == by_hand(wine, config, 20).tobytes()


def test_each_repeat_has_its_own_random_numbers(wine):
    first, second = (run_trial(Trial(5, CONFIG, repeat=n, refit_epochs=4), wine, SETTINGS) for n in (0, 2))
    assert first.weights.tobytes() != second.weights.tobytes()
    assert second.weights.tobytes() == by_hand(wine, CONFIG, 4, repeat=2).tobytes()


def test_train_scores_are_of_all_rows(wine):
    result = run_trial(Trial(5, CONFIG, refit_epochs=6), wine, SETTINGS)
    network = Network(CONFIG, n_inputs=wine.n_inputs, n_outputs=3, task="classification", metric="log_loss")
    _, found = network.evaluate(result.weights, joined(wine))
    assert result.metrics["train_log_loss"] == found["log_loss"]


def test_one_that_diverges_says_so_and_has_no_weights(wine):
    config = CONFIG | {"learning_rate": 900.0, "optimizer": "sgd", "activation": "relu"}
    result = run_trial(Trial(5, config, refit_epochs=6), wine, SETTINGS)
    assert result.state is TrialState.FAIL
    assert result.error.startswith("diverged")
    assert result.weights is None


@pytest.mark.parametrize("executor", ["panda", "caviar"])
def test_it_is_the_same_in_a_worker(wine, shared_wine, executor):
    from hpsearch.executors.caviar import CaviarExecutor
    from hpsearch.executors.panda import PandaExecutor
    from hpsearch.trial import TrialResult

    settings = replace(SETTINGS, rungs=(2, 4))
    trials = [Trial(5, CONFIG, refit_epochs=6), Trial(5, CONFIG, repeat=1, refit_epochs=6), Trial(5, CONFIG)]
    expected = {trial.key: run_trial(trial, wine, settings).weights.tobytes() for trial in trials}
    make = {
        "panda": lambda: PandaExecutor(lambda _: wine, settings, lambda *_: None, lambda: False),
        "caviar": lambda: CaviarExecutor(shared_wine, settings, 2),
    }
    found = {}
    with make[executor]() as running:
        waiting = list(trials)
        while len(found) < len(trials):
            while waiting and running.capacity > len(trials) - len(waiting) - len(found):
                running.submit(waiting.pop())
            for item in running.wait(0.2):
                if isinstance(item, TrialResult):
                    found[item.key] = item.weights.tobytes()
                else:
                    assert item.number == 5, "only a trial's first training reports"
    assert found == expected
