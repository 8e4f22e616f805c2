"""Spaces as people write them: every accepted form, the way back, and what is said of a mistake."""

import pytest

from hpsearch import strict_yaml
from hpsearch.errors import ConfigError
from hpsearch.space import Categorical, Float, Int
from hpsearch.space_text import is_searched, space_from_spec, spec_from_space, spec_from_text


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
        ("l2=0:0.5:0.1", Float(0.0, 0.5, step=0.1)),
        ("momentum=0.5:0.99:reversed", Float(0.5, 0.99, log="reversed")),
        ("activation=relu,tanh", Categorical(("relu", "tanh"))),
        ("bs=16,full", Categorical((16, "full"))),
        ("epochs=30", 30),
        ("l2=1e-4", 1e-4),
        ("activation=relu", "relu"),
        ("batch_norm=true", True),
        ("batch_norm=true,false", Categorical((True, False))),
        ("dropout=0.1", 0.1),
        ("dropout=0.1,0.3", Categorical((0.1, 0.3))),
        ("dropout=[0.1, 0.3]", [0.1, 0.3]),
        ("dropout=[[0.1], [0.3]]", Categorical(([0.1], [0.3]))),
        ("dropout=0:0.5", Float(0.0, 0.5)),
        ("hidden=64,32", [64, 32]),
        ("hidden=[[64], [64, 32]]", Categorical(([64], [64, 32]))),
        ("class_weight=none,balanced", Categorical(("none", "balanced"))),
        ("weight_decay=auto,0.1", Categorical(("auto", 0.1))),
        ("augment=none,shift,rotate+shift", Categorical(("none", "shift", "shift+rotate"))),
        ("augment.rotate=0:20", Float(0.0, 20.0)),
    ],
)
def test_every_form_after_p(text, expected):
    assert repr(parsed(text)) == repr(expected)  # True is no 1, and 30 no 30.0


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
        ("batch_norm=true:false", "a range needs numbers; batch_norm is one of true or false"),
        ("batch_norm=true,maybe", "'maybe' is not true or false"),
        ("dropout=0.1,1", "1.0 is outside its bounds"),
        ("dropout=[0.1, 0.3", "-p dropout=.*line 1"),
        ("augment=shift+rotat", "did you mean 'rotate'"),
        ("augment=shift+rotate,rotate+shift", "'shift.rotate' stands twice"),
        ("augment.rotat=1", "did you mean 'augment.rotate'"),
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


def read(text):
    return space_from_spec(strict_yaml.parse(text, "here"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch_norm: true", True),
        ("batch_norm: [true, false]", Categorical((True, False))),
        ("dropout: [0.1, 0.3]", [0.1, 0.3]),
        ("dropout: []", []),
        ("dropout: {values: [0.1, 0.3]}", Categorical((0.1, 0.3))),
        ("dropout: {value: [0.1, 0.3]}", [0.1, 0.3]),
        ("dropout: [[0.1, 0.3], [0.2, 0.2]]", Categorical(([0.1, 0.3], [0.2, 0.2]))),
        ("dropout: [0.1, [0.1, 0.3]]", Categorical((0.1, [0.1, 0.3]))),
        ("dropout: {low: 0, high: 0.5}", Float(0.0, 0.5)),
        ("class_weight: [1, 2]", [1.0, 2.0]),
        ("class_weight: [none, balanced]", Categorical(("none", "balanced"))),
        ("class_weight: [none, [1, 2]]", Categorical(("none", [1.0, 2.0]))),
        ("weight_decay: [auto, 0.1]", Categorical(("auto", 0.1))),
        ("augment: shift+rotate", "shift+rotate"),
        ("augment: [none, shift]", Categorical(("none", "shift"))),
    ],
)
def test_one_value_or_choices_and_the_way_back(text, expected):
    space = read(text)
    name = text.partition(":")[0]
    assert repr((space.parameters | space.constants)[name]) == repr(expected)
    assert is_searched(name, spec_from_space(space)[name]) == (name in space.parameters)
    assert repr(read(strict_yaml.dump(spec_from_space(space)))) == repr(space)


AUGMENT = "augment: {shift: 2, rotate: {low: 0, high: 20}, noise: [0.1, 0.2], scale: {value: 0.3}}"


def test_a_mapping_under_augment_is_a_strength_for_each():
    space = read(AUGMENT)
    assert space.constants == {"augment.shift": 2.0, "augment.scale": 0.3}
    assert space.parameters == {"augment.rotate": Float(0.0, 20.0), "augment.noise": Categorical((0.1, 0.2))}
    assert read(strict_yaml.dump(spec_from_space(space))) == space


