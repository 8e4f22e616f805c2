"""One peer on one set: trains on the rows of train and dev, prints the test score as JSON. Run by run.py.

    python peer.py hgb|flaml|sklearn SET SEED SECONDS JOBS

- hgb: scikit-learn's HistGradientBoosting with its defaults, texts as categories.
- flaml: FLAML's AutoML for SECONDS, its own choice of learners and resampling, texts as categories.
- sklearn: RandomizedSearchCV over MLPClassifier or MLPRegressor for SECONDS (../strategies/engine_sklearn.py), judged
  on dev; then the best is trained on both parts, as refit=True does, outside of the time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STRATEGIES = HERE.parent / "strategies"
sys.path.insert(0, str(STRATEGIES))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from engine_notes import noted  # noqa: E402
from engine_task import Task  # noqa: E402
from sklearn.metrics import log_loss, root_mean_squared_error  # noqa: E402


def tables(task):
    """X and y of train and dev together, and of test, as a DataFrame of pandas with texts as categories."""
    from hpsearch.data.dataset import _open  # noqa: PLC0415 - the same rows in the same parts

    table = _open(**task.study.data.loading())
    target = table.description.target
    rows = np.concatenate([table.rows["train"], table.rows["dev"]])
    whole = table.frame.drop(target).to_pandas()
    for name in whole.columns:
        if not pd.api.types.is_numeric_dtype(whole[name]):
            whole[name] = whole[name].astype("category")
    y = table.frame[target].to_numpy()
    if task.data.classes:
        y = task.data.target.labels(table.frame[target])
    return whole.iloc[rows], y[rows], whole.iloc[table.rows["test"]], y[table.rows["test"]]


def score(task, model, X, y):
    """Log loss or RMSE, in the units of hpsearch."""
    if task.data.classes:
        return float(log_loss(y, model.predict_proba(X), labels=range(len(task.data.classes))))
    return float(root_mean_squared_error(y, model.predict(X)))


def hgb(task, seed, *_):
    """HistGradientBoosting as it comes, however long that takes."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: PLC0415

    X, y, X_test, y_test = tables(task)
    kind = HistGradientBoostingClassifier if task.data.classes else HistGradientBoostingRegressor
    model = kind(random_state=seed, categorical_features="from_dtype").fit(X, y)
    return score(task, model, X_test, y_test), "default"


def flaml(task, seed, seconds, jobs):
    """FLAML for so many seconds."""
    from flaml import AutoML  # noqa: PLC0415

    X, y, X_test, y_test = tables(task)
    model = AutoML()
    kind = "classification" if task.data.classes else "regression"
    metric = "log_loss" if task.data.classes else "rmse"
    model.fit(X, y, task=kind, metric=metric, time_budget=seconds, n_jobs=jobs, seed=seed, verbose=0)
    return score(task, model, X_test, y_test), model.best_estimator


def sklearn(task, seed, seconds, jobs):
    """RandomizedSearchCV over MLPs, then the best on all rows."""
    import engine_sklearn  # noqa: PLC0415
    from sklearn.compose import make_column_transformer  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    name = Path(task.study.data.source).name.split(".")[0]
    with tempfile.TemporaryDirectory() as folder:
        file, start = Path(folder) / "noted.jsonl", time.time()
        words = ["sklearn", name, str(seed), str(jobs), str(start + seconds), str(file)]
        process = subprocess.Popen(
            [sys.executable, STRATEGIES / "engine_peers.py", *words], start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        best = min(noted(file, start + seconds), key=lambda line: line["dev"], default={"what": {}})["what"]
    parts = [task.data.part("train", "none"), task.data.part("dev", "none"), task.test_part("none")]
    classes = bool(task.data.classes)
    X = np.concatenate([part.inputs for part in parts[:2]])
    y = np.concatenate([part.labels if classes else part.targets.ravel() for part in parts[:2]])
    scale = make_column_transformer((StandardScaler(), task.data.preparation.numeric_mask), remainder="passthrough")
    kind = engine_sklearn.MLPClassifier if classes else engine_sklearn.MLPRegressor
    best = {key: tuple(value) if isinstance(value, list) else value for key, value in best.items()}
    network = kind(early_stopping=True, max_iter=task.study.longest_trial(), random_state=seed, **best)
    model = make_pipeline(scale, network).fit(X, y)
    test = parts[2]
    if classes:
        return score(task, model, test.inputs, test.labels), best
    return float(np.sqrt(np.mean((model.predict(test.inputs) - test.targets.ravel()) ** 2))) * task.data.target_sd, best


def main():
    """Train as the arguments say."""
    peer, name, seed, seconds, jobs = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    task = Task.open(name, seed, ("none",))
    found, what = {"hgb": hgb, "flaml": flaml, "sklearn": sklearn}[peer](task, seed, seconds, jobs)
    print(json.dumps({"test": found, "what": str(what)}))


if __name__ == "__main__":
    main()
