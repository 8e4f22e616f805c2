"""Whether all trials of a space can run on its data: what fits the task, what fits together, what needs images.

A study that cannot work is refused before anything runs, not trial by trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.engine.hyperparameters import BINS, HYPERPARAMETERS, IMAGE_AUGMENTATIONS, TASK_WORDS
from hpsearch.errors import ConfigError
from hpsearch.space import Categorical, Mesh, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.space import Config

MANY = 65  # points of a mesh that has every number of layers


def check_space(
    space: Space, *, task: str, classes: Sequence[Any] = (), image_shape: tuple[int, ...] | None = None
) -> None:
    """Raise ConfigError, naming the hyperparameter, its value and what is allowed, if a trial could not run.

    Args:
        space: of a resolved study, with `layers` or `hidden` and `epochs` in it.
        task: `classification` or `regression`.
        classes: those of the target in its order; none: not known, so their number is not checked.
        image_shape: of a row, None if rows are no images.
    """
    for name, words in TASK_WORDS[task].items():
        for value in _values(space, name):
            if value not in words:
                raise ConfigError(f"{name}: {value!r} does not fit {task}; allowed: {', '.join(words)}")
    _check_class_weight(space, classes)
    _check_output(space)
    _check_dropout(space)
    _check_warmup(space)
    if image_shape is None:
        _check_without_images(space)
    elif bins := [kind for kind in _values(space, "normalize") if kind in BINS]:
        raise ConfigError(f"normalize: {bins[0]!r} is not for images; choose another one, or data.image_shape: null")


def _check_class_weight(space: Space, classes: Sequence[Any]) -> None:
    for weights in _values(space, "class_weight"):
        if isinstance(weights, list) and classes and len(weights) != len(classes):
            named = ", ".join(repr(name) for name in classes[:8]) + (", ..." if len(classes) > 8 else "")
            raise ConfigError(
                f"class_weight: {weights!r}: number of weights {len(weights)}, of classes {len(classes)} ({named})"
            )


def _check_output(space: Space) -> None:
    for config in _combinations(space, "loss", "output"):
        if config["loss"] == "binary_cross_entropy" and config["output"] != "logistic":
            searched = {"loss", "output"} & space.parameters.keys()
            hint = ", or loss `when: {output: logistic}`" if searched else ""
            raise ConfigError(
                f"loss: 'binary_cross_entropy' needs output: logistic{hint}; output can be {config['output']!r}"
            )


def _check_dropout(space: Space) -> None:
    if not any(isinstance(value, list) for value in _values(space, "dropout")):
        return
    for config in _combinations(space, "dropout", "layers", "hidden"):
        shares, hidden = config["dropout"], config["hidden"]
        depth = config["layers"] if hidden is None else len(hidden)
        if isinstance(shares, list) and len(shares) != depth:
            name = next((name for name in ("layers", "hidden") if name in space.parameters), None)
            hint = f" ({name} is searched: fix it, or give one number)" if name else ""
            raise ConfigError(f"dropout: {shares!r}: number of values {len(shares)}, of hidden layers {depth}{hint}")


def _check_warmup(space: Space) -> None:
    warmup, epochs = space.constants.get("warmup", 0), space.constants.get("epochs")
    if epochs is not None and warmup >= epochs:
        raise ConfigError(f"warmup: {warmup!r} epochs must be fewer than the {epochs} of a trial")


def _check_without_images(space: Space) -> None:
    for name in IMAGE_AUGMENTATIONS:
        strengths = _values(space, f"augment.{name}")
        named = any(name in words.split("+") for words in _values(space, "augment"))
        if any(strengths) or (named and None in strengths):
            raise ConfigError(
                f"augment: {name!r} needs rows that are images; say data.image_shape: [height, width], or leave it out"
            )


def _values(space: Space, name: str) -> tuple[Any, ...]:
    """What a hyperparameter may be: all its choices, both ends of its range, its one value, or its default."""
    parameter = space.parameters.get(name)
    if parameter is None:
        return (space.constants.get(name, HYPERPARAMETERS[name].default),)
    return parameter.choices if isinstance(parameter, Categorical) else (parameter.low, parameter.high)


def _combinations(space: Space, *names: str) -> Iterator[Config]:
    """The named hyperparameters in all the ways in which they, with their parents, can come together."""
    wanted = [name for name in names if name in space.parameters or name in space.constants]
    for name in wanted:  # grows as it goes
        wanted += [parent for parent in space.conditions.get(name, ()) if parent not in wanted]
    parts = (space.parameters, space.constants, space.conditions)
    mesh = Mesh(Space(*({name: part[name] for name in wanted if name in part} for part in parts)), MANY)
    defaults = {name: HYPERPARAMETERS[name].default for name in names}
    return (defaults | mesh[index] for index in range(mesh.size))
