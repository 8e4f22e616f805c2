"""The pictures of a report as data for Plotly, {"data": traces, "layout": layout}: pure functions of the record."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.diagnosis.averaging import smoothed
from hpsearch.diagnosis.bias import bias_and_variance
from hpsearch.diagnosis.trials import DIAGNOSES
from hpsearch.engine.hyperparameters import MAXIMIZED_METRICS
from hpsearch.space import Categorical
from hpsearch.trial import TrialState, score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.report.verdict import Verdict
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.space import Parameter, Space
    from hpsearch.trial import TrialResult

Chart = dict[str, Any]
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#3366cc", "#e6821e", "#2a9d62", "#c8102e", "#7b4fb5", "#9aa3ad"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE)
COLOUR_OF = {
    "ok": GREEN, "high_bias": BLUE, "high_variance": ORANGE, "still_improving": "#4fb3bf", "early_peak": "#b5a642",
    "plateau": PURPLE, "unstable": "#d6649a", "dead_units": "#6b5b53", "vanishing": "#35404a", "diverged": RED,
    "": GREY,
}  # fmt: skip
CURVES = 5  # trials whose learning curves are drawn
LINES = 200  # trials in parallel coordinates
MOST_POINTS = 3000  # trials in any picture
BAND_NAMES = ("best", "second", "third", "fourth", "last")  # fifths there
BAND_COLOURS = (ORANGE, "rgba(51,102,204,.75)", "rgba(90,130,212,.5)", "rgba(130,160,220,.4)", "rgba(170,180,200,.35)")
SMOOTHING = 0.8  # beta of the average over epochs
LOGARITHMIC = {"type": "log", "exponentformat": "e"}
TAIL = 0.9  # quantile of the scores that is still on the axis; what is worse lies on its edge


def best_so_far(record: RunRecord) -> Chart | None:
    """Every trial's score in the order of trials, and the best up to there."""
    results = _drawn(record)
    if not results:
        return None
    complete = [r for r in results if r.state is TrialState.COMPLETE]
    traces = [
        _points(
            [r.number for r in some],
            [_shown(r, record) for r in some],
            name,
            colour,
            text=[f"trial {r.number}" for r in some],
            size=7 if name == "complete" else 5,
        )
        for name, colour, some in (
            ("stopped on the way", "#c9ced4", [r for r in results if r.state is TrialState.PRUNED]),
            ("complete", BLUE, complete),
        )
        if some
    ]
    steps = _improvements(record)
    sign = -1 if record.maximize else 1
    traces.append(_line([n for n, _ in steps], [sign * value for _, value in steps], "best so far", ORANGE, shape="hv"))
    return _chart(traces, "trial", f"dev {record.metric}", yaxis=_score_axis(record, results))


def _improvements(record: RunRecord) -> list[tuple[int, float]]:
    """The trials that were better than all before them, with their scores, and the last trial with the best."""
    steps: list[tuple[int, float]] = []
    numbers = sorted(record.ranking())
    for number in numbers:
        if not steps or record.scores[number] < steps[-1][1]:
            steps.append((number, record.scores[number]))
    return steps + ([(numbers[-1], steps[-1][1])] if steps and steps[-1][0] != numbers[-1] else [])


def learning_curves(record: RunRecord) -> Chart | None:
    """Loss of the best trials on train (dotted) and dev by epoch; averaged, and as it was behind that."""
    traces = []
    for colour, number in zip(COLOURS, record.ranking(CURVES), strict=False):
        curves = record.curves.get(number, {})
        for part, dash in (("dev", "solid"), ("train", "dot")):
            values = curves.get(f"{part}_loss")
            if values:
                epochs = [*range(1, len(values) + 1)]
                traces.append(_line(epochs, values, "", colour, width=1, opacity=0.25, hoverinfo="skip"))
                name = f"trial {number} {part}"
                traces.append(_line(epochs, smoothed(values, SMOOTHING), name, colour, dash=dash))
    for trace in traces:
        trace["showlegend"] = bool(trace["name"])
    losses = [value for trace in traces for value in trace["y"]]
    return _chart(traces, "epoch", "loss", yaxis=_log_axis(losses)) if traces else None


