"""Scales, conditions and meshes: what a number in [0, 1] becomes, and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpsearch.errors import ConfigError
from hpsearch.space import Categorical, Float, Int, Mesh, Space

PARAMETERS = [
    Float(-1.0, 3.0),
    Float(1e-5, 1e-1, log=True),
    Float(0.5, 0.999, log="reversed"),
    Float(0.0, 0.5, step=0.1),
    Float(0.3, 0.3),
    Int(1, 4),
    Int(1, 1000, log=True),
    Int(16, 256, scale="pow2"),
    Int(10, 50, step=15),
    Categorical(("relu", "tanh", "silu")),
    Categorical((True, False)),
]
units = st.floats(0, 1)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)
@given(u=units)
def test_every_value_is_inside_and_a_python_scalar(parameter, u):
    value = parameter.from_unit(u)
    assert type(value) in (float, int, str, bool)
    if not isinstance(parameter, Categorical):
        assert parameter.low <= value <= parameter.high


@pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)
@given(u=units)
def test_value_to_unit_and_back_is_the_same_value(parameter, u):
    value = parameter.from_unit(u)
    again = parameter.from_unit(parameter.to_unit(value))
    assert again == pytest.approx(value, rel=1e-5) if isinstance(value, float) else again == value


@pytest.mark.parametrize("parameter", [p for p in PARAMETERS if p.size], ids=repr)
def test_finite_parameters_have_just_size_values(parameter):
    values = {parameter.from_unit(u) for u in np.linspace(0, 1, 20001)}
    assert len(values) == parameter.size


def test_log_scale_is_uniform_in_the_exponent():
    # alpha = 10^r with r uniform in [-5, -1]
    parameter = Float(1e-5, 1e-1, log=True)
    draws = [parameter.from_unit(u) for u in np.random.default_rng(0).random(20_000)]
    assert stats.kstest(np.log10(draws), stats.uniform(-5, 4).cdf).pvalue > 0.01


def test_reversed_log_scale_is_uniform_in_the_exponent_of_the_distance_to_one():
    parameter = Float(0.9, 0.999, log="reversed")
    draws = np.array([parameter.from_unit(u) for u in np.random.default_rng(0).random(20_000)])
    assert stats.kstest(np.log10(1 - draws), stats.uniform(-3, 2).cdf).pvalue > 0.01
    assert parameter.from_unit(0.0) == pytest.approx(0.9)
    assert parameter.from_unit(1.0) == pytest.approx(0.999)


def test_powers_of_two_and_steps():
    assert [Int(16, 256, scale="pow2").from_unit((i + 0.5) / 5) for i in range(5)] == [16, 32, 64, 128, 256]
    assert [Float(0, 0.5, step=0.1).from_unit((i + 0.5) / 6) for i in range(6)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Int(10, 50, step=15).mesh(9) == [10, 25, 40]
    assert Int(16, 255, scale="pow2").size == 4  # 16 32 64 128


def test_small_whole_numbers_on_a_log_scale_get_their_share():
    # [n - 1/2, n + 1/2] on the log axis: 1 has log(1.5 / 0.5) of log(4.5 / 0.5)
    parameter = Int(1, 4, log=True)
    draws = [parameter.from_unit(u) for u in np.linspace(0, 1, 100_001)]
    assert draws.count(1) / len(draws) == pytest.approx(math.log(3) / math.log(9), abs=1e-3)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Float(1, 0), "low 1 is greater than high 0"),
        (lambda: Float(0, 1, log=True), "log scale"),
        (lambda: Float(0.5, 1.0, log="reversed"), "below 1"),
        (lambda: Float(0, math.inf), "finite"),
        (lambda: Float(0, 1, step=-1), "step"),
        (lambda: Float(0, 1, log="maybe"), "log"),
        (lambda: Int(3, 2), "low 3 is greater than high 2"),
        (lambda: Int(0, 8, scale="pow2"), "log scale"),
        (lambda: Int(1, 8, scale="pow3"), "pow3"),
        (lambda: Int(1, 8, log=True, step=2), "step"),
        (lambda: Categorical(()), "empty"),
        (lambda: Categorical(("a", "a")), "twice"),
    ],
)
def test_nonsense_is_refused_with_the_value(make, named):
    with pytest.raises(ConfigError, match=named):
        make()


def conditional():
    return Space(
        {
            "optimizer": Categorical(("sgd", "momentum", "adam")),
            "momentum": Float(0.5, 0.99, log="reversed"),
            "beta2": Categorical((0.9, 0.99, 0.999)),
            "layers": Int(1, 2),
        },
        {"l2": 1e-4, "epsilon": 1e-8},
        {"momentum": {"optimizer": ("momentum",)}, "beta2": {"optimizer": ("adam",)}, "epsilon": {"beta2": (0.9,)}},
    )


@given(st.lists(units, min_size=4, max_size=4))
def test_only_active_hyperparameters_appear(unit):
    config = conditional().decode(unit)
    assert ("momentum" in config) == (config["optimizer"] == "momentum")
    assert ("beta2" in config) == (config["optimizer"] == "adam")
    assert ("epsilon" in config) == (config.get("beta2") == 0.9)  # a condition on what is itself conditional
    assert config["l2"] == 1e-4
    assert conditional().decode(conditional().encode(config)) == pytest.approx(config)


def test_conditions_must_hang_together():
    with pytest.raises(ConfigError, match="no such parameter"):
        Space({"a": Int(1, 2)}, {}, {"a": {"b": (1,)}})
    with pytest.raises(ConfigError, match="never a value"):
        Space({"a": Int(1, 2), "b": Categorical(("x", "y"))}, {}, {"a": {"b": ("z",)}})
    with pytest.raises(ConfigError, match="circle"):
        Space({"a": Int(1, 2), "b": Int(1, 2)}, {}, {"a": {"b": (1,)}, "b": {"a": (1,)}})


@pytest.mark.parametrize(
    ("parent", "value", "possible"),
    [
        (Int(16, 256, scale="pow2"), 100, False),
        (Int(16, 256, scale="pow2"), 64, True),
        (Int(1, 9, step=4), 3, False),
        (Int(1, 9), 3.5, False),
        (Float(0.0, 0.5, step=0.1), 0.15, False),
        (Float(0.0, 0.5, step=0.1), 0.3, True),
        (Float(0.0, 0.5), 0.15, True),  # a mesh or a configuration that is given may have it
        (Float(0.0, 0.5), 0.6, False),
    ],
)
def test_conditions_can_hold(parent, value, possible):
    def make():
        return Space({"a": Int(1, 2), "b": parent}, {}, {"a": {"b": (value,)}})

    if possible:
        assert make().conditions
    else:
        with pytest.raises(ConfigError, match="never a value"):
            make()


def test_mesh_has_every_configuration_once():
    mesh = Mesh(conditional(), points=3)
    configs = [mesh[i] for i in range(mesh.size)]
    # sgd: 2 layers; momentum: 3 x 2; adam: 3 x 2
    assert mesh.size == len({repr(config) for config in configs}) == 14
    for config in configs:
        assert ("momentum" in config) == (config["optimizer"] == "momentum")
    with pytest.raises(IndexError):
        mesh[mesh.size]


def test_mesh_reaches_the_bounds_and_is_never_listed():
    space = Space({f"p{i}": Float(1e-5, 1e-1, log=True) for i in range(40)})
    mesh = Mesh(space, points=3)
    assert mesh.size == 3**40
    assert set(mesh[0].values()) == {1e-5}
    assert set(mesh[mesh.size - 1].values()) == {1e-1}
    assert mesh[1]["p39"] == pytest.approx(1e-3)


def test_few_values_are_all_taken_whatever_the_points():
    mesh = Mesh(Space({"layers": Int(1, 4), "units": Int(1, 1000)}), points=2)
    assert mesh.values == {"layers": [1, 2, 3, 4], "units": [1, 1000]}


def test_size_counts_configurations():
    assert conditional().size() is None
    finite = Space({"a": Int(1, 4), "b": Categorical(("x", "y")), "c": Int(1, 9)}, {}, {"c": {"b": ("y",)}})
    assert finite.size() == 4 * (1 + 9)


def test_size_and_mesh_do_not_list_what_no_condition_names():
    """A billion pairs of parents, of which four kinds make a difference."""
    wide, few = Int(1, 40_000), Categorical((0.0, 0.1))
    conditions = {"dropout": {"units": (64,)}, "l2": {"epochs": (9,)}}
    space = Space({"units": wide, "epochs": wide, "dropout": few, "l2": few}, {}, conditions)
    one, many = 1, 39_999
    assert space.size() == many * many + 2 * one * many + 2 * many * one + 4
    small = Space({**space.parameters, "units": Int(60, 70), "epochs": Int(1, 9, step=4)}, {}, conditions)
    mesh = Mesh(small, 11)
    configs = [mesh[index] for index in range(mesh.size)]
    assert len({repr(config) for config in configs}) == mesh.size == small.size() == 10 * 2 + 2 * 2 + 2 * 10 + 4
    assert all(("dropout" in config) == (config["units"] == 64) for config in configs)


def test_nearest_keeps_what_is_inside_and_moves_what_is_not():
    space = Space({"a": Float(1e-4, 1e-2, log=True), "b": Int(16, 64, scale="pow2"), "c": Categorical(("x", "y"))})
    assert space.nearest({"a": 0.003, "b": 256, "c": "z"}) == {"a": 0.003, "b": 64, "c": "x"}
    assert space.nearest({"a": 1.0})["a"] == 1e-2


def test_nearest_to_a_word_is_the_middle_of_numbers():
    assert Space({"a": Float(0, 1)}).nearest({"a": "auto"}) == {"a": 0.5}
    assert Space({"a": Categorical((0.1, "auto"))}).nearest({"a": "auto"}) == {"a": "auto"}


OPTIMIZERS = Space(
    {"optimizer": Categorical(("adam", "momentum")), "momentum": Float(0.5, 0.9), "units": Int(16, 64, scale="pow2")},
    {"l2": 0.5, "epochs": 9},
    {"momentum": {"optimizer": ("momentum",)}, "l2": {"optimizer": ("adam",)}},
)


@pytest.mark.parametrize(
    ("config", "adopted"),
    [
        ({"optimizer": "adam", "units": 32, "l2": 0.1, "layers": 3}, {"optimizer": "adam", "units": 32, "l2": 0.5}),
        ({"optimizer": "adam", "units": 64, "momentum": 7}, {"optimizer": "adam", "units": 64, "l2": 0.5}),
        (
            {"units": 16, "momentum": 0.9, "optimizer": "momentum"},
            {"optimizer": "momentum", "momentum": 0.9, "units": 16},
        ),
    ],
)
def test_a_configuration_is_adopted_with_the_constants_of_the_space(config, adopted):
    assert OPTIMIZERS.adopted(config) == adopted | {"epochs": 9}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"optimizer": "sgd", "units": 32}, "optimizer has sgd, here one of adam, momentum"),
        ({"optimizer": "momentum", "units": 32}, "momentum has no value, here 0.5 to 0.9"),
        ({"optimizer": "momentum", "units": 32, "momentum": 0.95}, "momentum has 0.95, here 0.5 to 0.9"),
        ({"optimizer": "adam", "units": 48}, "units has 48, here 16 to 64, doubled"),
        ({"optimizer": "adam", "units": "full"}, "units has full, here 16 to 64, doubled"),
        ({"units": 32}, "optimizer has no value"),
    ],
)
def test_a_configuration_outside_is_not_adopted(config, words):
    with pytest.raises(ConfigError, match=words):
        OPTIMIZERS.adopted(config)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=repr)
@given(u=units)
def test_every_value_of_a_parameter_is_adopted(parameter, u):
    config = {"x": parameter.from_unit(u)}
    assert Space({"x": parameter}).adopted(config) == config


def test_what_values_leave_open_is_completed_where_it_is_active():
    defaults = {"optimizer": "adam", "momentum": 0.99, "units": 20}
    assert OPTIMIZERS.completed({}, defaults) == {"optimizer": "adam", "units": 16, "l2": 0.5, "epochs": 9}
    assert OPTIMIZERS.completed({"optimizer": "momentum", "units": 7}, defaults) == {
        "optimizer": "momentum", "momentum": 0.9, "units": 7, "epochs": 9,
    }  # fmt: skip
    outside = {"optimizer": "sgd", "momentum": 0.1, "l2": 3.0, "dropout": 0.5, "units": 1, "epochs": 2}
    assert OPTIMIZERS.completed(outside, defaults) == outside
