"""A study: what is searched, on which data, with what budget. Files and flags become one validated, frozen object here.

Precedence: default < study file < environment < flag. Values arrive as text (strict_yaml) and get their type from this
schema. What only the data can tell (target, task, metric, default space) is filled in by `resolve`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hpsearch import strict_yaml
from hpsearch.engine.hyperparameters import AUGMENTATIONS, BINS, HYPERPARAMETERS, METRIC_NAMES, canonical
from hpsearch.errors import ConfigError, did_you_mean
from hpsearch.given import completed, config_of, numbered, space_of
from hpsearch.space import Categorical, Space
from hpsearch.space_checks import check_space
from hpsearch.space_text import DISPLACES, as_mapping, space_from_spec, spec_from_space, written_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLASS_METRICS = METRIC_NAMES[:5]
VALUE_METRICS = METRIC_NAMES[5:]
DEFAULT_TRIALS = 50
MOST_UNITS = 256  # searched by default: twice as many take four times as long and are seldom better
LEAST_LAG, MOST_LAG = 8, 64
THRIFT = 0.6  # the best of 0.1, 0.3, 0.6 and 1 after 60 s (experiments/benchmarks/strategies/engine_results.md)
MOST_ROWS_IN_BINS = 100_000  # up to which bins are searched by default: they take up to 128 times the room of a column
VOTES = 10  # of an ensemble at most
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: Any) -> Any:
    """`30`, `45s`, `30m` or `1.5h` as seconds."""
    if value is None or isinstance(value, int | float):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(value))
    if not match:
        raise ValueError("it must be a time such as 45s, 30m or 1.5h")
    return float(match[1]) * UNITS[match[2] or "s"]


def _words(value: Any) -> Any:
    """A column name or a list of them; numbers are names too."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if value is None else str(value)


def _image_shape(value: Any) -> Any:
    """`auto`, None, or 2 or 3 whole numbers as a tuple."""
    if value is None or value == "auto":
        return value
    if isinstance(value, list | tuple) and len(value) in (2, 3):
        words = [str(side) for side in value]
        if all(word.isdecimal() and len(word) <= 6 and int(word) for word in words):
            return tuple(map(int, words))
    raise ValueError("it must be auto, null, [height, width] or [height, width, channels]")


def _earlier(value: Any) -> Any:
    """None, a place, or a list of mappings."""
    trials = isinstance(value, list) and value and all(isinstance(trial, dict) for trial in value)
    if value is None or trials or (isinstance(value, str) and value.strip("@ ")):
        return value
    raise ValueError("it must be a run directory, @ and a CSV file, or a list of trials such as {lr: 0.01, units: 64}")


def _bytes(value: Any) -> Any:
    """`500M` or `2G` as bytes; with an i, as in `2GiB`, in powers of 1024."""
    try:
        return int(_SIZE.validate_python(value))
    except ValidationError:
        raise ValueError("it must be a size such as 500M, 2G or 2GiB") from None


_SIZE = TypeAdapter(ByteSize)
Bytes = Annotated[int, BeforeValidator(_bytes)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, BeforeValidator(_words)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: _words(value if isinstance(value, list) else [value]))]
Share = Annotated[float, Field(ge=0, le=1)]
ImageShape = Annotated[Any, BeforeValidator(_image_shape)]
Earlier = Annotated[Any, BeforeValidator(_earlier)]


