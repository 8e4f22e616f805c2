"""The panda's mind, on made-up models: what it does in which order, what it keeps, and what it never does."""

import math

import numpy as np
import pytest

from hpsearch.config import default_configuration, panda_space
from hpsearch.diagnosis.trials import DIAGNOSES
from hpsearch.space_text import space_from_spec
from hpsearch.strategies.babysitter import EVERYTHING, ORDER, Babysitter, Move, moved, suggested_rate
from hpsearch.strategies.base import Course

ROWS = 4000
SPEC = panda_space(ROWS) | {"epochs": 60, "ema": "auto"}
CALM = {name: spec for name, spec in SPEC.items() if name != "schedule"}  # without a range test
RISING = {
    "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1],
    "train_loss": [1.0, 0.5, 0.2, 9.0],
    "dev_loss": [1.0, 0.6, 0.4, 9.0],
}


def babysitter(spec=SPEC):
    return Babysitter(space_from_spec(spec), 0, default_configuration(ROWS))


def live(panda, score, trials, word=lambda _: "high_variance", start=0):
    """Let it do so many trials, whose scores are score(config, number); the configurations."""
    configs = []
    for number in range(start, start + trials):
        config = panda.ask(number)
        configs.append(config)
        panda.tell(number, config, score(config, number))
        panda.see(number, Course(word(config), RISING))
    panda.prepare(start + trials)
    return configs


def bowl(config, _):
    """Best at learning rate 0.01, l2 0.1, 512 units and tanh."""
    distances = (
        math.log10(config["learning_rate"] / 0.01), math.log10(config["l2"] / 0.1) / 2,
        math.log2(config["units"] / 512) / 2, 0.3 * (config["activation"] != "tanh"), config["dropout"],
    )  # fmt: skip
    return 0.3 + 0.1 * sum(distance**2 for distance in distances)


def test_it_starts_with_the_default_and_learns_the_noise_and_the_range():
    panda = babysitter()
    first, again, test = live(panda, bowl, 3)
    assert first == again
    assert first == panda.space.nearest(default_configuration(ROWS))
    assert (test["schedule"], test["learning_rate"], test["epochs"], test["patience"]) == ("rising", 0.3, 15, 0)
    assert panda.step(3).changed == {"learning_rate": (0.001, 0.0033)}
    assert [line["kind"] for line in panda.ledger] == ["start", "again", "range"]


def test_it_improves_step_by_step():
    panda = babysitter()
    configs = live(panda, bowl, 40)
    kept = [line["hyperparameters"] for line in panda.ledger if line["outcome"] == "kept"]
    assert bowl(kept[-1], 0) < 0.5 * (bowl(configs[0], 0) - 0.3) + 0.3
    values = [bowl(config, 0) for config in kept]
    assert values == sorted(values, reverse=True)


def test_one_thing_is_changed_at_a_time():
    panda = babysitter()
    live(panda, bowl, 40)
    assert all(len(line["changed"]) == 1 for line in panda.ledger if line["kind"] in ("change", "confirm"))


def test_what_helps_is_kept_only_when_it_helps_twice():
    panda = babysitter(CALM)
    lucky = live(panda, lambda _, number: [1.0, 1.1, 0.2, 1.1, 2.0][number], 5)
    assert lucky[2] == lucky[3] != lucky[0], "trained once more"
    assert [line["outcome"] for line in panda.ledger[2:4]] == ["promising", "rolled back"]
    panda = babysitter(CALM)
    good = live(panda, lambda _, number: [1.0, 1.1, 0.2, 0.3, 2.0][number], 5)
    assert [line["outcome"] for line in panda.ledger[2:4]] == ["promising", "kept"]
    assert panda.ledger[4]["changed"]["l2"]["from"] == good[2]["l2"], "further in the same direction"


def test_noise_alone_changes_hardly_anything():
    """A change is kept when two scores in a row seem better than two or more: by chance one in some ten is."""
    kept = changes = 0
    for seed in range(20):
        panda = babysitter()
        chance = np.random.default_rng(seed)
        live(panda, lambda *_, chance=chance: float(chance.normal()), 30)
        kept += sum(line["outcome"] == "kept" for line in panda.ledger)
        changes += sum(line["kind"] == "change" for line in panda.ledger)
    assert changes > 200
    assert kept < 0.15 * changes


