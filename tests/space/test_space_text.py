"""Spaces as people write them: every accepted form, the way back, and what is said of a mistake."""

import pytest

from hpsearch import strict_yaml
from hpsearch.errors import ConfigError
from hpsearch.space import Categorical, Float, Int
from hpsearch.space_text import space_from_spec, spec_from_space, spec_from_text


def parsed(text):
    name, spec = spec_from_text(text)
    space = space_from_spec({name: spec})
    return space.parameters.get(name, space.constants.get(name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-5:1e-1:log", Float(1e-5, 1e-1, log=True)),
        ("learning_rate=0.1:0.2", Float(0.1, 0.2)),
        ("layers=1:4", Int(1, 4)),
        ("units=16:256:x2", Int(16, 256, scale="pow2")),
        ("units=1:256:log", Int(1, 256, log=True)),
        ("l2=0:0.5:0.1", Float(0, 0.5, step=0.1)),
        ("momentum=0.5:0.99:reversed", Float(0.5, 0.99, log="reversed")),
        ("activation=relu,tanh", Categorical(("relu", "tanh"))),
        ("bs=16,full", Categorical((16, "full"))),
        ("epochs=30", 30),
        ("l2=1e-4", 1e-4),
        ("activation=relu", "relu"),
    ],
)
def test_every_form_after_p(text, expected):
    found = parsed(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lr", "NAME=SPEC"),
        ("lr=", "NAME=SPEC"),
        ("lrr=1", "learning_rate|lr"),
        ("lr=1:0", "low 1.0 is greater than high 0.0"),
        ("lr=0:1:log", "above 0"),
        ("lr=a:b", "'a' is not a number"),
        ("lr=1:2:3:4", "LOW:HIGH"),
        ("lr=1:2:", "LOW:HIGH"),
        ("lr=5000", "outside its bounds"),
        ("lr=nan", "not a number"),
        ("layers=1.5", "whole number"),
        ("layers=1:2.5", "whole number"),
        ("units=16:256:x3", "x3"),
        ("activation=rellu", "did you mean 'relu'"),
        ("activation=relu:tanh", "needs numbers"),
        ("activation=relu,relu", "twice"),
    ],
)
def test_mistakes_name_the_value_and_what_is_allowed(text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        parsed(text)
    assert "\n" not in str(caught.value)


STUDY_SPACE = """
learning_rate: {low: 1e-5, high: 1e-1, log: true}
layers:        {low: 1, high: 4}
units:         {low: 16, high: 256, scale: pow2}
optimizer:     [sgd, momentum, adam]
momentum:      {low: 0.5, high: 0.99, log: reversed, when: {optimizer: momentum}}
beta1:         {values: [0.8, 0.9], when: {optimizer: [adam, momentum]}}
epsilon:       {value: 1e-8, when: {optimizer: adam}}
l2:            1e-4
"""


def test_a_study_s_space_and_its_way_back():
    space = space_from_spec(strict_yaml.parse(STUDY_SPACE, "here"))
    assert space.parameters["learning_rate"] == Float(1e-5, 1e-1, log=True)
    assert space.constants == {"epsilon": 1e-8, "l2": 1e-4}
    assert space.conditions["beta1"] == {"optimizer": ("adam", "momentum")}
    text = strict_yaml.dump(spec_from_space(space))
    assert space_from_spec(strict_yaml.parse(text, "again")) == space


def test_hidden_layer_lists():
    space = space_from_spec(strict_yaml.parse("hidden: [[64], [64, 32]]", "here"))
    assert space.parameters["hidden"] == Categorical(([64], [64, 32]))
    assert space_from_spec({"hidden": [64, 32]}).constants == {"hidden": [64, 32]}
    with pytest.raises(ConfigError, match="takes the place of layers"):
        space_from_spec({"hidden": [64], "layers": 2})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lr: {low: 1}", "low but not high"),
        ("lr: {low: 1, hight: 2}", "did you mean 'high'"),
        ("lr: {low: 1, high: 2, values: [1]}", "exactly one"),
        ("lr: {low: 1, high: 2, scale: pow2}", "whole numbers"),
        ("{lr: 1, learning_rate: 2}", "twice"),
        ("momentum: {value: 0.5, when: {optimiser: sgd}}", "did you mean 'optimizer'"),
        ("momentum: {value: 0.5, when: {optimizer: sgd}}", "no such parameter"),
        ("momentum: {value: 0.5, when: sgd}", "when"),
        ("lr: []", "empty"),
        ("lr: null", "not a number"),
        ("lr: true", "not a number"),
    ],
)
def test_mistakes_in_a_study(text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        space_from_spec(strict_yaml.parse(text, "here"))
    assert str(caught.value).startswith("space.")
