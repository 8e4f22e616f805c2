"""The commented study that `hpsearch init` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.config import CLASS_METRICS, VALUE_METRICS
from hpsearch.engine.hyperparameters import AUGMENTATIONS, HYPERPARAMETERS, IMAGE_AUGMENTATIONS, TASK_WORDS
from hpsearch.space_text import is_searched

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
        "  stratify_by: null          # a column to be spread evenly over the parts",
        "  missing: auto              # auto fills gaps and marks them; drop leaves rows out; error refuses",
        "  categorical: auto          # or a list of columns whose numbers are only names",
        "  drop: []                   # columns to leave out",
        "  keep: []                   # columns to use although they look useless or like a leak",
        f"  image_shape: {_flow(data.image_shape and list(data.image_shape))}".ljust(28)
        + " # [height, width] or [height, width, channels] of rows that are images",
        f"metric: {study.metric}           # or {', '.join(name for name in metrics if name != study.metric)}",
        f"budget: {{trials: {budget.trials}, epochs: {budget.epochs}, timeout: null}}  # timeout: 45s, 30m, 1.5h",
        "human_error: null            # the error of a person, or that nobody can beat: bias is measured from it",
        f"seed: {study.seed}",
        f"strategy: {{name: {study.strategy.name}}}".ljust(29) + "# or grid, evolve; the command's name wins",
        f"prune: {study.prune}".ljust(29) + "# false: no trial is stopped for being worse than most on its way",
        f"finalists: {{top: null, seeds: {study.finalists.seeds}}}".ljust(34)
        + "# train the best again; null: five, fewer in a short search",
        f"refit: {_flow(study.refit)}".ljust(29) + "# train the winner on train and dev together, once it is known",
        f"ensemble: {{size: {_flow(study.ensemble.size)}, top: {study.ensemble.top}}}".ljust(34)
        + "# at most so many votes for networks of the top trials; 0: the winner alone",
        "# from: runs/earlier         # begin with the results of a run; '@trials.csv': run the rows of a table",
        "space:                       # a number or word is fixed, a list is a choice, low and high are a range",
    ]
    fixed = {name for name, spec in study.space.items() if not is_searched(name, spec)}
    lines += [_entry(name, spec) for name, spec in study.space.items() if name not in fixed]
    lines += [_entry(name, study.space[name]) for name in sorted(fixed - {"epochs"})]
    left = {name: known.default for name, known in HYPERPARAMETERS.items() if name not in study.space}
    lines.append("  # at their defaults:")
    lines += [_idle_entry(name, default, data.task) for name, default in left.items() if default is not None]
    lines.append("  # each of these switches an augmentation on; here with the strength that its word in augment has:")
    usable = [name for name in AUGMENTATIONS if data.image_shape or name not in IMAGE_AUGMENTATIONS]
    lines += [_idle_entry(f"augment.{name}", AUGMENTATIONS[name], data.task) for name in usable]
    return "\n".join(lines) + "\n"


def _entry(name: str, spec: Any) -> str:
    return f"  {name}: {_flow(spec)}".ljust(46) + f"  # {HYPERPARAMETERS[name].help}"


def _idle_entry(name: str, value: Any, task: str) -> str:
    known = HYPERPARAMETERS[name]
    words = TASK_WORDS[task].get(name, known.words)
    allowed = f" ({', '.join(words)})" if known.kind is str and 1 < len(words) < 8 else ""
    return f"  # {name}: {_flow(value)}".ljust(46) + f"  # {known.help}{allowed}"


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
