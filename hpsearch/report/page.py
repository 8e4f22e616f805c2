"""report.html: one page that needs nothing but itself, with the verdict, pictures, and what it takes to repeat it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hpsearch import strict_yaml
from hpsearch.report import charts
from hpsearch.report.words import LIMITS, sentences
from hpsearch.space_text import is_searched, space_from_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hpsearch.report.verdict import Verdict
    from hpsearch.run_directory.record import RunRecord

BEST = 10  # trials in the table
WIDE_TEXTS = 2  # of the first paragraphs


def page(name: str, record: RunRecord, verdict: Verdict, human_error: float | None = None) -> str:
    """The page of the run called `name`. Nothing that a user wrote gets into it unescaped."""
    import jinja2  # noqa: PLC0415 - only a report needs it
    import markupsafe  # noqa: PLC0415
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    space = space_from_spec(record.study["space"])
    drawn = [entry for entry in _charts(record, verdict, human_error) if entry["chart"] is not None]
    slices = [
        {"heading": label, "chart": chart, "height": chart["layout"]["height"]}
        for label, chart in charts.slices(record, space)
    ]
    for place, entry in enumerate([*drawn, *slices]):
        entry["id"] = f"chart-{place}"
        entry["height"] = entry["chart"]["layout"]["height"]
    data = {entry["id"]: entry["chart"] for entry in (*drawn, *slices)}
    environment = jinja2.Environment(autoescape=True, trim_blocks=False, undefined=jinja2.StrictUndefined)
    template = environment.from_string(files("hpsearch.report").joinpath("page.html").read_text(encoding="utf-8"))
    source = record.study["data"]
    return template.render(
        title=f"{name}: {record.study['strategy']['name']} search on {source['source'].rpartition('/')[2]}",
        subtitle=f"{record.data['task']} of {source['target']}; {_rows(record)}; "
        f"data SHA-256 {record.data['sha256'][:16]}...",
        facts=_facts(record, verdict),
        sentences=_paired(
            [{"heading": h, "lines": lines, "wide": n < WIDE_TEXTS} for n, (h, lines) in enumerate(sentences(verdict))]
        ),
        charts=_paired(drawn),
        slices=slices,
        tables=[_best_trials(record), *_class_table(record, verdict), _data_table(record)],
        repeat=f"hpsearch {record.study['strategy']['name']} study.yaml --only {verdict.winner}\n"
        f"hpsearch {record.study['strategy']['name']} study.yaml",
        study=strict_yaml.dump(record.study),
        plotly=markupsafe.Markup(get_plotlyjs()),  # noqa: S704 - the library's own text
        data=markupsafe.Markup(_json(data)),  # noqa: S704 - escaped by _json
    )


def _paired(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries, two narrow ones beside each other; one that would stand alone beside a gap is wide."""
    alone: dict[str, Any] | None = None
    for entry in entries:
        if not entry["wide"]:
            alone = entry if alone is None else None
        elif alone is not None:
            alone["wide"], alone = True, None
    if alone is not None:
        alone["wide"] = True
    return entries


