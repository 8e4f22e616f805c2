"""What a search has taught: what limits its best trials, whether it had enough, what mattered, what to try next."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from hpsearch.config import put_over
from hpsearch.diagnosis.bias import BiasVariance, bias_and_variance
from hpsearch.diagnosis.bounds import widened
from hpsearch.diagnosis.importance import Importance, importance
from hpsearch.diagnosis.search import Enough, Optimism, had_enough, optimism, pareto
from hpsearch.diagnosis.trials import LITTLE
from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.errors import ConfigError
from hpsearch.report.advice import Advice, Situation, advice_for
from hpsearch.run_directory.results import describe_model
from hpsearch.space import Categorical
from hpsearch.space_checks import check_space
from hpsearch.space_text import space_from_spec, spec_from_text
from hpsearch.trial import score

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.diagnosis.bias import Yardstick
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.space import Space
    from hpsearch.trial import TrialResult

TOP = 10  # the best trials, whose diagnoses and errors say what limits the search
TOP_SHARE = 3  # at most one of so many trials belongs to them
OFTEN = 0.3  # of the best trials, or of all for failures: what goes wrong as often is worth mending first
COSTS = ("parameters", "gflop", "seconds")
CHEAP = 0.8  # of the winner's parameters, FLOPs or time: only what costs less than that is worth naming


@dataclass(frozen=True)
class Limit:
    """What keeps the best trials from being better.

    Attributes:
        word: one of diagnosis.trials; nothing where it is not known.
        because: the reason in words.
        split: the medians of the best trials' errors; None where none has one.
        advice: what helps.
    """

    word: str
    because: str
    split: BiasVariance | None
    advice: list[Advice]


@dataclass(frozen=True)
class Verdict:
    """See the module. Scores are as the metric has them, gains and errors in its units.

    Attributes:
        counts: trials by state. failures: their reasons' first words, with how often.
        diagnoses: of all trials with a word, how often.
        cheaper: trials as good as the winner that cost less in something and more in nothing: number, score,
            parameters, gflop, seconds, and what shares of these they save.
        bounds: for each hyperparameter of the winner at an end of its range a wider one, as `-p` takes it.
        next: the command to run next; `ranges` are what it searches anew.
        model: who votes and what was trained on train and dev together, as in best.yaml.
        test: what the last opening of the test part found. baselines: dev scores of what is simpler.
        examination: what a look at the winner's model and the data found (report/examination.py).
        sizes: scores of the winner's configuration with fewer training rows (report/examination.py).
    """

    winner: int
    metric: str
    score: float
    limit: Limit
    counts: dict[str, int]
    failures: dict[str, int]
    diagnoses: dict[str, int]
    enough: Enough | None
    optimism: Optimism | None
    fresh_splits: bool
    importance: Importance | None
    cheaper: list[dict[str, Any]]
    bounds: dict[str, str]
    ranges: list[str]
    next: str
    model: dict[str, Any]
    test: dict[str, Any] | None
    baselines: dict[str, float]
    examination: dict[str, Any]
    sizes: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON."""
        return _plain(asdict(self))


def judge(record: RunRecord, folder: Path, human_error: float | None = None) -> Verdict | None:
    """The verdict on a run, finished or not; None where no trial is complete."""
    winner = record.best()
    if winner is None:
        return None
    yardstick, counted, space = record.yardstick(human_error), record.counted(), _space(record)
    limit, bounds = limit_of(record, winner, yardstick), wider(record, winner)
    baselines = _baselines(record, winner)
    if as_good_as(baselines.get("linear"), winner.metrics[f"dev_{record.metric}"], maximize=record.maximize):
        limit = _simpler_first(limit, winner.config.get("layers"))
        limit = replace(limit, advice=_possible(limit.advice, record))
    advised = {text.partition("=")[0] for one in limit.advice for text in one.ranges}
    bounds = {name: text for name, text in bounds.items() if name not in advised}
    ranges = _together(_ranges(bounds, limit.advice, space), record)
    scores = {n: record.scores[n] for n in record.ranking()}
    standings = record.standings()
    noise = record.noise()
    words = (record.diagnosis(result, yardstick) for result in counted.values())
    return Verdict(
        winner=winner.number,
        metric=record.metric,
        score=winner.metrics[f"dev_{record.metric}"],
        limit=limit,
        counts=dict(Counter(str(result.state) for result in counted.values())),
        failures=dict(_failures(record).most_common()),
        diagnoses=dict(Counter(word for word in words if word).most_common()),
        enough=_as_metric(had_enough([*scores.values()], noise), -1.0 if record.maximize else 1.0),
        optimism=optimism(scores, {s.trial: s.mean for s in standings}, winner.number),
        fresh_splits=record.finalists is not None and record.finalists["fresh_splits"],
        importance=_importance(space, record),
        cheaper=_cheaper(record, winner, noise),
        bounds=bounds,
        ranges=ranges,
        next=_next(record, folder, ranges),
        model=describe_model(record, winner),
        test=next((event for event in reversed(record.evaluations) if "data" not in event), None),
        baselines=baselines,
        examination=record.examinations.get(winner.number, {}),
        sizes=record.examinations.get(winner.number, {}).get("sizes", []),
    )