@pytest.mark.parametrize("word", DIAGNOSES)
def test_the_diagnosis_says_what_comes_first(word):
    panda = babysitter(CALM)
    live(panda, lambda *_: 1.0, 2, lambda _: word)
    kept = panda.space.nearest(default_configuration(ROWS))
    possible = [
        move for moves in (*ORDER.get(word, ()), *EVERYTHING) for move in moves if moved(panda.space, kept, move)
    ]
    assert panda.step(2).move == possible[0]
    assert word in panda.step(2).why
    assert not ORDER.get(word) or possible[0] in ORDER[word][0], "what helps first can be done to the default"


def test_it_never_leaves_its_space_nor_touches_what_is_fixed():
    spec = CALM | {
        "units": 48,
        "learning_rate": {"low": 5e-4, "high": 2e-3, "log": True},
        "layers": {"low": 2, "high": 3},
    }
    panda = babysitter(spec)
    for config in live(panda, lambda config, _: -config["learning_rate"], 60):
        assert config["units"] == 48
        assert 5e-4 <= config["learning_rate"] <= 2e-3
        assert panda.space.adopted(config).items() <= config.items()


def test_nothing_is_tried_twice_but_to_be_sure():
    panda = babysitter()
    live(panda, bowl, 40)
    tried = [str(line["hyperparameters"]) for line in panda.ledger if line["kind"] == "change"]
    assert len(tried) == len(set(tried))


def test_when_nothing_is_left_it_trains_the_best_again():
    panda = babysitter({"activation": ["relu", "tanh"], "epochs": 5})
    live(panda, lambda *_: 1.0, 8)
    assert panda.ledger[-1]["kind"] == "again"


@pytest.mark.parametrize("known", [0, 1, 2, 3, 7, 19])
def test_a_run_that_goes_on_does_the_same(known):
    whole = live(babysitter(), bowl, 25)
    panda = babysitter()
    for number, config in enumerate(whole[:known]):
        panda.tell(number, config, bowl(config, number))
        panda.see(number, Course("high_variance", RISING))
    assert live(panda, bowl, 25 - known, start=known) == whole[known:]


def test_it_waits_for_what_came_before():
    panda = babysitter()
    config = panda.ask(0)
    assert not panda.ready(1)
    panda.tell(0, config, 1.0)
    assert not panda.ready(1), "it was told, but not shown"
    panda.see(0, Course("ok", RISING))
    assert panda.ready(1)


def test_a_failure_is_rolled_back():
    panda = babysitter(CALM)
    live(panda, lambda _, number: [1.0, 1.1, math.inf, 0.5][number], 4)
    assert panda.ledger[2]["outcome"] == "rolled back"
    assert panda.ledger[2]["score"] is None


def test_a_start_that_fails_is_left():
    panda = babysitter(CALM)
    live(panda, lambda _, number: math.inf if number < 2 else 1.0, 4, lambda _: "diverged")
    assert [line["outcome"] for line in panda.ledger[2:]] == ["promising", "kept"]
    assert panda.ledger[2]["changed"]["learning_rate"]["to"] < 0.001


def test_what_a_person_refuses_is_not_done_nor_asked_again():
    asked = []

    def approve(number, step):
        asked.append((number, str(step.config)))
        return "l2" not in step.changed

    panda = babysitter(CALM)
    panda.approve = approve
    configs = live(panda, lambda *_: 1.0, 12)
    assert all(config["l2"] == configs[0]["l2"] for config in configs)
    assert len({config for _, config in asked}) == len(asked)