class Section(BaseModel):
    """A frozen part of a study that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitConfig(Section):
    """Shares of the rows, and the seed that deals them out."""

    train: Share = 0.6
    dev: Share = 0.2
    test: Share = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="before")
    @classmethod
    def _share_out(cls, given: Any) -> Any:
        """Let those that are not said have what is left, in their usual proportion."""
        usual = {name: cls.model_fields[name].default for name in ("train", "dev", "test")}
        if not isinstance(given, dict) or not given.keys() & usual.keys():
            return given
        rest = {name: share for name, share in usual.items() if name not in given}
        try:
            left = 1 - sum(float(given[name]) for name in usual if name in given)
        except (TypeError, ValueError):
            return given
        if not rest or left < 0:
            return given
        return given | {name: round(share * left / sum(rest.values()), 12) for name, share in rest.items()}

    @model_validator(mode="after")
    def _check(self) -> SplitConfig:
        total = self.train + self.dev + self.test
        if abs(total - 1) > 1e-9 or self.train == 0 or self.dev == 0:
            shares = f"train {self.train:g}, dev {self.dev:g}, test {self.test:g}"
            raise ValueError(f"{shares}: they must add up to 1, and only test may be 0")
        return self


class DataConfig(Section):
    """The table and how its columns are to be understood."""

    source: Name = "digits"
    target: Name | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    split: SplitConfig = SplitConfig()
    group: Name | None = None
    stratify_by: Name | None = None
    missing: Literal["auto", "drop", "error"] = "auto"
    categorical: Literal["auto"] | Names = "auto"
    drop: Names = ()
    keep: Names = ()
    image_shape: ImageShape = "auto"

    def loading(self) -> dict[str, Any]:
        """The keyword arguments of data.load_dataset and data.load_test_part, `source` included."""
        fields = (
            "source",
            "target",
            "task",
            "group",
            "stratify_by",
            "missing",
            "categorical",
            "drop",
            "keep",
            "image_shape",
        )
        split = {"split": (self.split.train, self.split.dev, self.split.test), "split_seed": self.split.seed}
        return {name: getattr(self, name) for name in fields} | split


class BudgetConfig(Section):
    """How much may be spent: trials in all, epochs of a full one, seconds for the run, seconds and bytes for one."""

    trials: Annotated[int, Field(ge=1, lt=10**9)] | None = None  # 10**9 of them are cli.planning.ENDLESS
    epochs: Annotated[int, Field(ge=1, le=10**6)] | None = None
    timeout: Seconds | None = None
    trial_timeout: Seconds | None = None
    trial_memory: Annotated[Bytes, Field(gt=0)] | None = None


class StrategyConfig(Section):
    """Which strategy, and the options of all of them; each takes its own.

    `lag`, `planned` (trials) and `thrift` are filled in when a run begins and stay, however far it goes on, for what
    was proposed must be proposed again.
    """

    name: Literal["grid", "random", "evolve", "panda"] = "random"
    lag: Annotated[int, Field(ge=1, le=10**6)] | None = None
    planned: Annotated[int, Field(ge=1, le=10**9)] | None = None
    points: Annotated[int, Field(ge=1, le=10**6)] = 3
    rounds: Annotated[int, Field(ge=0, le=100)] = 3
    plain: bool = False
    densify: Share = 0.5
    population: Annotated[int, Field(ge=1, le=100)] | None = None
    elite: Annotated[int, Field(ge=0, le=100)] | None = None
    selection: Annotated[int, Field(ge=1, le=100)] = 1
    crossover: Share = 0.0
    mutation: Annotated[float, Field(gt=0, le=1)] | None = None
    offspring: Annotated[int, Field(ge=1, le=10_000)] = 24
    thrift: Annotated[float, Field(ge=0, le=100)] | None = None

    def begun(self, budget: BudgetConfig, before: Mapping[str, Any]) -> StrategyConfig:
        """With lag, plan and thrift fixed: as they were `before`, when the run began, or else for this budget.

        Where only the time is limited, evolution is thrifty; a time beside a number of trials is a safety net.
        """
        trials = budget.trials
        lag = (
            1
            if self.name == "panda"
            else self.lag or before.get("lag") or min(max((trials or 0) // 10, LEAST_LAG), MOST_LAG)
        )
        planned = self.planned or before.get("planned", trials)
        thrift = self.thrift
        if thrift is None and self.name == "evolve":
            by_time = trials is None and budget.timeout is not None
            thrift = before.get("thrift") if before else THRIFT * by_time
        return self.model_copy(update={"lag": lag, "planned": planned, "thrift": thrift})


class FinalistsConfig(Section):
    """How many of the best trials are trained again, so many times each; top null: what suits the number of trials."""

    top: Annotated[int, Field(ge=0, le=1000)] | None = None
    seeds: Annotated[int, Field(ge=2, le=100)] = 3


class EnsembleConfig(Section):
    """How many votes the networks have that predict together; 0: the winner alone; null: as many as is usual.

    Candidates are those of the `top` best trials, whose weights are kept in the run directory.
    """

    size: Annotated[int, Field(ge=0, le=100)] | None = None
    top: Annotated[int, Field(ge=1, le=1000)] = 20


def _ensemble(value: Any) -> Any:
    """`true` and `false` as the sizes that they mean."""
    if not isinstance(value, bool | str):
        return value
    try:
        return {"size": VOTES * TypeAdapter(bool).validate_python(value)}
    except ValidationError:
        raise ValueError("it must be true, false, or size and top such as {size: 10, top: 20}") from None


Ensemble = Annotated[EnsembleConfig, BeforeValidator(_ensemble)]


class StudyConfig(Section):
    """A whole study. `run` is what a run directory's study.yaml notes of its making; it decides nothing.

    `earlier`, `from` in a file, is a run whose results are known from the start, or the very trials to run: @ and the
    table that they are read from, or the trials themselves (see given.py).
    """

    data: DataConfig = DataConfig()
    metric: Literal["auto", "log_loss", "error", "accuracy", "balanced_accuracy", "auc", "rmse", "mae", "r2"] = "auto"
    goal: Annotated[float, Field(allow_inf_nan=False)] | None = None
    budget: BudgetConfig = BudgetConfig()
    max_failures: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    human_error: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    space: dict[str, Any] | None = None
    strategy: StrategyConfig = StrategyConfig()
    earlier: Earlier = Field(default=None, alias="from")
    finalists: FinalistsConfig = FinalistsConfig()
    refit: bool = True
    ensemble: Ensemble = EnsembleConfig()
    prune: Literal["auto"] | bool = "auto"
    run: dict[str, Any] | None = None

    def votes(self) -> int:
        """The most votes of an ensemble; the panda is about one model, so there it has to be asked for."""
        usual = 0 if self.strategy.name == "panda" else VOTES
        return usual if self.ensemble.size is None else self.ensemble.size

    def search_space(self) -> Space:
        """The parameters, constants and conditions of the resolved study, with `epochs` always among them."""
        return space_from_spec(self.space or {})

    def longest_trial(self) -> int:
        """Epochs of the longest trial that the resolved study may have."""
        return self.budget.epochs or max(self.search_space().parameters["epochs"].mesh(2))

    def table(self) -> Path | None:
        """The table that the trials are to be read from, if there is one."""
        return Path(self.earlier[1:]) if isinstance(self.earlier, str) and self.earlier.startswith("@") else None

    def given(self) -> dict[int, dict[str, Any]] | None:
        """The configurations of the very trials to run, by number, if the resolved study has some."""
        if not isinstance(self.earlier, list):
            return None
        return {trial["trial"]: config_of(trial) for trial in self.earlier}

    def to_dict(self) -> dict[str, Any]:
        """Plain data in the order of the schema; `run` only where there is one."""
        plain = self.model_dump(mode="python", by_alias=True)
        plain = _plain(plain)
        if plain["run"] is None:
            del plain["run"]
        return plain


SECTIONS = {"space", *(name for name, field in StudyConfig.model_fields.items() if isinstance(field.default, Section))}


def load_study(source: Path | None, overrides: Mapping[str, Any]) -> StudyConfig:
    """The study of a YAML file (None: an empty one) with dotted `overrides` put over it.

    Raises ConfigError: one line that names file, key, value and what is allowed.
    """
    tree = _replayed(strict_yaml.read(source)) if source else {}
    where = str(source) if source else "study"
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: a study is a mapping of keys such as data, metric, budget and space")
    if source and isinstance(tree.get("from"), str):
        tree["from"] = _earlier_beside(source, tree["from"])
    _forget_lag(tree, overrides.get("strategy.name"))
    for key, value in overrides.items():
        _put(tree, key, value, where)
    if source and isinstance(tree.get("data"), dict) and isinstance(tree["data"].get("source"), str):
        tree["data"]["source"] = _beside(source, tree["data"]["source"])
    study = _validated(tree, where)
    found: dict[str, Any] = {}
    if study.space is not None:
        found["space"] = spec_from_space(space_from_spec(study.space, f"{where}: space"))
    if isinstance(study.earlier, list):
        found["earlier"] = numbered((f"{where}: from.{i}", trial) for i, trial in enumerate(study.earlier))
    return study.model_copy(update=found)


def check_human_error(error: float | None, metric: str) -> None:
    """Raise ConfigError where the human error of this metric is a share and more than 1 is given, as in percent."""
    if error is not None and error > 1 and metric not in ("rmse", "mae"):
        raise ConfigError(f"human_error: {error:g}: for {metric} it is a share from 0 to 1, such as {error / 100:g}")


def _replayed(tree: Any) -> Any:
    """The study that a ledger of the panda tells of, with its steps as the very trials to run; any other as it is."""
    if not isinstance(tree, dict) or not {"study", "steps"} <= tree.keys() or not isinstance(tree["study"], dict):
        return tree
    if not isinstance(tree["steps"], list) or not all(
        isinstance(step, dict) and isinstance(step.get("hyperparameters"), dict) for step in tree["steps"]
    ):
        return tree
    trials = [{"trial": step.get("trial", n)} | step["hyperparameters"] for n, step in enumerate(tree["steps"])]
    budget = tree["study"].get("budget")
    budget = budget if isinstance(budget, dict) else {}
    return tree["study"] | {"from": trials, "budget": budget | {"trials": len(trials)}}


def resolve(
    study: StudyConfig,
    *,
    target: str,
    task: str,
    train_rows: int,
    classes: Sequence[Any] = (),
    image_shape: tuple[int, ...] | None = None,
    space_overrides: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
) -> StudyConfig:
    """`study` with everything filled in that the data decides, and `space_overrides` (from -p) put over its space.

    Without a space of its own a study searches the default space; a grid searches only what -p names, the rest keeps
    its default. `classes` are those of the target, in its order, and `image_shape` is that of the data set. `before` is
    the study as it was when the run began that this one goes on with. Raises ConfigError where study and data do not
    fit.
    """
    allowed = CLASS_METRICS if task == "classification" else VALUE_METRICS
    metric = ("log_loss" if task == "classification" else "rmse") if study.metric == "auto" else study.metric
    if metric not in allowed:
        raise ConfigError(f"metric: {metric!r} does not fit {task}; allowed: {', '.join(allowed)}")
    check_human_error(study.human_error, metric)
    space = _said_space(study, space_overrides, train_rows, images=image_shape is not None, task=task)
    constants = dict(space.constants)
    budget = None if "epochs" in (space_overrides or {}) else study.budget.epochs  # -p is the last word
    longest = budget or constants.get("epochs") or HYPERPARAMETERS["epochs"].default
    if "epochs" in space.parameters:
        if budget is not None:
            raise ConfigError(
                "epochs: the space searches it, so budget.epochs and --epochs have no meaning; leave one out"
            )
        longest = None
    else:
        constants["epochs"] = longest
    for name, value in default_constants(train_rows).items():
        if name not in constants and name not in space.parameters and not _is_said(name, space):
            constants[name] = value
    space = Space(space.parameters, constants, space.conditions)
    facts = {"task": task, "classes": classes, "image_shape": image_shape}
    earlier = study.earlier
    if isinstance(earlier, list):
        earlier = completed(earlier, space, space_overrides or {}, default_configuration(train_rows))
        space = space_of(earlier, **facts)
        longest = space.constants.get("epochs")
    else:
        check_space(space, **facts)
        earlier = earlier and str(Path(earlier).resolve())
    data = {"source": _absolute(study.data.source), "target": target, "task": task, "image_shape": image_shape}
    return study.model_copy(
        update={
            "data": study.data.model_copy(update=data),
            "metric": metric,
            "budget": study.budget.model_copy(update={"epochs": longest}),
            "space": spec_from_space(space),
            "earlier": earlier,
            "strategy": study.strategy.begun(study.budget, (before or {}).get("strategy", {})),
        }
    )


def wanted_normalizations(
    study: StudyConfig,
    space_overrides: Mapping[str, Any] | None = None,
    train_rows: int = 1,
    images: bool = False,  # noqa: FBT001, FBT002
) -> tuple[str, ...]:
    """The values of `normalize` that the study can ask for; its data must be prepared for each of them."""
    space = _said_space(study, space_overrides, train_rows, images=images)
    if "normalize" in space.parameters:
        found = space.parameters["normalize"].mesh(1)
    else:
        found = [space.constants.get("normalize", HYPERPARAMETERS["normalize"].default)]
    if isinstance(study.earlier, list):
        found += [trial["normalize"] for trial in study.earlier if trial.get("normalize")]
    return tuple(dict.fromkeys(found))


def _said_space(
    study: StudyConfig,
    space_overrides: Mapping[str, Any] | None,
    train_rows: int,
    *,
    images: bool = False,
    task: str = "",
) -> Space:
    """The space of the study or of -p or the default one, put together but not yet completed with constants."""
    over = dict(space_overrides or {})
    space_from_spec(over, "-p", alone=False)
    spec = study.space
    if spec is None:
        named = (study.strategy.name == "grid" and over) or isinstance(study.earlier, list)
        usual = panda_space if study.strategy.name == "panda" else default_space
        spec = {} if named else usual(train_rows, images=images)
        if task == "regression":
            spec.pop("label_smoothing", None)
    return space_from_spec(put_over(spec, over))


def _is_said(name: str, space: Space) -> bool:
    """Whether layers and units are said by `hidden`."""
    return name in ("layers", "units") and ("hidden" in space.parameters or "hidden" in space.constants)


def default_constants(train_rows: int) -> dict[str, Any]:
    """The default configuration of a study, where it is not that of a bare network: its size, and averaged weights.

    Three layers of 256 and batches of 256 as RealMLP (Holzmueller et al. 2024, arXiv 2407.04491) found good for
    tables of thousands of rows; below, smaller networks, and at least about 16 updates an epoch. What averages bring
    is measured in experiments/defaults.
    """
    units = 256 if train_rows >= 2000 else 128 if train_rows >= 500 else 64
    batch = 16
    while batch < 256 and batch * 32 <= train_rows:
        batch *= 2
    return {"layers": 3, "units": units, "batch_size": batch, "ema": "auto"}


def default_configuration(train_rows: int) -> dict[str, Any]:
    """Every hyperparameter at its default for this much data."""
    defaults = {name: known.default for name, known in HYPERPARAMETERS.items()}
    return defaults | {f"augment.{name}": 0.0 for name in AUGMENTATIONS} | default_constants(train_rows)


def first_configuration(space: Space, train_rows: int) -> dict[str, Any]:
    """What a search begins with: the default configuration, with bins where they may be chosen.

    On two real tables of eight nearly every network with them was better than the best of those without; where they
    harm, half of the other trials go without (experiments/defaults).
    """
    normalize = space.parameters.get("normalize")
    bins = isinstance(normalize, Categorical) and BINS[0] in normalize.choices
    return default_configuration(train_rows) | ({"normalize": BINS[0]} if bins else {})


def default_space(train_rows: int, *, images: bool = False) -> dict[str, Any]:
    """The space of a study that names none: what matters most for networks on tables, each on its scale.

    Where rows are images, moving them is searched too: it nearly halves the loss on digits (experiments/augmentation).
    Elsewhere columns are cut into bins, which makes networks better by a tenth on most tables; on some it takes the
    column itself beside them, so both are tried (experiments/defaults).
    """
    constants = default_constants(train_rows)
    batch = constants["batch_size"]
    scalings = BINS if _may_have_bins(train_rows, images=images) else ("robust_clip", "standard")
    return {
        "layers": {"low": 1, "high": 4},
        "units": {"low": 32, "high": min(MOST_UNITS, 2 * constants["units"]), "scale": "pow2"},
        "activation": ["silu", "relu", "selu", "tanh"],
        "learning_rate": {"low": 2e-4, "high": 2e-2, "log": True},
        "batch_size": {"low": max(8, batch // 4), "high": 2 * batch, "scale": "pow2"},
        "l2": {"low": 1e-5, "high": 1.0, "log": True},
        "normalize": list(scalings),
        **({"augment": ["none", "shift+rotate+scale"]} if images else {}),
    }


def panda_space(train_rows: int, *, images: bool = False) -> dict[str, Any]:
    """What the panda may change, and how far; `rising` is for its range test alone."""
    constants = default_constants(train_rows)
    return {
        "learning_rate": {"low": 1e-5, "high": 0.3, "log": True},
        "layers": {"low": 1, "high": 8},
        "units": {"low": 8, "high": max(1024, constants["units"]), "scale": "pow2"},
        "activation": ["silu", "relu", "selu", "tanh", "gelu"],
        "l2": {"low": 1e-5, "high": 10.0, "log": True},
        "dropout": {"low": 0.0, "high": 0.6},
        "label_smoothing": {"low": 0.0, "high": 0.2},
        "batch_size": {"low": 4, "high": 1024, "scale": "pow2"},
        "schedule": ["constant", "cosine", "rising"],
        "normalize": ["robust_clip", "standard", *(BINS if _may_have_bins(train_rows, images=images) else [])],
        "batch_norm": [False, True],
        "augment": ["none", "noise", "shift+rotate+scale"] if images else ["none", "noise"],
    }


def _may_have_bins(train_rows: int, *, images: bool) -> bool:
    return not images and train_rows <= MOST_ROWS_IN_BINS


def put_over(spec: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with entries put over it; what they displace goes, a `when` stays."""
    displaced = {other for name in over for other in DISPLACES.get(name, ())}
    merged = {name: value for name, value in spec.items() if name not in displaced}
    for name, value in over.items():
        before = merged.get(name)
        when = before.get("when") if isinstance(before, dict) else None
        merged[name] = {"when": when} | as_mapping(name, value) if when else value
    return merged