def limit_of(record: RunRecord, winner: TrialResult, yardstick: Yardstick) -> Limit:
    """What limits the best trials of a run, and what helps."""
    best = _best(record)
    curves = record.curves
    splits = [s for r in best if (s := bias_and_variance(r, curves.get(r.number, {}), yardstick))]
    middle = _middle(splits)
    words = [record.diagnosis(result, yardstick) for result in best]
    word, because = _limit(words, middle, _failures(record), len(record.counted()), yardstick)
    images = record.study["data"].get("image_shape") is not None
    situation = Situation(_space(record), winner.config, record.data["task"], images)
    return Limit(word, because, middle, _possible(advice_for(word, situation), record))


def wider(record: RunRecord, winner: TrialResult) -> dict[str, str]:
    """For each hyperparameter of the winner at an end of its range a wider one that can be searched, as -p takes it."""
    found = widened(_space(record), winner.config, record.usual())
    return {name: text for name, text in found.items() if _fit([text], record)}


def as_good_as(simple: float | None, score: float, *, maximize: bool) -> bool:
    """Whether a simpler model is known to be at least as good, by scores of the metric."""
    return simple is not None and (simple >= score if maximize else simple <= score)


def _simpler_first(limit: Limit, layers: int | None) -> Limit:
    """The limit where a linear model is at least as good: first of all fewer layers, and no bigger network."""
    ranges = () if layers is None else (f"layers=0:{max(2, layers)}",)
    fewer = Advice("a simpler model, a linear one among them", ranges)
    rest = [one for one in limit.advice if not any(text.startswith(("layers=", "units=")) for text in one.ranges)]
    return replace(limit, advice=[fewer, *rest])


def _possible(advice: list[Advice], record: RunRecord) -> list[Advice]:
    """The advice that can be followed in this study, in which a condition may need a value that is not advised."""
    possible = [replace(one, ranges=tuple(text for text in one.ranges if _fit([text], record))) for one in advice]
    return [now for now, before in zip(possible, advice, strict=True) if now.ranges or not before.ranges]


def _together(ranges: list[str], record: RunRecord) -> list[str]:
    """Those of the ranges, the first ones first, that can be searched together."""
    found: list[str] = []
    for text in ranges:
        found += [text] if _fit([*found, text], record) else []
    return found


def _fit(ranges: list[str], record: RunRecord) -> bool:
    """Whether the study can be searched with these ranges put over its space."""
    study = record.study
    try:
        space = space_from_spec(put_over(study["space"], dict(spec_from_text(text) for text in ranges)))
        check_space(space, task=record.data["task"], image_shape=study["data"].get("image_shape"))
    except ConfigError:
        return False
    return True


def _space(record: RunRecord) -> Space:
    return space_from_spec(record.study["space"])


def _failures(record: RunRecord) -> Counter[str]:
    """The first words of the reasons why trials failed, with how often."""
    counted = record.counted()
    return Counter(record.results[n].error.partition(":")[0] for n in sorted(record.failures) if n in counted)


