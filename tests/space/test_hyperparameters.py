"""The table of hyperparameters: what each kind takes, and what is said of the rest."""

import re

import pytest

from hpsearch.engine.hyperparameters import AUGMENTATIONS, CONDITIONS, HYPERPARAMETERS, TASK_WORDS, complete
from hpsearch.errors import ConfigError


@pytest.mark.parametrize("name", [name for name, known in HYPERPARAMETERS.items() if known.default is not None])
def test_every_default_is_allowed(name):
    known = HYPERPARAMETERS[name]
    found = known.check(name, known.default)
    assert (found, type(found)) == (known.default, type(known.default))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("batch_norm", "true", True),
        ("batch_norm", "False", False),
        ("batch_norm", True, True),
        ("units", "64", 64),
        ("units", 64.0, 64),
        ("learning_rate", "1e-4", 1e-4),
        ("batch_size", "full", "full"),
        ("weight_decay", "auto", "auto"),
        ("weight_decay", "0.1", 0.1),
        ("hidden", ["64", "32"], [64, 32]),
        ("dropout", "0.5", 0.5),
        ("dropout", ["0", "0.5"], [0.0, 0.5]),
        ("class_weight", "balanced", "balanced"),
        ("class_weight", ["1", "2.5"], [1.0, 2.5]),
        ("augment", "shift", "shift"),
        ("augment", "rotate+shift", "shift+rotate"),
        ("augment", "noise + shift+noise", "shift+noise"),
    ],
)
def test_texts_become_the_right_type(name, given, expected):
    assert repr(HYPERPARAMETERS[name].check(name, given)) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_norm", "yes", "'yes' is not true or false"),
        ("batch_norm", 1, "1 is not true or false"),
        ("batch_norm", ["true"], "['true'] is not true or false"),
        ("units", "64.5", "'64.5' is not a whole number from 1 to 16384"),
        ("units", 0, "0 is outside its bounds; allowed: a whole number from 1 to 16384"),
        ("units", True, "True is not a whole number from 1 to 16384"),
        ("momentum", 1, "1.0 is outside its bounds; allowed: a number from 0 below 1"),
        ("learning_rate", "0", "0.0 is outside its bounds; allowed: a number above 0 to 1000"),
        ("weight_decay", "aut", "'aut' is not a number from 0 to 1000 or auto"),
        ("hidden", "64", "'64' is not a list of whole numbers from 1 to 16384, such as [64, 32]"),
        ("optimizer", "adamm", "'adamm' is not one of its values; did you mean 'adam'?"),
        ("momentum_form", None, "None is not one of its values; allowed: average, sum"),
        ("dropout", 1, "1.0 is outside its bounds; allowed: a number from 0 below 1, or a list of numbers from 0 bel"),
        ("dropout", ["0.1", "1"], "1.0 is outside its bounds; allowed: a number from 0 below 1"),
        ("dropout", [[0.1]], "[0.1] is not a number from 0 below 1"),
        (
            "class_weight",
            "3",
            "'3' is not one of its values; allowed: none, balanced, or a list of numbers from 0 to 1e+06",
        ),
        ("class_weight", [1, "balanced"], "'balanced' is not a number from 0 to 1e+06"),
        ("augment", "shift+none", "'shift+none': none cannot be joined with others"),
        ("augment", "shift+rotat", "'rotat' is not one of its values; did you mean 'rotate'?"),
        ("augment", "shift+", "'' is not one of its values; allowed: shift, rotate"),
        ("augment.flip_h", "2", "2.0 is outside its bounds; allowed: a number from 0 to 1"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(name, value, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{name}: {message}')}") as caught:
        HYPERPARAMETERS[name].check(name, value)
    assert "\n" not in str(caught.value)


def test_what_depends_on_what_is_in_the_table():
    for child, condition in CONDITIONS.items():
        assert child in HYPERPARAMETERS
        for parent, words in condition.items():
            assert parent not in CONDITIONS
            assert set(words) <= set(HYPERPARAMETERS[parent].words)
    for words in TASK_WORDS.values():
        assert all(set(some) <= set(HYPERPARAMETERS[name].words) for name, some in words.items())


def test_every_augmentation_has_a_word_and_a_strength():
    assert HYPERPARAMETERS["augment"].words == ("none", *AUGMENTATIONS)
    for name, strength in AUGMENTATIONS.items():
        assert HYPERPARAMETERS[f"augment.{name}"].check(name, strength) == strength > 0


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"augment.shift": 0.0, "augment.noise": 0.0}),
        ({"augment": "shift"}, {"augment.shift": 1.0, "augment.noise": 0.0}),
        ({"augment": "shift+noise", "augment.shift": 3}, {"augment.shift": 3.0, "augment.noise": 0.1}),
        ({"augment.noise": 0.5}, {"augment.shift": 0.0, "augment.noise": 0.5}),
        ({"augment": "shift", "augment.shift": 0}, {"augment.shift": 0.0}),
        ({"layers": 2, "dropout": 0.3}, {"dropout": [0.3, 0.3]}),
        ({"hidden": [8, 4], "dropout": [0.1, 0.2]}, {"dropout": [0.1, 0.2]}),
        ({"optimizer": "adamw"}, {"weight_decay": 0.01}),
        ({"optimizer": "adam"}, {"weight_decay": 0.0}),
    ],
)
def test_a_complete_configuration_says_everything_in_numbers(config, expected):
    full = complete(config)
    assert {name: full[name] for name in expected} == expected
