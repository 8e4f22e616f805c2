"""What the runs of engine.py say: ranks, regrets with intervals, and the scores by set, in Markdown."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from engine_task import SECOND_MARKS, TRIAL_MARKS
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Run = dict[str, Any]
    Pair = tuple[str, int]

RESAMPLES = 5000
WORST = 2.0  # regrets end here, or a single diverged network would decide a mean


class Runs:
    """The runs of the pairs (set, seed) on which every one of the searches was run."""

    def __init__(self, runs: Iterable[Run], searches: list[str]) -> None:
        by_pair: dict[Pair, dict[str, Run]] = defaultdict(dict)
        for run in runs:
            by_pair[run["set"], run["seed"]][run["search"]] = run
        self.searches = searches
        self.by_pair = {pair: found for pair, found in by_pair.items() if len(found) == len(searches)}
        self.best = {pair: min(map(lowest, found.values())) for pair, found in self.by_pair.items()}
        firsts = defaultdict(list)
        for pair, found in self.by_pair.items():
            starts = [at_trial(run, 1) for run in found.values()]
            firsts[pair[0]] += [start - self.best[pair] for start in starts if start is not None]
        self.scale = {name: max(float(np.median(gaps)), 1e-12) for name, gaps in firsts.items() if gaps}

    def regret(self, pair: Pair, score: float) -> float:
        """0 for the best score known, 1 as far from it as a first trial usually is."""
        return min((score - self.best[pair]) / self.scale.get(pair[0], 1.0), WORST)

    def scores(self, searches: list[str], look: Callable[[Run], float | None]) -> dict[Pair, list[float]]:
        """Of the searches, by pair; only those pairs where all of them have one."""
        found = {pair: [look(runs[search]) for search in searches] for pair, runs in self.by_pair.items()}
        return {pair: values for pair, values in found.items() if None not in values}


def lowest(run: Run) -> float:
    """The best test score that the run ever had."""
    tests = [point["test"] for point in run["points"] if point["test"] is not None]
    return min([*tests, run["constant"], *([run["finals"]["test"]] if run["finals"] else [])])


def at_trial(run: Run, mark: int) -> float | None:
    """The test score after so many trials; None if it did not come so far, or had no model."""
    points = [point for point in run["points"] if point["trials"] <= mark]
    return points[-1]["test"] if points and run["finished"] >= mark else None


def at_second(run: Run, mark: float) -> float:
    """The test score after so many seconds; that of a constant as long as there is no model."""
    points = [point for point in run["points"] if point["seconds"] <= mark]
    return points[-1]["test"] if points else run["constant"]


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of the values (pairs,), and the ends of its 95 % interval by resampling the pairs."""
    places = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[places].mean(axis=1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def cell(values: np.ndarray, sign: str = "") -> str:
    """A mean with its interval."""
    mean, low, high = interval(values)
    return f"{mean:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def signs(differences: np.ndarray) -> str:
    """How many of them are below, at and above zero."""
    return " / ".join(str(int(np.sum(np.sign(differences) == sign))) for sign in (-1, 0, 1))


def marks_table(runs: Runs, searches: list[str], marks: list[tuple[str, Callable]]) -> list[str]:
    """Rank and regret of each search at each mark."""
    evolve = next((search for search in searches if search.startswith("evolve")), searches[0])
    heads = f"regret less that of {evolve} | {evolve} better / same / worse"
    lines = [
        f"| at | pairs | search | mean rank | mean regret | {heads} |",
        "| --- | --: | --- | --: | --: | --: | --: |",
    ]
    for label, look in marks:
        scores = runs.scores(searches, look)
        if not scores:
            continue
        ranks = np.array([rankdata(values) for values in scores.values()])
        regrets = np.array([[runs.regret(pair, value) for value in values] for pair, values in scores.items()])
        for place, search in enumerate(searches):
            difference = counts = ""
            if search != evolve:
                own = searches.index(evolve)
                difference = cell(regrets[:, place] - regrets[:, own], "+")
                counts = signs(ranks[:, own] - ranks[:, place])
            lines.append(
                f"| {label} | {len(scores)} | {search} | {cell(ranks[:, place])} | {cell(regrets[:, place])} "
                f"| {difference} | {counts} |"
            )
    return lines


def finals_table(runs: Runs) -> list[str]:
    """What the finals change."""
    lines = [
        "| search | pairs | regret at the end | after the finals | difference | better / same / worse | seconds |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for search in runs.searches:
        found = {pair: every[search] for pair, every in runs.by_pair.items() if every[search]["finals"]}
        if not found:
            continue
        before = np.array([runs.regret(pair, at_second(run, np.inf)) for pair, run in found.items()])
        after = np.array([runs.regret(pair, run["finals"]["test"]) for pair, run in found.items()])
        seconds = np.mean([run["finals"]["seconds"] for run in found.values()])
        counts = signs(after - before)
        lines.append(
            f"| {search} | {len(found)} | {cell(before)} | {cell(after)} | {cell(after - before, '+')} | {counts} "
            f"| {seconds:.0f} |"
        )
    return lines


def set_table(runs: Runs, name: str, trial_marks: list[int], second_marks: list[float]) -> list[str]:
    """Median test scores of each search."""
    seeds = sorted(seed for found, seed in runs.by_pair if found == name)
    heads = [*(f"{mark} trials" for mark in trial_marks), *(f"{mark:g} s" for mark in second_marks), "finals"]
    metric = runs.by_pair[name, seeds[0]][runs.searches[0]]["metric"]
    lines = [
        f"### {name}: {metric} on the test part, median of {len(seeds)} seeds",
        "",
        f"| search | trials | {' | '.join(heads)} |",
        f"| --- | --: |{' --: |' * len(heads)}",
    ]
    for search in runs.searches:
        found = [runs.by_pair[name, seed][search] for seed in seeds]
        columns = [
            *([at_trial(run, mark) for run in found] for mark in trial_marks),
            *([at_second(run, mark) for run in found] for mark in second_marks),
            [run["finals"]["test"] if run["finals"] else None for run in found],
        ]
        cells = ["" if None in values else f"{np.median(values):.4g}" for values in columns]
        lines.append(f"| {search} | {np.median([run['finished'] for run in found]):.0f} | {' | '.join(cells)} |")
    constants = [runs.by_pair[name, seed][runs.searches[0]]["constant"] for seed in seeds]
    return [*lines, "", f"A constant prediction has {np.median(constants):.4g}.", ""]


def report(given: list[Run], searches: list[str], budget: dict[str, float]) -> str:
    """All tables, and what they are made of."""
    searches = [search for search in searches if any(run["search"] == search for run in given)]
    runs = Runs(given, searches)
    if not runs.by_pair:
        return f"There is no set with a seed on which each of {', '.join(searches) or 'the searches'} was run."
    sets = list(dict.fromkeys(name for name, _ in runs.by_pair))
    used = [run for found in runs.by_pair.values() for run in found.values()]
    seconds = sorted({*(mark for mark in SECOND_MARKS if mark <= budget["seconds"]), budget["seconds"]})
    engines = [search for search in searches if search != "sklearn"]
    by_second = [(f"{mark:g} s", lambda run, mark=mark: at_second(run, mark)) for mark in seconds]
    by_trial = [(f"{mark} trials", lambda run, mark=mark: at_trial(run, mark)) for mark in TRIAL_MARKS]
    versions = ", ".join(sorted({run["code"] for run in used}))
    made_of = (
        f"{len(used)} runs of {budget['seconds']:g} s on {budget['jobs']} processes, planned for {budget['trials']} "
        f"trials: {len(searches)} searches on each of {len(runs.by_pair)} pairs of a set and a seed, from "
        f"{len(sets)} sets ({', '.join(sets)}). Checksum of hpsearch's sources: {versions}."
    )
    legend = (
        "Regret of a test score: 0 for the best that any search had on the pair, 1 as far from it as the median first "
        f"trial on the set, at most {WORST:g}. Ranks: 1 is the best. In brackets the 95 % interval from resampling the "
        "pairs."
    )
    return "\n".join([
        made_of,
        "",
        legend,
        "",
        "## At equal seconds, from the command on",
        "",
        *marks_table(runs, searches, by_second),
        "",
        "## At equal trials, on the pairs where all came so far",
        "",
        *marks_table(runs, engines, by_trial),
        "",
        "## The finals, after the end of the time",
        "",
        *finals_table(runs),
        "",
        "## By set",
        "",
        *(line for name in sets for line in set_table(runs, name, list(TRIAL_MARKS), seconds)),
    ])  # fmt: skip


if __name__ == "__main__":
    raise SystemExit("engine.py --report prints it")
