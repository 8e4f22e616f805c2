"""The estimators keep scikit-learn's rules, and are the engine's networks."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import hpsearch
from hpsearch.estimators import _split

QUICK = {"layers": 1, "units": 16, "epochs": 60, "learning_rate": 0.01}


@parametrize_with_checks([hpsearch.MLPClassifier(**QUICK), hpsearch.MLPRegressor(**QUICK)])
def test_scikit_learns_rules(estimator, check):
    check(estimator)


def test_it_classifies_and_gives_probabilities():
    X, y = load_wine(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    model = hpsearch.MLPClassifier(random_state=0).fit(X, names)
    shares = model.predict_proba(X)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (model.predict(X) == model.classes_[shares.argmax(1)]).all()
    assert model.score(X, names) > 0.95
    assert 1 <= model.best_epoch_ <= model.n_iter_ <= 100
    assert len(model.loss_curve_) == model.n_iter_


def test_it_predicts_values_in_their_unit():
    X, y = load_diabetes(return_X_y=True)
    assert hpsearch.MLPRegressor(random_state=0, l2=0.1).fit(X, y).score(X, y) > 0.4


def test_it_works_in_pipelines_grids_and_cross_validation():
    X, y = load_wine(return_X_y=True)
    model = make_pipeline(StandardScaler(), hpsearch.MLPClassifier(**QUICK, random_state=0))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.9
    grid = GridSearchCV(hpsearch.MLPClassifier(**QUICK, random_state=0), {"units": [2, 8]}, cv=2).fit(X, y)
    assert grid.best_params_["units"] in (2, 8)


def test_the_same_seed_gives_the_same_network_also_after_pickling():
    X, y = load_wine(return_X_y=True)
    first, second = (hpsearch.MLPClassifier(**QUICK, random_state=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    again = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    other = hpsearch.MLPClassifier(**QUICK, random_state=4).fit(X, y)
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_one_class_and_a_wrong_word_are_refused():
    X, y = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match="y has 1 class"):
        hpsearch.MLPClassifier(**QUICK).fit(X, np.zeros(len(y)))
    with pytest.raises(Exception, match="activation: 'magic' is not one of its values"):
        hpsearch.MLPClassifier(activation="magic").fit(X, y)


def test_large_offsets_and_constant_columns_do_no_harm():
    """1e9 takes all but 2 ** 6 of a float32, and a constant of that size would be an input of that size."""
    X, y = load_wine(return_X_y=True)
    far = np.concatenate([X + 1e9, np.full((len(X), 1), 1.6e9)], axis=1)
    for normalize in ("robust_clip", "piecewise_linear", "piecewise_and_linear"):
        model = hpsearch.MLPClassifier(**QUICK, normalize=normalize, random_state=0).fit(far, y)
        assert model.score(far, y) > 0.95


@pytest.mark.parametrize("share", [-0.1, 1.0, 7])
def test_a_share_of_all_rows_or_less_than_none_cannot_be_set_aside(share):
    X, y = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match="validation_fraction"):
        hpsearch.MLPClassifier(validation_fraction=share).fit(X, y)


def test_grids_of_numpy_are_grids():
    X, y = load_wine(return_X_y=True)
    grid = {"layers": np.arange(1, 3), "learning_rate": np.array([0.01, 0.03]), "batch_norm": [np.True_]}
    found = GridSearchCV(hpsearch.MLPClassifier(**QUICK), grid, cv=2, error_score="raise").fit(X, y)
    assert found.best_score_ > 0.8


@pytest.mark.parametrize(
    ("rows", "classes", "share"), [(50, 10, 0.1), (40, 20, 0.2), (40, 10, 0.9), (30, 0, 0.99), (20, 0, 0.01)]
)
def test_there_are_always_rows_to_learn_from_and_rows_to_judge_by(rows, classes, share):
    labels = np.arange(rows) % classes if classes else np.empty(0, int)
    train, aside = _split(rows, labels, share, np.random.default_rng(0))
    assert len(aside)
    assert sorted([*train, *aside]) == list(range(rows))
    if classes:
        assert set(labels[train]) == set(labels)
    else:
        assert len(train)


def test_where_no_class_has_two_rows_all_are_learned_from():
    train, aside = _split(40, np.arange(40), 0.2, np.random.default_rng(0))
    assert train.tolist() == aside.tolist() == list(range(40))