def parallel_coordinates(record: RunRecord, space: Space) -> Chart | None:
    """A line for each trial through its searched hyperparameters, each on its own scale, to its score."""
    results = _drawn(record)
    results.sort(key=lambda r: (score(r, record.metric, record.maximize), r.number))
    results = results[:LINES]
    names = list(space.parameters)
    if len(names) < 2 or len(results) < 2:
        return None
    heights = np.array([[*space.encode(r.config), 0.0] for r in results])
    heights[:, -1] = 1 - np.arange(len(results)) / (len(results) - 1)  # by rank, the best on top
    traces = [
        _line(
            [place for _ in inside for place in (*range(len(names) + 1), None)],
            [height for row in inside for height in (*row, None)],
            f"{BAND_NAMES[band]} fifth",
            BAND_COLOURS[band],
            width=1 if band else 1.6,
            hoverinfo="skip",
        )
        for band in range(len(BAND_NAMES) - 1, -1, -1)
        if (inside := heights[_fifth(band, len(results))].tolist())
    ]
    notes = [
        {"x": place, "y": y, "text": _text(text), "showarrow": False, "xanchor": "left", "xshift": 3,
         "font": {"size": 10}, "bgcolor": "rgba(255,255,255,.7)"}
        for place, name in enumerate(names)
        for y, text in _marks(space.parameters[name])
    ]  # fmt: skip
    labels = [_text(text) for text in (*names, f"rank by {record.metric}")]
    axis = {"tickvals": [*range(len(labels))], "ticktext": labels, "range": [-0.2, len(names) + 0.3]}
    chart = _chart(traces, "", "", xaxis=axis, yaxis={"visible": False, "range": [-0.06, 1.06]})
    chart["layout"]["annotations"] = notes
    return chart


def _fifth(band: int, count: int) -> slice:
    return slice(band * count // len(BAND_NAMES), (band + 1) * count // len(BAND_NAMES))


def _marks(parameter: Parameter) -> list[tuple[float, str]]:
    """Heights on an axis of parallel coordinates, and what stands there."""
    if isinstance(parameter, Categorical):
        return [(parameter.to_unit(choice), _word(choice)) for choice in parameter.choices]
    return [(parameter.to_unit(end), f"{end:g}") for end in (parameter.low, parameter.high)]


def slices(record: RunRecord, space: Space) -> list[tuple[str, Chart]]:
    """For each searched hyperparameter the scores by its value, on its own scale."""
    results = _drawn(record)
    found = []
    for name, parameter in space.parameters.items():
        some = [r for r in results if name in r.config]
        if not some:
            continue
        values = [r.config[name] for r in some]
        axis: dict[str, Any] = {"type": "linear"}
        if isinstance(parameter, Categorical):
            order = [_text(_word(choice)) for choice in parameter.choices]
            values, axis = [_text(_word(value)) for value in values], {"type": "category", "categoryarray": order}
        elif parameter.log == "reversed":
            values, axis = (
                [1 - value for value in values],
                _log_axis([1 - parameter.high, 1 - parameter.low]) | {"autorange": "reversed"},
            )
        elif getattr(parameter, "scale", None):
            axis = {"type": "log", "tickvals": parameter.mesh(parameter.size)}
        elif parameter.log:
            axis = _log_axis([parameter.low, parameter.high])
        marks = _points(
            values,
            [_shown(r, record) for r in some],
            name,
            [r.number for r in some],
            text=[f"trial {r.number}" for r in some],
        )
        marks["marker"] |= {"colorscale": [[0, "#c5d4f2"], [1, BLUE]], "opacity": 0.8}
        label = f"1 - {name}" if getattr(parameter, "log", False) == "reversed" else name
        chart = _chart([marks], label, f"dev {record.metric}", xaxis=axis, yaxis=_score_axis(record, some), height=260)
        chart["layout"]["showlegend"] = False
        found.append((name, chart))
    return found


def importance_bars(verdict: Verdict) -> Chart | None:
    """Shares of the variance, with their sd."""
    if verdict.importance is None:
        return None
    shares = [*verdict.importance.single[:8], *verdict.importance.pairs[:4]][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * share.share for share in shares],
        "y": [_text(" with ".join(share.names)) for share in shares],
        "error_x": {
            "type": "data",
            "array": [100 * share.sd for share in shares],
            "arrayminus": [100 * min(share.sd, share.share) for share in shares],
            "color": GREY,
            "thickness": 1,
        },
        "marker": {"color": [BLUE if len(share.names) == 1 else "#a9bce6" for share in shares]},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    chart = _chart([bars], "% of the variance", "", yaxis={"automargin": True}, height=90 + 26 * len(shares))
    chart["layout"]["showlegend"] = False
    return chart


def gaps(record: RunRecord, human_error: float | None) -> Chart | None:
    """Error on dev beside error on train, a colour for each diagnosis; on the diagonal there is no variance."""
    yardstick = record.yardstick(human_error)
    by_word: dict[str, list[tuple[int, float, float]]] = {}
    for result in _drawn(record):
        split = bias_and_variance(result, record.curves.get(result.number, {}), yardstick)
        if split is not None:
            word = record.diagnosis(result, yardstick)
            by_word.setdefault(word, []).append((result.number, split.train, split.dev))
    points = [point for some in by_word.values() for point in some]
    if not points:
        return None
    traces = [
        _points(
            [train for _, train, _ in by_word[word]],
            [dev for _, _, dev in by_word[word]],
            word or "unknown",
            COLOUR_OF[word],
            text=[f"trial {number}" for number, _, _ in by_word[word]],
        )
        for word in (*DIAGNOSES, "")
        if word in by_word
    ]
    least = min(min(train, dev) for _, train, dev in points)
    most = float(np.quantile([dev for _, _, dev in points], TAIL))
    traces.append(_line([least, most], [least, most], "no variance", GREY, dash="dot", width=1))
    label = f"{yardstick.judged} error" if yardstick.judged in MAXIMIZED_METRICS else yardstick.judged
    edge = [least - 0.03 * (most - least), most + 0.1 * (most - least) or 1.0]
    return _chart(traces, f"train {label}", f"dev {label}", xaxis={"range": edge}, yaxis={"range": edge})


def gradients(record: RunRecord, winner: int) -> Chart | None:
    """The length of each layer's gradient by epoch, of the winner."""
    health = record.health.get(winner, {})
    if not health.get("grad_norm"):
        return None
    layers = list(zip(*health["grad_norm"], strict=True))
    names = [f"hidden {l + 1}" for l in range(len(layers) - 1)] + ["output"]
    z = [[math.log10(value) if value else None for value in layer] for layer in layers]
    heat = {
        "type": "heatmap",
        "x": health["epochs"],
        "y": names,
        "z": z,
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "log10"}, "thickness": 12},
        "hovertemplate": "epoch %{x}, %{y}: 10^%{z:.2f}<extra></extra>",
    }
    return _chart([heat], "epoch", "", yaxis={"automargin": True}, height=150 + 34 * len(layers))


