"""Trials that somebody wrote down: checked, numbered, and completed by a study to configurations.

A trial is a mapping of hyperparameters, perhaps with its number under `trial`. What it leaves out the study decides;
None says that it is not there at all, as `momentum` beside an optimizer without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.engine.hyperparameters import HYPERPARAMETERS, canonical
from hpsearch.errors import ConfigError
from hpsearch.space import Space
from hpsearch.space_checks import check_space
from hpsearch.space_text import DISPLACES, space_from_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.space import Config

MOST = 10**9


def numbered(trials: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """(where it stands, trial) of each as it is to run: its number, which is its place if it names none, and values.

    Raises ConfigError, naming the place, hyperparameter, value and what is allowed.
    """
    found: list[dict[str, Any]] = []
    taken = set()
    for place, (where, trial) in enumerate(trials):
        number = str(trial.get("trial", place))
        if not number.isdecimal() or len(number) > len(str(MOST)) or int(number) >= MOST:
            raise ConfigError(f"{where}: trial: {number[:20]!r} is not a whole number from 0 to {MOST - 1:,}")
        if int(number) in taken:
            raise ConfigError(f"{where}: trial: {number} stands twice")
        taken.add(int(number))
        try:
            found.append({"trial": int(number), **_checked(trial)})
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return found


def _checked(trial: Mapping[str, Any]) -> Config:
    values: Config = {}
    for given, value in trial.items():
        if given != "trial":
            name = canonical(str(given))
            if name in values:
                raise ConfigError(f"{given}: {name} stands twice")
            values[name] = None if value is None else HYPERPARAMETERS[name].check(name, value)
    return values


def completed(
    trials: Iterable[Mapping[str, Any]], space: Space, over: Iterable[str], defaults: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """`trials` with all hyperparameters that one of them has or that `space` gives it (see Space.completed).

    For those named in `over` the constants of the space win.
    """
    over = list(over)
    for name in over:
        if name in space.parameters:
            raise ConfigError(f"-p {name}: the trials are given, so nothing is searched; it takes one value")
    trials = list(trials)
    configs = []
    for trial in trials:
        rest = {name: value for name, value in trial.items() if name not in {"trial", *over, *_displaced(over)}}
        values = {name: value for name, value in rest.items() if value is not None}
        absent = {*rest, *_displaced(values)} - values.keys()
        config = space.completed(values, defaults)
        configs.append({name: value for name, value in config.items() if name not in absent})
    names = [name for name in HYPERPARAMETERS if any(name in config for config in configs)]
    return [
        {"trial": trial["trial"], **{name: config.get(name) for name in names}}
        for trial, config in zip(trials, configs, strict=True)
    ]


def _displaced(names: Iterable[str]) -> set[str]:
    return {other for name in names for other in DISPLACES.get(name, ())}


def config_of(trial: Mapping[str, Any]) -> Config:
    """The configuration of a completed trial."""
    return {name: value for name, value in trial.items() if name != "trial" and value is not None}


def space_of(trials: Sequence[Mapping[str, Any]], **facts: Any) -> Space:
    """The space of all values that completed trials have; `facts` of the data must let each of them run."""
    for trial in trials:
        try:
            check_space(Space({}, config_of(trial)), **facts)
        except ConfigError as error:
            raise ConfigError(f"from: trial {trial['trial']}: {error}") from None
    spec = {}
    for name in list(trials[0])[1:]:
        values: list[Any] = []
        for trial in trials:
            if trial[name] is not None and trial[name] not in values:
                values.append(trial[name])
        spec[name] = {"value": values[0]} if len(values) == 1 else {"values": values}
    return space_from_spec(spec, "from")
