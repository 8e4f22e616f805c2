"""Studies: precedence, types by schema, what the data decides, and messages."""

import re
from pathlib import Path

import pytest

from hpsearch import strict_yaml
from hpsearch.config import (
    THRIFT,
    BudgetConfig,
    EnsembleConfig,
    StrategyConfig,
    default_configuration,
    default_space,
    first_configuration,
    load_study,
    resolve,
    wanted_normalizations,
)
from hpsearch.errors import ConfigError

CONTRACT_STUDY = """
data:   {source: churn.csv, target: churned, task: auto, split: {train: 0.6, dev: 0.2, test: 0.2, seed: 0}, group: null,
         missing: auto, categorical: auto}
metric: log_loss
budget: {trials: 100, epochs: 60, timeout: 30m, trial_timeout: null}
seed: 7
space:
  learning_rate: {low: 1e-5, high: 1e-1, log: true}
  layers:        {low: 1, high: 4}
  l2:            1e-4
strategy: {name: random}
"""


@pytest.fixture
def study_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(CONTRACT_STUDY, encoding="utf-8")
    return path


def resolved(study, over=None, rows=1000):
    return resolve(study, target="y", task="classification", train_rows=rows, space_overrides=over)


def test_the_contract_s_study_loads_with_its_types(study_file):
    study = load_study(study_file, {})
    assert study.seed == 7
    assert study.budget.timeout == 1800.0
    assert study.budget.trials == 100
    assert study.space["l2"] == 1e-4
    assert study.data.split.test == 0.2


def test_a_name_that_looks_like_a_number_stays_a_name(study_file):
    study = load_study(study_file, {"data.target": "695e0514", "data.drop": ["2020", "010"]})
    assert study.data.target == "695e0514"
    assert study.data.drop == ("2020", "010")


def test_flags_win_over_the_file_and_the_file_over_defaults(study_file):
    study = resolved(load_study(study_file, {"seed": 9, "budget.epochs": 5}), {"l2": "1e-2"})
    assert (study.seed, study.budget.epochs, study.space["epochs"], study.space["l2"]) == (9, 5, 5, 1e-2)
    assert study.space["learning_rate"] == {"low": 1e-5, "high": 1e-1, "log": True}
    assert study.metric == "log_loss"


def test_a_resolved_study_runs_again_as_it_is(study_file, tmp_path):
    first = resolved(load_study(study_file, {}))
    again = tmp_path / "again.yaml"
    again.write_text(strict_yaml.dump(first.to_dict()), encoding="utf-8")
    assert resolved(load_study(again, {})).to_dict() == first.to_dict()


EVERY_KIND = """
data: {image_shape: [8, 8]}
space:
  layers: 2
  batch_norm: [true, false]
  dropout: [0.1, 0.3]
  optimizer: [sgd, momentum, nesterov, adamw]
  momentum: {low: 0.5, high: 0.99, log: reversed}
  momentum_correction: true
  beta1: {values: [0.8, 0.9], when: {optimizer: adamw}}
  weight_decay: [auto, 0.1]
  class_weight: [none, [1, 2]]
  augment: {shift: 2, rotate: {low: 0, high: 20}, scale: 0.1}
"""


def test_a_resolved_study_of_every_kind_has_the_same_space_again(tmp_path):
    def space_of(text):
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        keywords = {"target": "y", "task": "classification", "train_rows": 100, "classes": [0, 1]}
        return resolve(load_study(tmp_path / "study.yaml", {}), **keywords, image_shape=(8, 8))

    first = space_of(EVERY_KIND)
    again = space_of(strict_yaml.dump(first.to_dict()))
    assert repr(again.search_space()) == repr(first.search_space())
    assert again.to_dict() == first.to_dict()
    # beta1's is what would be implied too, so it need not be said.
    assert first.search_space().conditions == {
        "momentum": {"optimizer": ("momentum", "nesterov")},
        "momentum_correction": {"optimizer": ("momentum", "nesterov")},
        "beta1": {"optimizer": ("adamw",)},
    }
    assert "when" not in strict_yaml.dump(first.to_dict())


