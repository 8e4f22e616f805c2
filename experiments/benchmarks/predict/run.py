"""How many rows a second does `hpsearch predict` do, from a Parquet file to a CSV file, and with how much memory?

Run from the root of the project: python experiments/benchmarks/predict/run.py --rows 400000 --repeats 5

A network of 64-64 units on 50 numeric columns. Seconds are of the processor (user and system) of the whole command,
start included, so they are for one core; scikit-learn does the same with its own network of the same size, as a script.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from sklearn.neural_network import MLPClassifier

COLUMNS = 50
PEER = """
import pickle, sys
import numpy as np, polars as pl
model = pickle.load(open(sys.argv[1], "rb"))
shares = model.predict_proba(pl.read_parquet(sys.argv[2]).to_numpy())
out = {"prediction": model.classes_[shares.argmax(1)]} | {f"p_{c}": shares[:, k] for k, c in enumerate(model.classes_)}
pl.DataFrame(out).write_csv(sys.argv[3])
"""


def table(rows, chance):
    X = chance.normal(size=(rows, COLUMNS)).astype(np.float32)
    return X, np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0, "yes", "no")


def frame(X):
    return pl.DataFrame({f"x{i}": X[:, i] for i in range(COLUMNS)})


def measured(words):
    """Processor seconds of a command, and the most memory that it held, in MB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL);"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder, sizes = Path(name), (args.rows, 4 * args.rows)
        X, y = table(4000, chance)
        frame(X).with_columns(y=pl.Series(y)).write_parquet(folder / "train.parquet")
        hpsearch = [sys.executable, "-m", "hpsearch"]
        words = ["random", folder / "train.parquet", "-n", 1, "--epochs", 3, "-p", "layers=2", "-p", "units=64", "-q"]
        search = [*hpsearch, *map(str, words), "--finalists", "0", "-o", str(folder / "run")]
        subprocess.run(search, check=True, stdout=subprocess.DEVNULL)
        peer = folder / "peer.pickle"
        peer.write_bytes(pickle.dumps(MLPClassifier((64, 64), max_iter=3).fit(X, y)))
        for rows in sizes:
            frame(table(rows, chance)[0]).write_parquet(folder / f"{rows}.parquet")
        ways = {
            "hpsearch predict": [*hpsearch, "predict", folder / "run", "{}", "-o", folder / "out.csv"],
            "scikit-learn": [sys.executable, "-c", PEER, peer, "{}", folder / "out.csv"],
        }
        found = {(way, rows): [] for way in ways for rows in sizes}
        for _ in range(args.repeats):
            for (way, rows), runs in found.items():
                runs.append(measured([folder / f"{rows}.parquet" if word == "{}" else word for word in ways[way]]))
    print(f"| | {' | '.join(f'{rows:,} rows' for rows in sizes)} |\n|---|---|---|")
    for way in ways:
        middles = [[median(column) for column in zip(*found[way, rows], strict=True)] for rows in sizes]
        cells = [
            f"{rows / seconds:,.0f} rows/s, {memory:,.0f} MB"
            for rows, (seconds, memory) in zip(sizes, middles, strict=True)
        ]
        print(f"| {way} | {' | '.join(cells)} |")
    print(f"\nMedians of {args.repeats}.")


if __name__ == "__main__":
    main()