def test_scale_under_augment_is_the_augmentation_and_not_the_scale_of_a_range():
    assert read("augment: {scale: 0.1}").constants == {"augment.scale": 0.1}
    assert read("augment: {value: shift, when: {layers: 1}}\nlayers: [1, 2]").constants == {"augment": "shift"}
    with pytest.raises(ConfigError, match="a range needs numbers; augment is one of none, shift"):
        read("augment: {low: 0, high: 1, scale: pow2}")


# The parent is searched, and only some of its choices use the child.
@pytest.mark.parametrize(
    ("text", "child", "condition"),
    [
        ("{optimizer: [sgd, momentum, adam], momentum: {low: 0, high: 0.9}}", "momentum", {"optimizer": ("momentum",)}),
        ("{optimizer: [nesterov, momentum, adam], momentum: 0.5}", "momentum", {"optimizer": ("nesterov", "momentum")}),
        ("{optimizer: [sgd, rmsprop], beta2: [0.9, 0.99]}", "beta2", {"optimizer": ("rmsprop",)}),
        ("{schedule: [constant, cosine_restarts], decay_epochs: [5, 9]}", "decay_epochs",
         {"schedule": ("cosine_restarts",)}),
        ("{loss: [squared, huber], huber_delta: [1, 2]}", "huber_delta", {"loss": ("huber",)}),
        ("{augment: [none, shift, shift+noise], augment.noise: 0.2}", "augment.noise", {"augment": ("shift+noise",)}),
    ],
)  # fmt: skip
def test_what_only_some_choices_use_is_active_beside_those(text, child, condition):
    space = read(text)
    assert space.conditions == {child: condition}
    spec = spec_from_space(space)
    assert "when" not in str(spec)
    assert read(strict_yaml.dump(spec)) == space


@pytest.mark.parametrize(
    "text",
    [
        "{optimizer: adam, momentum: {low: 0, high: 0.9}}",
        "{momentum: {low: 0, high: 0.9}}",
        "{optimizer: [sgd, adam], momentum: {low: 0, high: 0.9}}",
        "{optimizer: [nesterov, momentum], momentum: {low: 0, high: 0.9}}",
        "{augment: [none, shift], augment.noise: 0.2}",
    ],
)
def test_what_all_choices_use_or_none_is_left_as_it_is(text):
    assert read(text).conditions == {}


def test_a_condition_that_is_said_wins_over_the_implied_one():
    space = read(
        "{optimizer: [sgd, momentum, nesterov], momentum: {low: 0, high: 0.9, when: {optimizer: nesterov}},"
        " layers: [1, 2], schedule: {values: [constant, power], when: {layers: 2}}, decay_power: [0.5, 1]}"
    )
    # A parent that is not always there says nothing of its child: its default may use it.
    assert space.conditions == {"momentum": {"optimizer": ("nesterov",)}, "schedule": {"layers": (2,)}}
    assert read(strict_yaml.dump(spec_from_space(space))) == space


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
        ("batch_norm: null", "None is not true or false"),
        ("dropout: [0.1, x]", "'x' is not a number from 0 below 1"),
        ("dropout: [[0.1, [0.2]]]", "is not a number"),
        ("augment: {rotat: 1}", "did you mean 'augment.rotate'"),
        ("augment: {shift: 1, when: {layers: 1}}", "'augment.when' is not a hyperparameter"),
        ("augment: {shift: true}", "'true' is not a number from 0 to 1000"),
        ("{augment: {shift: 1}, augment.shift: 2}", "augment.shift stands twice"),
    ],
)
def test_mistakes_in_a_study(text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        space_from_spec(strict_yaml.parse(text, "here"))
    assert str(caught.value).startswith("space")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "hidden: [[64], [64, 32]]\ndropout: {value: [0.2, 0.1], when: {hidden: [[64, 32]]}}",
        "hidden: [[64], [64, 32]]\nl2: {low: 0, high: 1, when: {hidden: [[64], [64, 32]]}}",
        "layers: 2\ndropout: {values: [[0.1, 0.3], 0.5]}\nl2: {low: 0, high: 1, when: {dropout: [[0.1, 0.3]]}}",
    ],
)
def test_conditions_on_lists_and_their_way_back(text):
    space = read(text)
    assert read(strict_yaml.dump(spec_from_space(space))) == space