def test_the_data_file_is_found_beside_the_study(study_file):
    (study_file.parent / "churn.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert load_study(study_file, {}).data.source == str(study_file.parent / "churn.csv")


def test_metric_follows_the_task():
    study = load_study(None, {})
    assert resolve(study, target="y", task="regression", train_rows=10).metric == "rmse"
    with pytest.raises(ConfigError, match="'auc' does not fit regression; allowed: rmse, mae, r2"):
        resolve(load_study(None, {"metric": "auc"}), target="y", task="regression", train_rows=10)


def test_default_space_when_none_is_said_and_p_goes_over_it():
    plain = resolved(load_study(None, {})).search_space()
    over = resolved(load_study(None, {}), {"learning_rate": "0.01"}).search_space()
    assert "learning_rate" in plain.parameters
    assert over.constants["learning_rate"] == 0.01
    assert set(over.parameters) == set(plain.parameters) - {"learning_rate"}


def test_a_grid_searches_only_what_is_named():
    study = load_study(None, {"strategy.name": "grid"})
    space = resolved(study, {"learning_rate": ["1e-3", "1e-2"]}).search_space()
    assert list(space.parameters) == ["learning_rate"]


def test_the_default_trial_lies_in_the_default_space_and_grows_with_the_data():
    for rows in (30, 300, 3000, 300_000):
        space = resolved(load_study(None, {}), rows=rows).search_space()
        defaults = first_configuration(space, rows)
        nearest = space.nearest(defaults)
        assert {name: nearest[name] for name in ("layers", "units", "batch_size", "activation", "normalize")} == {
            name: defaults[name] for name in ("layers", "units", "batch_size", "activation", "normalize")
        }
    assert default_configuration(300)["units"] < default_configuration(300_000)["units"] == 256


@pytest.mark.parametrize(
    ("normalize", "first"),
    [
        (["robust_clip", "piecewise_linear"], "piecewise_linear"),
        (["standard", "robust_clip"], "robust_clip"),
        ("robust_clip", None),
    ],
)
def test_a_search_begins_with_bins_where_they_may_be_chosen(normalize, first):
    space = resolved(load_study(None, {}), {"normalize": normalize}).search_space()
    found = space.nearest(first_configuration(space, 1000))
    assert found["normalize"] == (first or space.constants["normalize"])
    other = resolved(load_study(None, {})).search_space()
    assert {**other.nearest(default_configuration(1000)), "normalize": found["normalize"]} == {
        **other.nearest(first_configuration(other, 1000)), "normalize": found["normalize"],
    }  # fmt: skip


def test_the_default_space_moves_images_and_nothing_else():
    """The default trial stays the plain one; pixels have no bins."""
    moved, plain = default_space(1000, images=True), default_space(1000)
    assert moved.pop("augment") == ["none", "shift+rotate+scale"]
    assert (plain.pop("normalize"), moved.pop("normalize")) == (
        ["piecewise_linear", "piecewise_and_linear"], ["robust_clip", "standard"],
    )  # fmt: skip
    assert default_space(200_000)["normalize"] == ["robust_clip", "standard"], "bins take up to 128 times the room"
    assert moved == plain
    space = resolve(
        load_study(None, {}), target="y", task="regression", train_rows=1000, image_shape=(8, 8)
    ).search_space()
    assert space.parameters["augment"].choices == ("none", "shift+rotate+scale")
    assert space.nearest(default_configuration(1000))["augment"] == "none"


def test_the_default_space_has_no_conditions():
    assert resolved(load_study(None, {})).search_space().conditions == {}


@pytest.mark.parametrize("value", [["0.1", "0.3"], {"values": ["0.1", "0.3"]}, "0.1", {"low": "0", "high": "0.5"}])
def test_a_condition_stays_whatever_form_the_override_has(value):
    spec = {"layers": "2", "activation": ["relu", "tanh"], "dropout": {"value": "0.2", "when": {"activation": "relu"}}}
    space = resolved(load_study(None, {"space": spec}), {"dropout": value}).search_space()
    assert space.conditions == {"dropout": {"activation": ("relu",)}}
    found = resolved(load_study(None, {"space": spec | {"dropout": value}})).search_space()
    assert space.parameters == found.parameters
    assert space.constants == found.constants


def test_a_parent_that_an_override_fixes_frees_its_children():
    study = load_study(None, {"space": {"optimizer": ["sgd", "momentum"], "momentum": {"low": "0.5", "high": "0.9"}}})
    assert resolved(study).search_space().conditions == {"momentum": {"optimizer": ("momentum",)}}
    assert resolved(study, {"optimizer": "momentum"}).search_space().conditions == {}


def test_conditions_survive_an_override():
    over = {"momentum": {"low": "0.6", "high": "0.7"}}
    study = load_study(
        None,
        {"space": {"optimizer": ["momentum", "adam"], "momentum": {"value": "0.5", "when": {"optimizer": "momentum"}}}},
    )
    assert resolved(study, over).search_space().conditions == {"momentum": {"optimizer": ("momentum",)}}


def test_wanted_normalizations():
    assert wanted_normalizations(load_study(None, {})) == ("piecewise_linear", "piecewise_and_linear")
    assert wanted_normalizations(load_study(None, {}), {"normalize": "minmax"}) == ("minmax",)
    assert wanted_normalizations(load_study(None, {"space": {"lr": "1"}})) == ("robust_clip",)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sed": "3"}, "sed: there is no such key; did you mean 'seed'?"),
        ({"budget.trial": "3"}, "budget.trial: there is no such key; did you mean 'trials'?"),
        ({"data.split.tset": "0"}, "data.split.tset: there is no such key; did you mean 'test'?"),
        ({"metric": "logloss"}, "metric: 'logloss' is not allowed; did you mean 'log_loss'?"),
        ({"strategy.name": "rondom"}, "strategy.name: 'rondom' is not allowed; did you mean 'random'?"),
        ({"budget.trial_memory": "3x"}, "budget.trial_memory: '3x': it must be a size such as 500M, 2G or 2GiB"),
        ({"budget.trial_memory": "0"}, "budget.trial_memory: '0': it must be greater than 0"),
        ({"budget.timeout": "3x"}, "budget.timeout: '3x': it must be a time such as 45s, 30m or 1.5h"),
        ({"budget.timeout": "0"}, "budget.timeout: '0': it must be greater than 0"),
        ({"budget.trials": "0"}, "budget.trials: '0': it must be greater than or equal to 1"),
        ({"seed": "-1"}, "seed: '-1': it must be greater than or equal to 0"),
        ({"seed": "x"}, "seed: 'x': it must be a valid integer"),
        (
            {"data.split.train": 0.6, "data.split.dev": 0.2, "data.split.test": "0.5"},
            "data.split: train 0.6, dev 0.2, test 0.5: they must add up to 1, and only test may be 0",
        ),
        (
            {"data.split.train": 0.9, "data.split.dev": 0.3},
            "data.split: train 0.9, dev 0.3, test 0.2: they must add up to 1, and only test may be 0",
        ),
        ({"data.split.test": 1}, "data.split: train 0, dev 0, test 1: they must add up to 1, and only test may be 0"),
        ({"prune": True, "prune.rungs": 3}, "prune: {'rungs': 3} is not allowed; allowed: auto, true, false"),
        ({"seed": 3, "seed.root": 4}, "seed: {'root': 4}: it must be a valid integer"),
        ({"goal": "nan"}, "goal: 'nan': it must be a finite number"),
        ({"space": ["lr"]}, "space: ['lr']: it must be a valid dictionary"),
        ({"finalists": "3"}, "finalists: '3': it must be a mapping of top, seeds"),
        (
            {"budget": "30"},
            "budget: '30': it must be a mapping of trials, epochs, timeout, trial_timeout, trial_memory",
        ),
        ({"prune": "sometimes"}, "prune: 'sometimes' is not allowed; allowed: auto, true, false"),
        ({"space.lrr": "1"}, "'lrr' is not a hyperparameter; did you mean 'lr'?"),
        (
            {"space.augment.rotat": "1"},
            "space: 'augment.rotat' is not a hyperparameter; did you mean 'augment.rotate'?",
        ),
        *(
            (
                {"data.image_shape": shape},
                f"data.image_shape: {shape!r}: it must be auto, null, [height, width] or [height, width, channels]",
            )
            for shape in ("8x8", ["8"], ["8", "0"], ["8", "-8"], ["8", "8.5"], ["8", "9" * 5000], ["1"] * 4, {"h": "8"})
        ),
    ],
)
def test_mistakes_are_one_line_with_key_value_and_what_is_allowed(overrides, message):
    with pytest.raises(ConfigError) as caught:
        load_study(None, overrides)
    assert str(caught.value).removeprefix("study: ") == message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("auto", "auto"),
        (None, None),
        (["8", "8"], (8, 8)),
        (["32", "32", "3"], (32, 32, 3)),
    ],
)
def test_the_shape_of_images(said, expected):
    study = load_study(None, {"data.image_shape": said})
    assert study.data.loading()["image_shape"] == study.data.image_shape == expected