def _forget_lag(tree: dict[str, Any], strategy: str | None) -> None:
    """Drop the lag of a panda's study for another strategy: a panda has no other than 1, which nobody chose."""
    section = tree.get("strategy")
    if isinstance(section, dict) and section.get("name") == "panda" and strategy not in (None, "panda"):
        tree["strategy"] = {key: value for key, value in section.items() if key != "lag"}


def _put(tree: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    """Set a dotted key in nested dicts; in the space under full names, and `augment.shift` is one of them.

    Nothing where something else than a mapping holds the place of one: validation tells of that.
    """
    keys = dotted.split(".")
    if keys[0] == "ensemble":
        with suppress(ValueError):
            tree["ensemble"] = _ensemble(tree.get("ensemble"))
    if len(keys) > 1 and keys[0] in SECTIONS and not isinstance(tree.get(keys[0]), dict | None):
        return
    if keys[0] == "space" and len(keys) > 1:
        tree["space"] = space = written_out(tree.get("space") or {}, f"{where}: space")
        keys[1] = canonical(keys[1])
        if ".".join(keys[1:3]) in HYPERPARAMETERS:
            keys[1:3] = [".".join(keys[1:3])]
        for other in DISPLACES.get(keys[1], ()) if len(keys) == 2 else ():
            space.pop(other, None)
    for key in keys[:-1]:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[keys[-1]] = value


def _beside(study: Path, source: str) -> str:
    """A data file named in a study is looked for beside the study, then in the working directory."""
    beside = study.parent / source
    return str(beside) if beside.is_file() else source


def _earlier_beside(study: Path, place: str) -> str:
    """The same for what `from` names, a run or @ and a table."""
    mark = "@" if place.startswith("@") else ""
    beside = study.parent / place.removeprefix(mark)
    return mark + str(beside) if beside.exists() else place


def _absolute(source: str) -> str:
    """The place of a data file whatever the working directory; the name of bundled data as it is."""
    return str(Path(source).absolute()) if Path(source).suffix else source


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _validated(tree: dict[str, Any], where: str) -> StudyConfig:
    try:
        return StudyConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_one_line(error, tree, where)) from None


