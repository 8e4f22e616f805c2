"""Studies: precedence, types by schema, what the data decides, and messages."""

from pathlib import Path

import pytest

from hpsearch import strict_yaml
from hpsearch.config import default_configuration, load_study, resolve, wanted_normalizations
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
        defaults = default_configuration(rows)
        nearest = space.nearest(defaults)
        assert {name: nearest[name] for name in ("layers", "units", "batch_size", "activation", "normalize")} == {
            name: defaults[name] for name in ("layers", "units", "batch_size", "activation", "normalize")
        }
    assert default_configuration(300)["units"] < default_configuration(300_000)["units"] == 256


def test_conditions_survive_an_override():
    over = {"momentum": {"low": "0.6", "high": "0.7"}}
    study = load_study(
        None,
        {"space": {"optimizer": ["momentum", "adam"], "momentum": {"value": "0.5", "when": {"optimizer": "momentum"}}}},
    )
    assert resolved(study, over).search_space().conditions == {"momentum": {"optimizer": ("momentum",)}}


def test_wanted_normalizations():
    assert wanted_normalizations(load_study(None, {})) == ("robust_clip", "standard")
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
        ({"budget.timeout": "3x"}, "budget.timeout: '3x': it must be a time such as 45s, 30m or 1.5h"),
        ({"budget.timeout": "0"}, "budget.timeout: '0': it must be greater than 0"),
        ({"budget.trials": "0"}, "budget.trials: '0': it must be greater than or equal to 1"),
        ({"seed": "-1"}, "seed: '-1': it must be greater than or equal to 0"),
        ({"seed": "x"}, "seed: 'x': it must be a valid integer"),
        (
            {"data.split.test": "0.5"},
            "data.split: train 0.6, dev 0.2, test 0.5: they must add up to 1, and only test may be 0",
        ),
        ({"goal": "nan"}, "goal: 'nan': it must be a finite number"),
        ({"space": ["lr"]}, "space: ['lr']: it must be a valid dictionary"),
        ({"space.lrr": "1"}, "'lrr' is not a hyperparameter; did you mean 'lr'?"),
    ],
)
def test_mistakes_are_one_line_with_key_value_and_what_is_allowed(overrides, message):
    with pytest.raises(ConfigError) as caught:
        load_study(None, overrides)
    assert str(caught.value).removeprefix("study: ") == message


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