@pytest.mark.parametrize(
    ("train", "dev", "rate"),
    [
        ([1.0, 0.5, 0.2, 9.0], [1.0, 0.6, 0.4, 9.0], 0.01 / 3),
        ([1.0, 0.5, 0.2, 0.01], [1.0, 0.3, 0.9, 2.0], 0.001 / 3),  # learned by heart on the way
        ([1.0, 0.5, None, math.inf], [1.0, 0.6, None, None], 0.001 / 3),
    ],
)
def test_the_rate_that_a_range_test_suggests(train, dev, rate):
    curves = {"learning_rate": [1e-4, 1e-3, 1e-2, 1e-1], "train_loss": train, "dev_loss": dev}
    assert suggested_rate(curves) == pytest.approx(rate, rel=0.05)


def test_a_range_test_that_shows_nothing_suggests_nothing():
    assert suggested_rate({}) is None
    assert suggested_rate({"learning_rate": [1.0], "train_loss": [None], "dev_loss": [None]}) is None


@pytest.mark.parametrize("epochs", [[6, 20], {"low": 20, "high": 60}])
def test_the_range_test_stays_in_the_space_and_within_the_budget(epochs):
    panda = babysitter(SPEC | {"epochs": epochs})
    start, _, test = live(panda, bowl, 3)
    assert test["schedule"] == "rising"
    assert test["epochs"] <= start["epochs"]
    panda.space.encode(test)


@pytest.mark.parametrize(("patience", "most"), [([5, 15], 15), ([0, 5], 0), ({"low": 3, "high": 9}, 9), (7, 0)])
def test_the_range_test_has_all_the_patience_that_the_space_allows(patience, most):
    """A choice that is not in the list could not be drawn, nor guessed from, at the end."""
    panda = babysitter(SPEC | {"patience": patience})
    test = live(panda, bowl, 3)[2]
    assert test["schedule"] == "rising"
    assert test["patience"] == most
    panda.space.encode(test)


def test_rates_of_a_list_are_not_tested_but_tried_one_by_one():
    panda = babysitter(SPEC | {"learning_rate": [0.001, 0.01, 0.03]})
    configs = live(panda, bowl, 30)
    assert all(config["schedule"] != "rising" for config in configs)
    assert {config["learning_rate"] for config in configs} == {0.001, 0.01, 0.03}


@pytest.mark.parametrize(
    ("spec", "value", "move", "new"),
    [
        ({"layers": [1, 2, 4]}, 2, Move("layers", 1, added=True), 4),
        ({"layers": [1, 2, 4]}, 2, Move("layers", -1, added=True), 1),
        ({"layers": [1, 2, 4]}, 4, Move("layers", 1, added=True), None),
        ({"units": [8, 16, 256]}, 8, Move("units", 2), 16),
        ({"units": [8, 16, 256]}, 16, Move("units", 0.5), 8),
        ({"learning_rate": [0.1, 0.001]}, 0.001, Move("learning_rate", 3), 0.1),
        ({"batch_norm": [False, True]}, False, Move("batch_norm", by=True), True),
        ({"activation": ["relu", "tanh"]}, "relu", Move("activation", "gelu"), None),
    ],
)
def test_choices_are_gone_through_in_the_direction_of_the_move(spec, value, move, new):
    space = space_from_spec(spec | {"epochs": 5})
    found = moved(space, space.nearest({move.name: value}), move)
    assert (found and found[move.name]) == new


@pytest.mark.parametrize("ended", [0, 1, 3])
def test_nothing_is_learned_of_a_training_that_a_person_ended(ended):
    """The start and its repetition are trained once more; a change that was ended is not wanted."""
    panda = babysitter(CALM)
    kinds = []
    for number in range(6):
        step = panda.step(number)
        config = panda.ask(number)
        kinds.append(step.kind)
        panda.tell(number, config, 5.0 if number == ended else 1.0 + 0.01 * number)
        panda.see(number, Course("high_variance", RISING, whole=number != ended))
    panda.prepare(6)
    assert panda.ledger[ended]["outcome"] == "ended before its time"
    if ended < 2:
        assert kinds[ended + 1] == kinds[ended], "once more"
    else:
        assert str(panda.ledger[ended]["hyperparameters"]) not in [
            str(line["hyperparameters"]) for line in panda.ledger[4:]
        ]