def _json(data: Any) -> str:
    """JSON that cannot end the script it stands in: no <, > or & is left in it, and nothing that is not ASCII."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _charts(record: RunRecord, verdict: Verdict, human_error: float | None) -> Iterable[dict[str, Any]]:
    space = space_from_spec(record.study["space"])
    seen = record.examinations.get(verdict.winner, {})
    metric = record.metric
    yield _entry("The search", f"dev {metric} of each trial; what is worse than nine in ten lies beyond the edge",
                 charts.best_so_far(record), wide=True)  # fmt: skip
    yield _entry("Learning curves", "of the best trials: dev drawn through, train dotted, averaged over epochs",
                 charts.learning_curves(record))  # fmt: skip
    yield _entry(
        "Bias and variance", "errors of every trial, coloured by its diagnosis", charts.gaps(record, human_error)
    )
    yield _entry("What made the difference", "share of the variance that a hyperparameter explains, with its sd",
                 charts.importance_bars(verdict))  # fmt: skip
    yield _entry("Quality and size", "a smaller network of equal quality is the better one", charts.costs(record))
    yield _entry("All hyperparameters", "a line is a trial; those of the best fifth are orange",
                 charts.parallel_coordinates(record, space), wide=True, least=640)  # fmt: skip
    yield _entry("Gradients of the winner", "length of each layer's gradient while it was trained",
                 charts.gradients(record, verdict.winner))  # fmt: skip
    yield _entry("Mistakes of the winner", "on dev: rows of each class, and what they were taken for",
                 charts.confusion(seen))  # fmt: skip
    yield _entry("Predictions of the winner", "on dev: values beside what was predicted", charts.residuals(seen))
    error = seen.get("dev", {}).get("ece")
    ece = "" if error is None else f", expected calibration error {error:.3g}"
    yield _entry("How far to trust it", f"on dev: below the diagonal it is too sure{ece}", charts.reliability(seen))
    yield _entry("Would more rows help?", "the winner's configuration trained on a part of the rows",
                 charts.data_sizes(seen, metric))  # fmt: skip


def _entry(heading: str, caption: str, chart: Any, *, wide: bool = False, least: int = 0) -> dict[str, Any]:
    """A chart with its words; `least` is the width in pixels below which it can be scrolled."""
    return {"heading": heading, "caption": caption, "chart": chart, "wide": wide, "least": least}


def _rows(record: RunRecord) -> str:
    return ", ".join(f"{number:,} {part} rows" for part, number in record.data["rows"].items())


def _facts(record: RunRecord, verdict: Verdict) -> list[tuple[str, str]]:
    winner = record.results[verdict.winner]
    found = [
        (f"dev {record.metric} of trial {verdict.winner}", f"{verdict.score:.4g}"),
        ("trials", f"{len(record.counted()):,}"),
        ("parameters of the winner", f"{winner.parameters:,}"),
        ("best epoch of the winner", f"{winner.best_epoch} of {winner.epochs}"),
        ("limited by", LIMITS[verdict.limit.word].partition(":")[0]),
    ]
    standing = next((s for s in record.standings() if s.trial == verdict.winner), None)
    if standing is not None:
        mean = -standing.mean if record.maximize else standing.mean
        found.insert(
            1, (f"mean of {record.finalists['repeats']} more trainings", f"{mean:.4g} \u00b1 {standing.sd:.2g}")
        )
    test = verdict.test["scores"].get(record.metric) if verdict.test else None
    if test is not None and verdict.test["trial"] == verdict.winner:
        found.insert(2, (f"test {record.metric}", f"{test:.4g}"))
    return found


def _best_trials(record: RunRecord) -> dict[str, Any]:
    searched = [name for name, spec in record.study["space"].items() if is_searched(name, spec)]
    metric = record.metric
    columns = ["trial", f"dev {metric}", f"train {metric}", *searched, "best epoch", "parameters", "diagnosis"]
    rows = []
    for number in record.ranking(BEST):
        result = record.results[number]
        scores = [_cell(result.metrics.get(f"{part}_{metric}")) for part in ("dev", "train")]
        values = [_cell(result.config.get(name)) for name in searched]
        rows.append([number, *scores, *values, result.best_epoch, f"{result.parameters:,}", record.diagnosis(result)])
    return _table("The best trials", columns, rows)


def _class_table(record: RunRecord, verdict: Verdict) -> list[dict[str, Any]]:
    """Recall and precision of each class on dev; none for values, or where nobody has looked."""
    classes = record.examinations.get(verdict.winner, {}).get("dev", {}).get("classes", [])
    rows = [[one["class"], f"{one['rows']:,}", _percent(one["recall"]), _percent(one["precision"])] for one in classes]
    return [_table("The winner by class, on dev", ["class", "rows", "found (recall)", "right (precision)"], rows)][
        : len(rows)
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _data_table(record: RunRecord) -> dict[str, Any]:
    source, split = record.study["data"], record.study["data"]["split"]
    rows = [
        ["source", source["source"]],
        ["target", source["target"]],
        ["task", record.data["task"]],
        ["rows", _rows(record)],
        [
            "split",
            ", ".join(f"{part} {split[part]:g}" for part in ("train", "dev", "test")) + f", seed {split['seed']}",
        ],
        ["group", source.get("group") or "none"],
        ["SHA-256", record.data["sha256"]],
    ]
    constant = record.data.get("constant", {})
    rows += [[f"dev {name} of the best constant prediction", _cell(value)] for name, value in constant.items()]
    return _table("The data", ["", ""], rows)


def _table(heading: str, columns: Sequence[str], rows: list[list[Any]]) -> dict[str, Any]:
    texts = [[str(cell) if cell is not None else "" for cell in row] for row in rows]
    numeric = [
        place
        for place in range(len(columns))
        if all(not row[place] or row[place].lstrip("-")[:1].isdigit() for row in texts) and any(r[place] for r in texts)
    ]
    return {"heading": heading, "columns": columns, "rows": texts, "numeric": numeric}


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
