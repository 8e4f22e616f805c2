"""What all tests share: warnings to pass over, small data sets, made-up results."""

import copy
import datetime as dt
import os

import numpy as np
import polars as pl
import pytest

from hpsearch.data.dataset import load_dataset
from hpsearch.data.sharing import save_shared
from hpsearch.engine.layout import CURVES
from hpsearch.trial import TrialResult, TrialState

STUDY = {
    "data": {"source": "wine", "target": "cultivar", "task": "classification", "split": {"train": 0.6, "seed": 0}},
    "metric": "log_loss",
    "goal": None,
    "budget": {"trials": 4, "epochs": 3, "timeout": None, "trial_timeout": None},
    "max_failures": None,
    "seed": 0,
    "space": {
        "optimizer": ["adam", "momentum"],
        "momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": "momentum"}},
        "learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
        "hidden": [[64], [64, 32]],
    },
    "strategy": {"name": "random", "points": 3},
}
DATA = {"task": "classification", "sha256": "0" * 64, "rows": {"train": 106, "dev": 36, "test": 36}}
METRICS = ("dev_log_loss", "train_log_loss", "dev_accuracy", "train_accuracy")


def pytest_addoption(parser):
    parser.addoption("--torture", action="store_true", help="faults by the thousand; takes an hour")


def pytest_configure(config):
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        # Compiled arithmetic is silent where SplitMix64 counts modulo 2^64 and where a diverging network overflows.
        config.addinivalue_line("filterwarnings", "ignore:(overflow|invalid value|divide by zero):RuntimeWarning")


@pytest.fixture(scope="session")
def wine():
    return load_dataset("wine", normalize=("robust_clip", "standard"))


@pytest.fixture(scope="session")
def shared_wine(wine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wine") / "shared"
    save_shared(wine, folder / "0")
    return folder


@pytest.fixture(scope="session")
def line_file(tmp_path_factory):
    """A regression: y is a noisy line in x, far from 0 and with a spread far from 1."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 120))
    file = tmp_path_factory.mktemp("line") / "line.csv"
    rows = (f"{a!r},{b!r}" for a, b in zip(x.tolist(), (500 + 40 * x + noise).tolist(), strict=True))
    file.write_text("x,y\n" + "\n".join(rows) + "\n")
    return file


@pytest.fixture(scope="session")
def line_data(line_file):
    return load_dataset(line_file)


@pytest.fixture(scope="session")
def copy_study_facts():
    """A function that says what open_run is told of a study and its data; copies that a test may change."""
    return lambda: (copy.deepcopy(STUDY), copy.deepcopy(DATA))


@pytest.fixture
def study_facts(copy_study_facts):
    return copy_study_facts()


@pytest.fixture(scope="session")
def make_result():
    """A function that makes up the result of a trial; `score` None makes a failure."""

    def make(number, score=0.5, **changes):
        config = {"optimizer": "adam", "learning_rate": 0.001 * (number + 1), "hidden": [64, 32]}
        if score is None:
            found = {"state": TrialState.FAIL, "error": "diverged: the loss is no longer finite in epoch 1, update 2"}
        else:
            metrics = dict(zip(METRICS, (score, score / 2, 0.9, 1.0), strict=True))
            found = {"state": TrialState.COMPLETE, "metrics": metrics, "best_epoch": 2, "epochs": 3}
        curves = {name: [0.1 * number + i, 1 / 3, 0.25] for i, name in enumerate(CURVES)}
        times = {"started": 1e9 + number, "seconds": 0.125 * (number + 1), "worker": number % 2}
        sizes = {"updates": 21, "parameters": 2947, "gflop": 0.01, "curves": curves}
        return TrialResult(number, **{"config": config} | sizes | times | found | changes)

    return make


@pytest.fixture(scope="session")
def churn_csv(tmp_path_factory):
    """Numbers, text, booleans, gaps, dates, an id, a constant, a leak and repeated rows; `churned` depends on three."""
    random = np.random.default_rng(1)
    rows = 400
    age = random.integers(18, 90, rows)
    plan = random.choice(["basic", "plus", "pro"], rows)
    spend = np.exp(random.normal(3, 1, rows))
    churned = random.random(rows) < 1 / (
        1 + np.exp(-(0.05 * (age - 50) + 2.0 * (plan == "basic") - 0.5 * np.log(spend)))
    )
    day = dt.date(2020, 1, 1)
    frame = pl.DataFrame(
        {
            "customer_id": [f"C{i:06d}" for i in range(rows)],
            "age": age,
            "plan": plan,
            "monthly spend": [None if i % 10 == 0 else round(float(s), 2) for i, s in enumerate(spend)],
            "active": random.random(rows) < 0.6,
            "signup": [day + dt.timedelta(days=int(d)) for d in random.integers(0, 1500, rows)],
            "shop": ["north"] * rows,
            "left_us": np.where(churned, "y", "n"),
            "churned": np.where(churned, "yes", "no"),
        }
    )
    path = tmp_path_factory.mktemp("churn") / "my.csv"
    pl.concat([frame, frame[:20]]).write_csv(path)
    return path