def _one_line(error: ValidationError, tree: Any, where: str) -> str:
    """The first thing that is wrong: where it stands, the value, and what is allowed."""
    first = error.errors()[0]
    path = [part for part in first["loc"] if not str(part).startswith(("function-", "literal", "tuple["))]
    key = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        fields: Any = StudyConfig
        for part in path[:-1]:
            fields = fields.model_fields[part].annotation
        known = [field.alias or name for name, field in fields.model_fields.items()]
        return f"{where}: {key}: there is no such key; {did_you_mean(path[-1], known)}"
    value = tree
    for part in path:
        value = value.get(part) if isinstance(value, dict) else value
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ").partition(", unable")[0]
    if first["type"] == "literal_error":
        allowed = [word.strip(" '") for word in first["ctx"]["expected"].replace(" or ", ", ").split(",")]
        beside = (other["type"] for other in error.errors() if other["loc"][: len(path)] == tuple(path))
        allowed += ["true", "false"] if any(kind.startswith("bool") for kind in beside) else []
        return f"{where}: {key}: {value!r} is not allowed; {did_you_mean(value, allowed)}"
    if first["type"] == "model_type":
        section = next(one for one in Section.__subclasses__() if one.__name__ == first["ctx"]["class_name"])
        return f"{where}: {key}: {value!r}: it must be a mapping of {', '.join(section.model_fields)}"
    if first["type"] == "value_error" and key == "data.split":
        return f"{where}: {key}: {reason}"
    reason = reason if reason.startswith("it must") else f"it must be {reason}"
    return f"{where}: {key}: {value!r}: {reason}"