def confusion(examination: Mapping[str, Any]) -> Chart | None:
    """How often each class of dev (row) was taken for which (column), as shares of the row."""
    counts = examination.get("dev", {}).get("confusion")
    if not counts:
        return None
    names = [_text(one["class"]) for one in examination["dev"]["classes"]]
    shares = [[100 * n / max(sum(row), 1) for n in row] for row in counts]
    few = len(names) <= 20
    heat = {
        "type": "heatmap",
        "z": shares,
        "x": names,
        "y": names,
        "text": [[str(n or "") for n in row] for row in counts],
        "texttemplate": "%{text}" if few else "",
        "colorscale": [[0, "#ffffff"], [1, BLUE]],
        "zmin": 0,
        "zmax": 100,
        "showscale": False,
        "hovertemplate": "%{y} taken for %{x}: %{z:.1f} % of its rows<extra></extra>",
    }
    side = {"type": "category", "automargin": True}
    size = 140 + 26 * min(max(len(names), 4), 22)
    return _chart([heat], "taken for", "class", xaxis=side, yaxis=side | {"autorange": "reversed"}, height=size)


def residuals(examination: Mapping[str, Any]) -> Chart | None:
    """Values of dev beside what was predicted for them."""
    if not examination.get("points"):
        return None
    x, y = (list(side) for side in zip(*examination["points"], strict=True))
    ends = [min(*x, *y), max(*x, *y)]
    traces = [
        _points(x, y, "a row of dev", BLUE, size=5),
        _line(ends, ends, "exact", GREY, dash="dot", width=1),
    ]
    return _chart(traces, "predicted", "value")


def reliability(examination: Mapping[str, Any]) -> Chart | None:
    """How often the winner is right by how sure it is."""
    bins = examination.get("dev", {}).get("calibration")
    if not bins:
        return None
    sure, right, rows = zip(*bins, strict=True)
    marks = _points(
        list(sure), list(right), "dev", BLUE, text=[f"{n:,} rows" for n in rows],
        size=[6 + 16 * math.sqrt(n / max(rows)) for n in rows],
    )  # fmt: skip
    marks["mode"] = "lines+markers"
    ideal = _line([0, 1], [0, 1], "exact", GREY, dash="dot", width=1)
    return _chart(
        [ideal, marks], "how sure (share of the predicted class)", "how often right", yaxis={"range": [0, 1.05]}
    )


