"""Which defaults make the networks of a search better? The same configurations, trained under each variant.

    python experiments/benchmarks/strategies/datasets.py            # fetches the sets, once
    python experiments/defaults/run.py --seeds 2 > experiments/defaults/results.md

Configurations are the first of a random search in the default space, over which a variant puts a constant, another
range or one more hyperparameter. Each trial is a line of ../benchmarks/data/defaults.jsonl, and is not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS / "strategies"))

from engine_task import Task, train  # noqa: E402

from hpsearch.strategies.random import RandomStrategy  # noqa: E402
from hpsearch.trial import Trial, TrialState  # noqa: E402

STORE = BENCHMARKS / "data" / "defaults.jsonl"
SETS = ("german", "phoneme", "caravan", "mnist_5k", "california", "letter")
FIRST_SEED = 100  # of the splits: others than those on which searches are compared
BASE = "ema: 0"
EPOCHS = "epochs averaged"  # in a variant: beta by the batch size of each configuration
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {"ema": 0.0},
    "ema: 0.99": {"ema": 0.99},
    "ema over 1 epoch": {EPOCHS: 1},
    "ema over 2 epochs (auto)": {EPOCHS: 2},
    "ema over 4 epochs": {EPOCHS: 4},
    "auto, units to 512": {"units": {"low": 32, "high": 512, "scale": "pow2"}},
    "auto, dropout searched": {"dropout": {"low": 0, "high": 0.5, "step": 0.1}},
    "auto, batch_norm searched": {"batch_norm": [False, True]},
    "auto, cosine": {"schedule": "cosine"},
    "auto, patience 10": {"patience": 10},
    "auto, standard": {"normalize": "standard"},
    "auto, robust_clip": {"normalize": "robust_clip"},
    "auto, piecewise_linear": {"normalize": "piecewise_linear"},
    "auto, piecewise_and_linear": {"normalize": "piecewise_and_linear"},
}


def main() -> None:
    """Train what is not there yet, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas")
    parser.add_argument("--variants", default=",".join(map(str, range(len(VARIANTS)))), help="by number")
    parser.add_argument("--base", type=int, default=0, help="the variant that others are compared with, by number")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=16)
    options = parser.parse_args()
    variants = [list(VARIANTS)[int(number)] for number in options.variants.split(",")]
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        for name in options.sets.split(","):
            for variant in variants:
                complete(name, seed, variant, options.trials)
    print(report(load(), list(VARIANTS)[options.base]))


def load() -> list[dict[str, Any]]:
    """All trials there are."""
    return [json.loads(line) for line in STORE.read_text(encoding="utf-8").splitlines()] if STORE.exists() else []


def complete(name: str, seed: int, variant: str, trials: int) -> None:
    """Train what is lacking of a variant on a set under a split."""
    done = {t["trial"] for t in load() if (t["set"], t["seed"], t["variant"]) == (name, seed, variant)}
    over = VARIANTS[variant].copy()
    epochs = over.pop(EPOCHS, None)
    task = Task.open(name, seed, space=over)
    rows = task.data.rows["train"]
    strategy = RandomStrategy(task.study.search_space(), seed, 1, task.default(), densify=0.0)
    waiting = []
    for number in range(trials):
        config = strategy.ask(number)
        if epochs:
            config["ema"] = math.exp(-1 / (epochs * math.ceil(rows / config["batch_size"])))
        if number not in done:
            waiting.append(Trial(number, config))
    if not waiting:
        return

    def take(result: Any) -> None:
        ended = result.state is TrialState.COMPLETE
        line = {"set": name, "seed": seed, "variant": variant, "trial": result.number, "seconds": result.seconds}
        line |= {"dev": result.metrics[f"dev_{task.metric}"] if ended else math.inf}
        line |= {"test": task.test_score(result) if ended else math.inf}
        with STORE.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    with task.executor(2) as executor:
        train(executor, lambda: waiting.pop(0) if waiting else None, take)
    print(seed, name, variant, file=sys.stderr, flush=True)


def report(trials: list[dict[str, Any]], base: str) -> str:
    """A table of what each variant changes against one of them."""
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for trial in trials:
        found[trial["set"], trial["seed"], trial["variant"]].append(trial)
    pairs = sorted({key[:2] for key in found}, key=lambda pair: (SETS.index(pair[0]), pair[1]))
    sets = [name for name in SETS if any(name == pair[0] for pair in pairs)]
    lines = [f"| variant | {' | '.join(sets)} | all | all, best | time |", f"| --- |{' --: |' * (len(sets) + 3)}"]
    for variant in VARIANTS:
        compared = {p: (found[*p, base], found[*p, variant]) for p in pairs if found[*p, base] and found[*p, variant]}
        if not compared:
            continue
        halves = {
            name: [change(better_half, *both) for pair, both in compared.items() if pair[0] == name] for name in sets
        }
        bests = [change(best, *both) for both in compared.values()]
        times = [change(seconds, *both) for both in compared.values()]
        cells = [f"{100 * fmean(values):+.1f}" if values else "" for values in halves.values()]
        whole = 100 * fmean(fmean(values) for values in halves.values() if values)
        lines.append(
            f"| {variant} | {' | '.join(cells)} | {whole:+.1f} | {100 * fmean(bests):+.1f} "
            f"| x {math.exp(fmean(times)):.2f} |"
        )
    return "\n".join(lines)


def change(look: Any, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> float:
    """The logarithm of how many times as much there is after as before."""
    return math.log(look(after) / look(before))


def better_half(found: list[dict[str, Any]]) -> float:
    """Mean test score of the better half by dev."""
    return fmean(t["test"] for t in sorted(found, key=lambda t: t["dev"])[: len(found) // 2])


def best(found: list[dict[str, Any]]) -> float:
    """Test score of the best by dev."""
    return min(found, key=lambda t: t["dev"])["test"]


def seconds(found: list[dict[str, Any]]) -> float:
    """That all of them took."""
    return sum(t["seconds"] for t in found)


if __name__ == "__main__":
    main()