def _best(record: RunRecord) -> list[TrialResult]:
    most = max(1, min(TOP, len(record.scores) // TOP_SHARE))
    return [record.results[number] for number in record.ranking(most)]


def _middle(splits: list[BiasVariance]) -> BiasVariance | None:
    """The medians of several splits."""
    if not splits:
        return None
    names = ("train", "dev", "fitted", "avoidable_bias", "variance", "worth")
    return BiasVariance(*(median(getattr(split, name) for split in splits) for name in names))


def _limit(
    words: list[str], middle: BiasVariance | None, failures: Counter[str], trials: int, yardstick: Yardstick
) -> tuple[str, str]:
    """What limits the best trials, and why one thinks so."""
    if failures["diverged"] > OFTEN * trials:
        return "diverged", f"{failures['diverged']} of {trials} trials diverged"
    often = Counter(word for word in words if word not in ("ok", "high_bias", "high_variance", ""))
    for word, times in often.most_common(1):
        if times > OFTEN * len(words):
            return word, f"{times} of the {len(words)} best trials" if len(words) > 1 else "the best trial"
    if middle is None or math.isnan(middle.worth):
        if yardstick.human_error is not None and yardstick.constant:
            return "", f"the human error {yardstick.human_error:g} is not below that of a constant prediction"
        return "", "nothing is known to measure the scores by"
    unit = f"{yardstick.judged} error" if yardstick.judged in MAXIMIZED_METRICS else yardstick.judged
    target = f"target {yardstick.target:.4g}, " if yardstick.human_error is not None else ""
    because = f"{unit}: {target}train {middle.fitted:.4g}, dev {middle.dev:.4g}"
    share = max(middle.avoidable_bias, middle.variance) / middle.worth
    if share < LITTLE:
        return "ok", f"{because}; {100 * max(share, 0):.2g} % of what there was to lose is left"
    return ("high_bias" if middle.avoidable_bias >= middle.variance else "high_variance"), because


def _importance(space: Space, record: RunRecord) -> Importance | None:
    results = record.counted().values()
    known = [
        result
        for result in results
        if all(n in result.config for n in space.parameters if n not in space.conditions)
        and result.config.get("schedule") != "rising"  # a test of learning rates: its score is not to be compared
    ]
    return importance(
        space,
        [result.config for result in known],
        [score(result, record.metric, record.maximize) for result in known],
    )


def _cheaper(record: RunRecord, winner: TrialResult, noise: float | None) -> list[dict[str, Any]]:
    """Trials that cannot be told apart from the winner and cost less, none of them beaten by another of them."""
    standings = record.standings()
    if standings:
        level = [standing.trial for standing in standings if standing.level]
    else:
        limit = record.scores[winner.number] + (noise or 0.0)
        level = [number for number in record.ranking(4 * TOP) if record.scores[number] <= limit]
    results = [record.results[number] for number in level if number != winner.number]
    own = {name: max(getattr(winner, name), 1e-12) for name in COSTS}
    saved = {r.number: {name: 1 - getattr(r, name) / own[name] for name in COSTS} for r in results}
    less = [r for r in results if max(saved[r.number].values()) > 1 - CHEAP and _no_dearer(saved[r.number])]
    front = pareto({r.number: [getattr(r, name) for name in COSTS] for r in less})
    return [
        {
            "trial": number,
            "score": record.results[number].metrics[f"dev_{record.metric}"],
            **{name: getattr(record.results[number], name) for name in COSTS},
            "saves": {name: round(saved[number][name], 3) for name in COSTS},
        }
        for number in front
    ]


def _no_dearer(saved: dict[str, float]) -> bool:
    """Whether nothing costs more; seconds differ by chance, so they are not asked."""
    return min(share for name, share in saved.items() if name != "seconds") >= 0


def _baselines(record: RunRecord, winner: TrialResult) -> dict[str, float]:
    """Dev scores of what is simpler than a network: a constant and, if somebody has looked, a linear model."""
    found = {}
    if constant := record.data.get("constant", {}).get(record.metric):
        found["constant"] = constant
    linear = record.examinations.get(winner.number, {}).get("linear", {}).get(f"dev_{record.metric}")
    return found | ({"linear": linear} if linear is not None else {})


def _ranges(bounds: dict[str, str], advice: list[Advice], space: Space) -> list[str]:
    """One range for each hyperparameter: the first advice that has one, else the wider end."""
    found: dict[str, str] = {}
    for text in (*(text for one in advice for text in one.ranges), *bounds.values(), *_without_tests(space)):
        found.setdefault(text.partition("=")[0], text)
    return list(found.values())


def _without_tests(space: Space) -> list[str]:
    """A panda's space has a schedule for its range test, which is none to search."""
    schedule = space.parameters.get("schedule")
    if not isinstance(schedule, Categorical) or "rising" not in schedule.choices:
        return []
    return ["schedule=" + ",".join(choice for choice in schedule.choices if choice != "rising")]


def _next(record: RunRecord, folder: Path, ranges: list[str]) -> str:
    trials = len(record.counted())
    words = ["hpsearch", "evolve", f"{folder}/study.yaml", "--from", str(folder), "-n", str(max(trials, 20))]
    words += ["-o", f"{folder}-next", *(word for text in ranges for word in ("-p", text))]
    words += ["--set", "goal=null"] if record.end is not None and record.end["reason"] == "goal" else []
    return shlex.join(words)


def _as_metric(found: Enough | None, sign: float) -> Enough | None:
    """With the scores as the metric has them; gain and noise stay as they are."""
    return (
        None if found is None else Enough(sign * found.best, sign * found.half, found.gain, found.noise, found.enough)
    )


def _plain(value: Any) -> Any:
    """Tuples as lists, and numbers that are none as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
