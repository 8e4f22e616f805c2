"""Wider ranges where the winner stands at an end of one."""

import pytest

from hpsearch.diagnosis.bounds import widened
from hpsearch.space import Categorical, Float, Int, Space
from hpsearch.space_checks import check_space
from hpsearch.space_text import space_from_spec, spec_from_text

SPACE = Space(
    {
        "learning_rate": Float(2e-4, 2e-2, log=True),
        "layers": Int(1, 4),
        "units": Int(32, 256, scale="pow2"),
        "batch_size": Int(10, 80, scale="pow2"),
        "epochs": Int(10, 100, log=True),
        "momentum": Float(0.5, 0.99, log="reversed"),
        "dropout": Float(0.0, 0.5, step=0.1),
        "label_smoothing": Float(0.0, 0.2),
        "activation": Categorical(("relu", "tanh")),
        "clip_norm": Float(2.0, 2.0),
    }
)


def at(place):
    return SPACE.decode([place] * SPACE.dimensions)


def test_nothing_is_said_in_the_middle():
    assert widened(SPACE, at(0.5)) == {}


def test_low_ends():
    assert widened(SPACE, at(0.0)) == {
        "learning_rate": "learning_rate=2e-05:0.02:log",
        "layers": "layers=0:4",
        "units": "units=8:256:x2",
        "batch_size": "batch_size=5:80:x2",
        "epochs": "epochs=3:100:log",
        "momentum": "momentum=0:0.99:reversed",
    }, "dropout and label smoothing can not be below 0"


def test_high_ends():
    assert widened(SPACE, at(1.0)) == {
        "learning_rate": "learning_rate=0.0002:0.2:log",
        "layers": "layers=1:6",
        "units": "units=32:1024:x2",
        "batch_size": "batch_size=10:320:x2",
        "epochs": "epochs=10:320:log",
        "momentum": "momentum=0.5:0.9986:reversed",
        "dropout": "dropout=0:0.7:0.1",
        "label_smoothing": "label_smoothing=0:0.3",
    }


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_what_is_offered_can_be_pasted_and_is_wider(place):
    for name, text in widened(SPACE, at(place)).items():
        said, spec = spec_from_text(text)
        parameter = space_from_spec({said: spec}).parameters[name]
        before = SPACE.parameters[name]
        assert parameter.low <= before.low
        assert parameter.high >= before.high
        assert (parameter.low, parameter.high) != (before.low, before.high)
        check_space(Space({name: parameter}), task="classification", classes=(0, 1), image_shape=None)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("momentum=0.99:0.99999:reversed", None, "0.99:0.99999968:reversed"),
        ("beta2=0.9:0.9999995:reversed", None, "0.9:0.9999999989:reversed"),
        ("learning_rate=0.00123456789:0.1:log", "0.00014:0.1:log", "0.00123456789:0.9:log"),
        ("learning_rate=0.1:0.10000001", None, None),
    ],
)
def test_no_digit_of_an_end_is_lost(text, low, high):
    name, spec = spec_from_text(text)
    space = Space({name: space_from_spec({name: spec}).parameters[name]})
    for place, wanted in ((0.0, low), (1.0, high)):
        found = widened(space, space.decode([place])).get(name)
        if wanted is not None:
            assert found == f"{name}={wanted}"
        if found is not None:
            wider = space_from_spec({name: spec_from_text(found)[1]}).parameters[name]
            assert wider.low <= space.parameters[name].low
            assert wider.high >= space.parameters[name].high


def test_what_is_not_active_is_not_offered():
    config = at(1.0)
    del config["momentum"]
    assert "momentum" not in widened(SPACE, config)


def test_what_is_as_in_the_usual_configuration_was_not_driven_to_its_end():
    space = Space({"l2": Float(1e-5, 1.0, log=True), "units": Int(8, 64)})
    winner = {"l2": 1e-5, "units": 64}
    assert set(widened(space, winner)) == {"l2", "units"}
    assert set(widened(space, winner, usual={"l2": 1e-5, "units": 32})) == {"units"}