def test_a_resolved_study_says_what_shape_images_have(tmp_path):
    keywords = {"target": "y", "task": "classification", "train_rows": 100}
    shown = resolve(load_study(None, {}), **keywords, image_shape=(8, 8)).to_dict()
    assert shown["data"]["image_shape"] == [8, 8]
    (tmp_path / "again.yaml").write_text(strict_yaml.dump(shown), encoding="utf-8")
    assert load_study(tmp_path / "again.yaml", {}).data.image_shape == (8, 8)
    assert resolve(load_study(None, {}), **keywords).data.image_shape is None


@pytest.mark.parametrize(
    ("said", "overrides", "expected"),
    [
        ("shift", {"augment.rotate": "10"}, {"augment": "shift", "augment.rotate": 10.0}),
        ({"shift": "2"}, {"augment.rotate": "10"}, {"augment.shift": 2.0, "augment.rotate": 10.0}),
        ({"rotate": "2"}, {"augment.rotate": "10"}, {"augment.rotate": 10.0}),
        (
            {"rotate": {"low": "0", "high": "2"}},
            {"augment.rotate.high": "10"},
            {"augment.rotate": {"low": 0, "high": 10}},
        ),
        ({"rotate": "2", "shift": "1"}, {"augment": {"scale": "0.1"}}, {"augment.scale": 0.1}),
        ({"rotate": "2", "shift": "1"}, {"augment": "none"}, {"augment": "none"}),
        ({"rotate": "2"}, {"augment": "none", "augment.noise": "1"}, {"augment": "none", "augment.noise": 1.0}),
        (None, {"augment.rotate": "10"}, {"augment.rotate": 10.0}),
    ],
)
def test_set_reaches_into_augment(tmp_path, said, overrides, expected):
    (tmp_path / "study.yaml").write_text(strict_yaml.dump({"space": {"augment": said}} if said else {}))
    study = load_study(tmp_path / "study.yaml", {f"space.{name}": value for name, value in overrides.items()})
    assert study.space == expected


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"augment": "none"}, {"augment": "none"}),
        ({"augment.shift": "1"}, {"augment.shift": 1.0, "augment.noise": 0.5}),
        ({"augment": "noise", "augment.noise": "1"}, {"augment": "noise", "augment.noise": 1.0}),
    ],
)
def test_p_says_augment_anew_or_one_strength(over, expected):
    study = load_study(None, {"space": {"augment": {"shift": "3", "noise": "0.5"}}})
    keywords = {"target": "y", "task": "classification", "train_rows": 100, "image_shape": (8, 8)}
    space = resolve(study, **keywords, space_overrides=over).space
    assert {name: value for name, value in space.items() if name.startswith("augment")} == expected