def data_sizes(examination: Mapping[str, Any], metric: str) -> Chart | None:
    """Scores of the winner's configuration by the number of training rows."""
    sizes = examination.get("sizes", [])
    if len(sizes) < 2:
        return None
    rows = [size["rows"] for size in sizes]
    dev = _line(rows, [size["dev"] for size in sizes], "dev", BLUE)
    dev |= {"mode": "lines+markers", "error_y": {"type": "data", "array": [size["sd"] or 0 for size in sizes]}}
    train = _line(rows, [size["train"] for size in sizes], "train", BLUE, dash="dot")
    return _chart([dev, train], "training rows", metric, xaxis={"type": "log", "tickvals": rows})


def costs(record: RunRecord) -> Chart | None:
    """Scores of complete trials by their number of parameters."""
    results = [r for r in _drawn(record) if r.state is TrialState.COMPLETE]
    if len(results) < 2:
        return None
    marks = _points(
        [r.parameters for r in results],
        [_shown(r, record) for r in results],
        "a trial",
        [math.log10(max(r.gflop, 1e-9)) for r in results],
        text=[f"trial {r.number}, {r.gflop:.3g} GFLOP" for r in results],
    )
    marks["marker"] |= {"colorscale": "Viridis", "colorbar": {"title": {"text": "log10 GFLOP"}, "thickness": 12}}
    chart = _chart(
        [marks],
        "parameters",
        f"dev {record.metric}",
        xaxis=_log_axis([r.parameters for r in results]),
        yaxis=_score_axis(record, results),
    )
    chart["layout"]["showlegend"] = False
    return chart


def _drawn(record: RunRecord) -> list[TrialResult]:
    """The trials with a score, in the order of their numbers; of very many the best, and some of all the others."""
    counted = record.counted()
    best = record.ranking(MOST_POINTS // 2)
    others = sorted(counted.keys() - set(best))
    step = -(-len(others) // (MOST_POINTS - MOST_POINTS // 2)) or 1
    results = (counted[number] for number in sorted([*best, *others[::step]]))
    return [r for r in results if r.state is not TrialState.FAIL and _shown(r, record) is not None]


def _shown(result: TrialResult, record: RunRecord) -> float | None:
    return result.metrics.get(f"dev_{record.metric}")


def _score_axis(record: RunRecord, results: Sequence[TrialResult]) -> dict[str, Any]:
    """From a little beyond the best score to the TAIL of the others."""
    values = np.sort([score(r, record.metric, record.maximize) for r in results])
    best, worst = float(values[0]), float(np.quantile(values, TAIL))
    if results[0].number == 0:  # the default configuration, which one wants to see beaten
        worst = max(worst, min(score(results[0], record.metric, record.maximize), best + 4 * (worst - best)))
    room = 0.06 * (worst - best) or 0.05 * abs(best) or 1.0
    sign = -1 if record.maximize else 1
    return {"range": sorted([sign * (best - room), sign * (worst + room)])}


def _log_axis(values: Sequence[float | None]) -> dict[str, Any]:
    """A logarithmic axis with a mark at each decade, or at 1, 2 and 5 of each where there are few."""
    known = [value for value in values if value is not None and value > 0]
    decades = math.log10(max(known) / min(known)) if known else 0.0
    return LOGARITHMIC | {"dtick": 1 if decades >= 2 else "D2"}


def _points(x: Sequence[Any], y: Sequence[Any], name: str, colour: Any, *, size: Any = 7, **more: Any) -> Chart:
    hover = "%{text}: " if "text" in more else ""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "name": _text(name),
        "marker": {"color": colour, "size": size},
        "hovertemplate": hover + "%{x}, %{y:.4g}<extra></extra>",
        **more,
    }


def _line(
    x: Sequence[Any], y: Sequence[Any], name: str, colour: str, *, dash: str = "solid", width: float = 2,
    shape: str = "linear", **more: Any,
) -> Chart:  # fmt: skip
    line = {"color": colour, "dash": dash, "width": width, "shape": shape}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": _text(name), "line": line, **more}


def _chart(
    traces: list[Chart], x: str, y: str, *, xaxis: Chart | None = None, yaxis: Chart | None = None, height: int = 380
) -> Chart:
    def axis(title: str, more: Chart | None) -> Chart:
        base = {"title": {"text": _text(title)}, "gridcolor": "#e8ebee", "zeroline": False, "automargin": True}
        return base | (more or {})

    return {
        "data": traces,
        "layout": {
            "xaxis": axis(x, xaxis),
            "yaxis": axis(y, yaxis),
            "height": height,
            "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222a31"},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            "hovermode": "closest",
        },
    }


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    """Plotly reads a few tags in texts, so what a user wrote is escaped here too."""
    return html.escape(str(text), quote=False)
