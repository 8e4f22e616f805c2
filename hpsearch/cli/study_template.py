"""The commented study that `hpsearch init` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.config import CLASS_METRICS, VALUE_METRICS
from hpsearch.engine.hyperparameters import HYPERPARAMETERS

if TYPE_CHECKING:
    from hpsearch.config import StudyConfig


def study_text(study: StudyConfig) -> str:
    """A study file that runs as it is, with a comment at every choice."""
    data, split, budget = study.data, study.data.split, study.budget
    metrics = CLASS_METRICS if data.task == "classification" else VALUE_METRICS
    lines = [
        "# A study for hpsearch. Run it with: hpsearch random study.yaml",
        "data:",
        f"  source: {_flow(data.source)}",
        f"  target: {_flow(data.target)}",
        f"  task: {data.task}              # classification, regression or auto",
        "  # the test part is sealed until hpsearch evaluate",
        f"  split: {{train: {split.train:g}, dev: {split.dev:g}, test: {split.test:g}, seed: {split.seed}}}",
        "  group: null                # a column whose rows must stay together",
        "  missing: auto              # auto fills gaps and marks them; drop leaves rows out; error refuses",
        "  categorical: auto          # or a list of columns whose numbers are only names",
        "  drop: []                   # columns to leave out",
        "  keep: []                   # columns to use although they look useless or like a leak",
        f"metric: {study.metric}           # or {', '.join(name for name in metrics if name != study.metric)}",
        f"budget: {{trials: {budget.trials}, epochs: {budget.epochs}, timeout: null}}  # timeout: 45s, 30m, 1.5h",
        f"seed: {study.seed}",
        "space:                       # a number or word is fixed, a list is a choice, low and high are a range",
    ]
    fixed = {name for name, spec in study.space.items() if not isinstance(spec, dict | list)}
    lines += [_entry(name, spec) for name, spec in study.space.items() if name not in fixed]
    lines += [_entry(name, study.space[name]) for name in sorted(fixed - {"epochs"})]
    left = [name for name in HYPERPARAMETERS if name not in study.space and name != "hidden"]
    lines.append("  # at their defaults:")
    lines += [f"  # {name}: {_flow(HYPERPARAMETERS[name].default)}".ljust(46) + f"  # {_help(name)}" for name in left]
    return "\n".join(lines) + "\n"


def _entry(name: str, spec: Any) -> str:
    return f"  {name}: {_flow(spec)}".ljust(46) + f"  # {HYPERPARAMETERS[name].help}"


def _help(name: str) -> str:
    known = HYPERPARAMETERS[name]
    return f"{known.help} ({known.allowed()})" if known.kind is str and len(known.words) < 8 else known.help


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
