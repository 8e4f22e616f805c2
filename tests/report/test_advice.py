"""Every remedy must be something that a search accepts, and must leave the winner where the new search can begin."""

import pytest

from hpsearch.diagnosis.trials import DIAGNOSES
from hpsearch.report.advice import REMEDIES, Situation, advice_for
from hpsearch.space_text import space_from_spec, spec_from_text

SPACES = {
    "the usual one": {
        "layers": {"low": 1, "high": 4},
        "units": {"low": 32, "high": 256, "scale": "pow2"},
        "activation": ["silu", "relu", "selu", "tanh"],
        "learning_rate": {"low": 2e-4, "high": 2e-2, "log": True},
        "l2": {"low": 1e-5, "high": 1.0, "log": True},
        "epochs": 100,
    },
    "nothing but the rate": {"learning_rate": {"low": 1e-5, "high": 1.0, "log": True}, "units": 48, "epochs": 7},
    "regularised already": {
        "dropout": {"low": 0.0, "high": 0.5},
        "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True},
        "optimizer": ["adamw", "sgd"],
        "label_smoothing": {"low": 0.0, "high": 0.1},
        "augment": ["none", "noise"],
        "batch_norm": [True, False],
        "clip_norm": [0.0, 1.0],
        "schedule": ["cosine", "constant"],
        "epochs": {"low": 10, "high": 200},
    },
    "widths in a list": {"hidden": [[64], [64, 32]], "l2": 0.0, "learning_rate": 900.0, "epochs": 10},
}


def situations():
    for name, spec in SPACES.items():
        space = space_from_spec(spec)
        for height in (0.0, 0.5, 1.0):
            yield f"{name} at {height}", Situation(space, space.decode([height] * space.dimensions), "classification")


SITUATIONS = dict(situations())


@pytest.mark.parametrize("limit", REMEDIES)
@pytest.mark.parametrize("name", SITUATIONS)
def test_every_range_can_be_searched_and_holds_the_winner(limit, name):
    situation = SITUATIONS[name]
    for advice in advice_for(limit, situation):
        for text in advice.ranges:
            parameter, spec = spec_from_text(text)
            space = space_from_spec({parameter: spec}, alone=False)
            value = situation.value(parameter)
            if parameter == "epochs" and parameter in space.constants:
                assert space.constants[parameter] == 2 * value
                continue
            if value is None:
                continue
            held = space.parameters[parameter]
            assert held.nearest(value) == value, f"{text} does not hold {value}"


def test_every_diagnosis_but_ok_has_a_remedy():
    assert set(DIAGNOSES) - set(REMEDIES) == {"ok"}


def test_high_bias_asks_for_more_and_high_variance_for_less():
    space = space_from_spec(SPACES["the usual one"])
    winner = space.decode([0.5] * space.dimensions)
    situation = Situation(space, winner, "classification")
    bias = [text for advice in advice_for("high_bias", situation) for text in advice.ranges]
    assert "layers=2:5" in bias
    assert f"units={winner['units']}:{4 * winner['units']}:x2" in bias
    assert "epochs=200" in bias
    variance = [text for advice in advice_for("high_variance", situation) for text in advice.ranges]
    assert "dropout=0:0.5" in variance
    assert "label_smoothing=0:0.2" in variance
    assert f"units={winner['units'] // 4}:{winner['units']}:x2" in variance


def test_values_and_images_get_what_suits_them():
    space = space_from_spec(SPACES["the usual one"])
    winner = space.decode([0.5] * space.dimensions)
    values = [t for a in advice_for("high_variance", Situation(space, winner, "regression")) for t in a.ranges]
    assert not any(text.startswith("label_smoothing") for text in values)
    assert "augment=none,noise" in values
    images = [
        t
        for a in advice_for("high_variance", Situation(space, winner, "classification", images=True))
        for t in a.ranges
    ]
    assert "augment=none,shift+rotate+scale" in images
