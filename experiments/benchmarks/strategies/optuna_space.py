"""A space of hpsearch as Optuna sees it: ordered values as numbers on the same scale, the others as categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.space import Categorical, Float

if TYPE_CHECKING:
    from optuna import Trial

    from hpsearch.space import Config, Parameter, Space


def suggested(trial: Trial, space: Space) -> Config:
    """The configuration of a trial of Optuna."""
    if space.conditions:
        raise NotImplementedError("conditions: the default space has none")
    return {name: _value(trial, name, parameter) for name, parameter in space.parameters.items()} | space.constants


def params(config: Config, space: Space) -> dict[str, Any]:
    """A configuration in Optuna's numbers, as `enqueue_trial` takes it."""
    return {
        name: (config[name] // parameter.low).bit_length() - 1 if getattr(parameter, "scale", None) else config[name]
        for name, parameter in space.parameters.items()
    }


def _value(trial: Trial, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return trial.suggest_categorical(name, parameter.choices)
    if parameter.log == "reversed":
        raise NotImplementedError(f"{name}: the default space has no reversed scale")
    if isinstance(parameter, Float):
        return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    if parameter.scale:
        return parameter.low << trial.suggest_int(name, 0, parameter.size - 1)
    return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step or 1)
