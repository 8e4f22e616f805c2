"""A verdict as sentences for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.report.in_use import model_lines
from hpsearch.report.verdict import as_good_as

if TYPE_CHECKING:
    from typing import Any

    from hpsearch.diagnosis.importance import Importance
    from hpsearch.report.verdict import Limit, Verdict

LIMITS = {
    "high_bias": "bias: the best networks do not even fit the training rows",
    "high_variance": "variance: the best networks fit the training rows much better than those of dev",
    "still_improving": "time: the best networks were still improving when their epochs were over",
    "early_peak": "the first epochs: dev is best right at the beginning and gets worse from there",
    "unstable": "unsteady training: the loss jumps up again and again",
    "diverged": "divergence: many trials end in numbers that overflow",
    "dead_units": "dead units: most of a hidden layer passes nothing on",
    "vanishing": "vanishing gradients: they hardly reach the first layers",
    "plateau": "a plateau: training stands still while the loss is high",
    "ok": "nothing in particular: little is left to gain",
    "": "what is not known",
}
UNCERTAIN = 0.1  # of the variance: with less foretold, importance means nothing
SHOWN = 4


def sentences(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """Headings, each with its lines."""
    found = [
        ("What limits it", _limit(verdict)),
        ("What to try next", _advice(verdict)),
        ("What is in use", model_lines(verdict.metric, verdict.model)),
        ("Has the search had enough?", _enough(verdict)),
        ("What made the difference", _importance(verdict.importance)),
        ("What went wrong on the way", _troubles(verdict)),
        ("Would more rows help?", _more_rows(verdict)),
        ("As good and cheaper", _cheaper(verdict)),
    ]
    return [(heading, lines) for heading, lines in found if lines]


def short(limit: Limit) -> str:
    """One line for the end of a search."""
    first = next((advice.text for advice in limit.advice), "")
    more = f"; what helps: {first}" if first else ""
    return f"what limits the best trials: {LIMITS[limit.word].partition(':')[0]} ({limit.because}){more}"


def _limit(verdict: Verdict) -> list[str]:
    lines = [f"{LIMITS[verdict.limit.word]} ({verdict.limit.because})"]
    compared = ", ".join(f"{name} {value:.4g}" for name, value in verdict.baselines.items())
    if compared:
        score = f"dev {verdict.metric} of the winner, trial {verdict.winner}: {verdict.score:.4g}"
        lines.append(f"{score}; of what is simpler: {compared}")
    linear = verdict.baselines.get("linear")
    if linear is not None and as_good_as(linear, verdict.score, maximize=verdict.metric in MAXIMIZED_METRICS):
        lines.append("a linear model (layers 0) is at least as good on dev: hidden layers bring nothing here yet")
    if verdict.limit.word == "high_bias" and "target" not in verdict.limit.because:
        lines.append("how much of that nobody could avoid, for noise in the data, you may say with --human-error E")
    if verdict.test:
        lines.append(_overfit(verdict, verdict.test))
    return lines


def _overfit(verdict: Verdict, event: dict[str, Any]) -> str:
    """How the test part compares with dev, by which the winner was chosen."""
    test, trial = event["scores"].get(verdict.metric), event["trial"]
    if test is None:
        return f"{verdict.metric} cannot be computed on the test part"
    if trial != verdict.winner:
        return f"the test part was opened for trial {trial}, which is not the winner any more: {test:.4g}"
    if (networks := event.get("networks", 1)) > 1:
        return f"on the test part: {test:.4g}, by {networks} networks that vote"
    lost = (test - verdict.score) * (-1 if verdict.metric in MAXIMIZED_METRICS else 1)
    if lost <= 0:
        return f"on the test part: {test:.4g}, no worse than on dev: dev was not overfitted"
    low, high = event.get("intervals", {}).get(verdict.metric, (test, test))
    if low <= verdict.score <= high:
        return f"on the test part: {test:.4g} ({low:.3g} to {high:.3g}): no worse than on dev beyond chance"
    return f"on the test part: {test:.4g}, {lost:.2g} worse than on dev: so much at most is overfitted to dev"


def _advice(verdict: Verdict) -> list[str]:
    lines = [
        one.text + (": " + " ".join(f"-p {text}" for text in one.ranges) if one.ranges else "")
        for one in verdict.limit.advice
    ]
    lines += [f"the winner's {name} is at an end of its range: -p {text}" for name, text in verdict.bounds.items()]
    return [*lines, f"all of it: {verdict.next}"] if lines else [f"more of the same: {verdict.next}"]


def _enough(verdict: Verdict) -> list[str]:
    lines = []
    if it := verdict.enough:
        lines.append(f"half of these trials, drawn at random, come to {it.half:.4g} on average, all to {it.best:.4g}")
        if it.enough is not None:
            answer = "yes: as many again would bring less than chance" if it.enough else "no: more trials pay"
            lines.append(f"{answer} ({it.gain:.2g} against a noise of {it.noise:.2g} from training to training)")
    if it := verdict.optimism:
        spread = "" if it.sd is None else f", sd {it.sd:.2g}"
        luck = "no more than chance"
        if it.mean > (it.sd or 0.0):
            luck = "the best of many were lucky too" + (", or dev was an easy part" if verdict.fresh_splits else "")
        how = "on fresh splits" if verdict.fresh_splits else "with fresh seeds"
        finalists = f"the finalists were {_worse(it.mean)} than in the search on average{spread}"
        lines.append(f"trained again {how}, {finalists}, and the winner {_worse(it.winner)}: {luck}")
    return lines


def _worse(lost: float) -> str:
    return f"{abs(lost):.2g} {'worse' if lost > 0 else 'better'}"


def _more_rows(verdict: Verdict) -> list[str]:
    if len(verdict.sizes) < 2:
        return []
    half, whole = verdict.sizes[-2:]
    lines = [
        f"with {size['rows']:,} training rows: dev {verdict.metric} {size['dev']:.4g}, train {size['train']:.4g}"
        for size in verdict.sizes
    ]
    gain = abs(half["dev"] - whole["dev"])
    better = (whole["dev"] > half["dev"]) == (verdict.metric in MAXIMIZED_METRICS)
    noise = whole["sd"] if whole["sd"] is not None else verdict.enough and verdict.enough.noise
    if not better or gain <= (noise or 0.0):
        return [*lines, "no: the last doubling of the rows brought no more than chance"]
    doubt = "" if noise is not None else "; how much of that is chance is not known"
    return [*lines, f"yes: the last doubling brought {gain:.2g}, and the next brings less, but brings some{doubt}"]


def _importance(found: Importance | None) -> list[str]:
    if found is None:
        return []
    if found.foretold < UNCERTAIN:
        return [f"cannot be told: the trials foretell {100 * found.foretold:.0f} % of each other's scores"]
    lines = [
        f"{' with '.join(share.names)}: {100 * share.share:.0f} % (sd {100 * share.sd:.0f})"
        for share in (*found.single[:SHOWN], *found.pairs[:1])
        if share.share > max(0.01, share.sd / 2)
    ]
    return (
        [*lines, f"of what differs from trial to trial; {100 * found.foretold:.0f} % of it can be foretold"]
        if lines
        else []
    )


def _troubles(verdict: Verdict) -> list[str]:
    trials = sum(verdict.counts.values())
    lines = []
    if verdict.failures:
        reasons = ", ".join(f"{times} {reason}" for reason, times in verdict.failures.items())
        lines.append(f"{sum(verdict.failures.values())} of {trials} trials failed: {reasons}")
    if pruned := verdict.counts.get("PRUNED"):
        lines.append(f"{pruned} of {trials} were not trained to their end: pruned, skipped, or tests of learning rates")
    words = [f"{times} {word}" for word, times in verdict.diagnoses.items()]
    if words:
        lines.append("diagnoses: " + ", ".join(words))
    return lines


def _cheaper(verdict: Verdict) -> list[str]:
    return [
        f"trial {one['trial']}: {verdict.metric} {one['score']:.4g} with {one['parameters']:,} parameters "
        f"({_percent(one['saves']['parameters'])}), {one['gflop']:.3g} GFLOP ({_percent(one['saves']['gflop'])}), "
        f"{one['seconds']:.2g} s ({_percent(one['saves']['seconds'])})"
        for one in verdict.cheaper
    ]


def _percent(saved: float) -> str:
    return f"{100 * abs(saved):.0f} % {'less' if saved >= 0 else 'more'}"