def test_set_takes_short_forms_for_full_names(tmp_path):
    (tmp_path / "study.yaml").write_text("space: {lr: {low: 0.1, high: 1}, hidden: [4]}")
    study = load_study(tmp_path / "study.yaml", {"space.lr.low": "0.5", "space.layers": "1"})
    assert study.space == {"learning_rate": {"low": 0.5, "high": 1.0}, "layers": 1}


@pytest.mark.parametrize(
    ("space", "keywords", "message"),
    [
        ({"loss": "huber"}, {}, "loss: 'huber' does not fit classification"),
        (
            {"class_weight": ["1", "2", "3"]},
            {"classes": ["no", "yes"]},
            "number of weights 3, of classes 2 ('no', 'yes')",
        ),
        ({"augment": "shift"}, {}, "data.image_shape"),
        ({"warmup": "5", "epochs": "5"}, {}, "warmup: 5.0 epochs must be fewer than the 5 of a trial"),
        ({"dropout": ["0.1"]}, {}, "dropout: [0.1]: number of values 1, of hidden layers 3"),
    ],
)
def test_a_space_that_does_not_fit_the_data(space, keywords, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(load_study(None, {"space": space}), target="y", task="classification", train_rows=100, **keywords)


def test_trial_0_of_a_searched_strength_is_without():
    study = load_study(None, {"space": {"augment": {"noise": {"low": "0", "high": "1"}}}})
    assert resolved(study).search_space().nearest(default_configuration(100))["augment.noise"] == 0.0


def test_epochs_are_said_once():
    with pytest.raises(ConfigError, match="leave one out"):
        resolved(load_study(None, {"budget.epochs": "5", "space": {"epochs": {"low": "5", "high": "9"}}}))
    assert resolved(load_study(None, {"budget.epochs": "5"}), {"epochs": "7"}).budget.epochs == 7
    searched = resolved(load_study(None, {}), {"epochs": {"low": "5", "high": "9"}})
    assert searched.budget.epochs is None
    assert resolved(load_study(None, {}), {"epochs": "7"}).budget.epochs == 7


def test_a_study_must_be_a_mapping(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="a study is a mapping"):
        load_study(Path(path), {})


def test_the_longest_trial_of_listed_epochs_is_not_the_last_of_the_list():
    study = resolved(load_study(None, {"space": {"epochs": ["30", "90", "10"]}}))
    assert study.longest_trial() == 90


@pytest.mark.parametrize(
    ("budget", "said", "before", "expected"),
    [
        ({}, {}, {}, 0.0),
        ({"trials": 40}, {}, {}, 0.0),
        ({"timeout": 60}, {}, {}, THRIFT),
        ({"timeout": 60, "trials": 40}, {}, {}, 0.0),  # the time is a safety net
        ({"timeout": 60}, {"thrift": 0.0}, {}, 0.0),
        ({}, {"thrift": 2.5}, {}, 2.5),
        ({"timeout": 60}, {}, {"lag": 8, "thrift": 0.0}, 0.0),
        ({"timeout": 60}, {}, {"lag": 8}, None),  # a run that began before there was thrift
        ({"trials": 40}, {}, {"lag": 8, "thrift": THRIFT}, THRIFT),
    ],
)
def test_cost_counts_where_only_time_is_short_and_stays_as_it_began(budget, said, before, expected):
    strategy = StrategyConfig(name="evolve", **said).begun(BudgetConfig(**budget), before)
    assert strategy.thrift == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budget: 30", "budget: '30': it must be a mapping of trials, epochs, timeout, trial_timeout, trial_memory"),
        ("strategy: [evolve]", "strategy: ['evolve']: it must be a mapping of name, lag, planned,"),
        ("space: [lr]", "space: ['lr']: it must be a valid dictionary"),
        ("ensemble: perhaps", "ensemble: 'perhaps': it must be true, false, or size and top"),
    ],
)
def test_a_flag_for_a_key_beneath_does_not_hide_a_mistake(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    over = {"budget.trials": "5", "strategy.name": "random", "space.units": "8", "ensemble.top": "5"}
    with pytest.raises(ConfigError) as caught:
        load_study(tmp_path / "study.yaml", over)
    assert message in str(caught.value)


def test_a_flag_for_a_key_beneath_leaves_an_ensemble_as_it_was_said(tmp_path):
    (tmp_path / "study.yaml").write_text("ensemble: false")
    assert load_study(tmp_path / "study.yaml", {"ensemble.top": "5"}).ensemble == EnsembleConfig(size=0, top=5)
    (tmp_path / "study.yaml").write_text("ensemble:")
    assert load_study(tmp_path / "study.yaml", {"ensemble.top": "5"}).ensemble == EnsembleConfig(top=5)


@pytest.mark.parametrize(
    ("said", "shares"),
    [
        ({"test": 0}, (0.75, 0.25, 0)),
        ({"test": "0.1"}, (0.675, 0.225, 0.1)),
        ({"train": 0.8}, (0.8, 0.1, 0.1)),
        ({"train": 0.7, "dev": 0.3}, (0.7, 0.3, 0)),
        ({"dev": 0.25, "test": 0.25}, (0.5, 0.25, 0.25)),
        ({"seed": 4}, (0.6, 0.2, 0.2)),
    ],
)
def test_shares_that_are_not_said_are_what_is_left(said, shares):
    split = load_study(None, {f"data.split.{name}": share for name, share in said.items()}).data.split
    assert (split.train, split.dev, split.test) == pytest.approx(shares)


def test_another_strategy_does_not_take_over_the_lag_of_a_panda(tmp_path):
    """Which is 1 because it tends one model, and would keep all processes but one idle."""
    file = tmp_path / "study.yaml"
    file.write_text("strategy: {name: panda, lag: 1, planned: 20}\n", encoding="utf-8")
    assert load_study(file, {"strategy.name": "evolve"}).strategy.lag is None
    assert load_study(file, {"strategy.name": "evolve", "strategy.lag": 3}).strategy.lag == 3
    assert load_study(file, {"strategy.name": "panda"}).strategy.lag == 1
    file.write_text("strategy: {name: random, lag: 1}\n", encoding="utf-8")
    assert load_study(file, {"strategy.name": "evolve"}).strategy.lag == 1
