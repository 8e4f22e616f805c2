"""Spaces that cannot work on their data are refused before a trial runs, and no others."""

import re

import pytest

from hpsearch.errors import ConfigError
from hpsearch.space_checks import check_space
from hpsearch.space_text import space_from_spec


def check(spec, task="classification", **data):
    check_space(space_from_spec({"layers": 2, "epochs": 10} | spec), task=task, **data)


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        ({"loss": "huber"}, {}, "loss: 'huber' does not fit classification; allowed: auto, cross_entropy, binary_cros"),
        ({"loss": ["auto", "squared"]}, {}, "loss: 'squared' does not fit classification"),
        ({"loss": "cross_entropy"}, {"task": "regression"}, "does not fit regression; allowed: auto, squared, huber"),
        (
            {"output": "logistic"},
            {"task": "regression"},
            "output: 'logistic' does not fit regression; allowed: softmax",
        ),
        ({"class_weight": [1, 2]}, {"task": "regression"}, "class_weight: [1.0, 2.0] does not fit regression"),
        (
            {"class_weight": [1, 2]},
            {"classes": ["a", "b", "c"]},
            "[1.0, 2.0]: number of weights 2, of classes 3 ('a', 'b', 'c')",
        ),
        (
            {"class_weight": ["none", [1]]},
            {"classes": [0, 1]},
            "class_weight: [1.0]: number of weights 1, of classes 2 (0, 1)",
        ),
        (
            {"loss": "binary_cross_entropy"},
            {},
            "loss: 'binary_cross_entropy' needs output: logistic; output can be 'sof",
        ),
        (
            {"loss": ["auto", "binary_cross_entropy"], "output": ["softmax", "logistic"]},
            {},
            "needs output: logistic, or loss `when: {output: logistic}`; output can be 'softmax'",
        ),
        ({"dropout": [0.1, 0.2, 0.3]}, {}, "dropout: [0.1, 0.2, 0.3]: number of values 3, of hidden layers 2"),
        ({"dropout": [0.1, [0.2]]}, {}, "dropout: [0.2]: number of values 1, of hidden layers 2"),
        (
            {"dropout": [0.1, 0.2], "layers": {"low": 1, "high": 64}},
            {},
            "number of values 2, of hidden layers 1 (layers is searched: fix it, or give one number)",
        ),
        ({"warmup": 10}, {}, "warmup: 10.0 epochs must be fewer than the 10 of a trial"),
        (
            {"augment": "noise+shift"},
            {},
            "augment: 'shift' needs rows that are images; say data.image_shape: [height, ",
        ),
        ({"augment": ["none", "flip_h"]}, {}, "augment: 'flip_h' needs rows that are images"),
        ({"augment.rotate": {"low": 0, "high": 20}}, {}, "augment: 'rotate' needs rows that are images"),
        ({"augment": {"cutout": 2}}, {}, "augment: 'cutout' needs rows that are images"),
    ],
)
def test_what_cannot_work_is_refused(spec, data, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        check(spec, **data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        ({}, {}),
        ({}, {"task": "regression"}),
        ({"loss": ["squared", "huber"]}, {"task": "regression"}),
        ({"loss": "binary_cross_entropy", "output": "logistic"}, {}),
        ({"loss": {"values": ["auto", "binary_cross_entropy"], "when": {"output": "logistic"}},
          "output": ["softmax", "logistic"]}, {}),
        ({"loss": ["auto", "binary_cross_entropy"],
          "output": {"value": "logistic", "when": {"loss": "binary_cross_entropy"}}}, {}),
        ({"class_weight": [1, 2]}, {"classes": ["a", "b"]}),
        ({"class_weight": [1, 2]}, {}),
        ({"class_weight": ["none", "balanced"]}, {"classes": ["a", "b", "c"]}),
        ({"dropout": {"low": 0, "high": 0.5}, "layers": {"low": 1, "high": 4}}, {}),
        ({"dropout": [[0.1, 0.2], [0.3, 0.4]]}, {}),
        ({"dropout": {"value": [0.1, 0.2], "when": {"layers": 2}}, "layers": {"low": 1, "high": 4}}, {}),
        ({"warmup": 9.5}, {}),
        ({"warmup": 10, "epochs": {"low": 5, "high": 20}}, {}),
        ({"augment": "shift+rotate"}, {"image_shape": (8, 8)}),
        ({"augment": "noise+mixup"}, {}),
        ({"augment": {"shift": 0, "noise": 0.2}}, {}),
        ({"augment": "shift", "augment.shift": 0}, {}),
    ],
)  # fmt: skip
def test_what_can_work_is_not(spec, data):
    check(spec, **data)


@pytest.mark.parametrize(("hidden", "fits"), [([[8, 8], [4, 2]], True), ([[8, 8], [4]], False), ([8, 8], True)])
def test_dropout_for_each_layer_and_hidden_layers_by_list(hidden, fits):
    space = space_from_spec({"hidden": hidden, "dropout": [0.1, 0.2], "epochs": 10})
    if fits:
        check_space(space, task="classification")
    else:
        with pytest.raises(ConfigError, match=r"of hidden layers 1 \(hidden is searched"):
            check_space(space, task="classification")


@pytest.mark.parametrize("said", ["piecewise_linear", ["standard", "piecewise_linear"]])
def test_pixels_have_no_bins(said):
    check({"normalize": said})
    with pytest.raises(ConfigError, match="normalize: 'piecewise_linear' is not for images"):
        check({"normalize": said}, image_shape=(8, 8))
