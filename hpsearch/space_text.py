"""Spaces as people write them, in a study's `space:` section and after `-p`, and back.

In a study: a number or word is a constant, a list holds the values of a category, and a mapping has `low` and `high`
(with `log`, `step`, `scale`), `values`, or `value`, and may have `when`. A flat list of numbers is one value where the
hyperparameter takes such a list (`hidden`, `dropout`, `class_weight`). A mapping under `augment` holds a strength for
each augmentation, in any of these forms. After -p: `lr=1e-5:1e-1:log`, `layers=1:4`, `units=16:256:x2`,
`l2=0:0.5:0.1`, `activation=relu,tanh`, `epochs=30`, `dropout=[0.1, 0.3]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch import strict_yaml
from hpsearch.engine.hyperparameters import AUGMENTATIONS, CONDITIONS, HYPERPARAMETERS, Hyperparameter, canonical
from hpsearch.errors import ConfigError, did_you_mean
from hpsearch.space import Categorical, Float, Int, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.space import Parameter

    Condition = dict[str, tuple[Any, ...]]

RANGE_KEYS = ("low", "high", "log", "step", "scale")
KIND_KEYS = ("values", "value", "low")
SPEC_KEYS = (*RANGE_KEYS, "values", "value", "when")
# What a later word displaces, because it says the same thing anew in another way.
DISPLACES = {
    "hidden": ("layers", "units"),
    "layers": ("hidden",),
    "units": ("hidden",),
    "augment": tuple(f"augment.{name}" for name in AUGMENTATIONS),
}


def space_from_spec(spec: Mapping[str, Any], where: str = "space", *, alone: bool = True) -> Space:
    """The space of a study's section; ConfigError, naming `where` and the parameter, for anything that makes no sense.

    A hyperparameter without a `when` that is of use beside some of its parent's choices only (CONDITIONS) is active
    beside those. With alone=False only the entries themselves are checked, not how they hang together.
    """
    parameters: dict[str, Parameter] = {}
    constants: dict[str, Any] = {}
    conditions: dict[str, Condition] = {}
    for name, value in written_out(spec, where).items():
        try:
            _read_one(name, value, parameters, constants, conditions)
        except ConfigError as error:
            message = str(error).removeprefix(f"{name}: ")
            between = " " if where == "-p" else "."
            raise ConfigError(f"{where}{between}{name}: {message}") from None
    if ("hidden" in parameters or "hidden" in constants) and {"layers", "units"} & {*parameters, *constants}:
        raise ConfigError(f"{where}.hidden: it takes the place of layers and units; leave these out")
    try:
        return Space(parameters, constants, _implied(parameters, constants, conditions) | conditions if alone else {})
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from None


def written_out(spec: Mapping[str, Any], where: str = "space") -> dict[str, Any]:
    """`spec` under full names, with a mapping under `augment` as `augment.shift` and so on."""
    found: dict[str, Any] = {}
    for given, value in spec.items():
        parts = given == "augment" and isinstance(value, dict) and value.keys().isdisjoint(KIND_KEYS)
        for name, one in ({f"augment.{key}": one for key, one in value.items()} if parts else {given: value}).items():
            full = _named(name, where)
            if full in found:
                raise ConfigError(f"{where}.{given}: {full} stands twice")
            found[full] = one
    return found


def as_mapping(name: str, spec: Any) -> dict[str, Any]:
    """The long form of a hyperparameter's `spec`, the one that can have a `when`."""
    if isinstance(spec, dict):
        return spec
    choices = isinstance(spec, list) and not _is_one_value(HYPERPARAMETERS[name], spec)
    return {"values" if choices else "value": spec}


def is_searched(name: str, spec: Any) -> bool:
    """Whether an entry of a resolved study's space is a parameter, not a constant."""
    return "value" not in as_mapping(name, spec)


def _implied(
    parameters: Mapping[str, Parameter], constants: Mapping[str, Any], conditions: Mapping[str, Condition]
) -> dict[str, Condition]:
    """What CONDITIONS says of a hyperparameter without conditions, where some choices of a searched parent use it."""
    implied: dict[str, Condition] = {}
    for name in [name for name in CONDITIONS if name not in conditions and (name in parameters or name in constants)]:
        for parent, words in CONDITIONS[name].items():
            choices = getattr(parameters.get(parent), "choices", ())
            users = tuple(choice for choice in choices if not set(choice.split("+")).isdisjoint(words))
            if parent not in conditions and 0 < len(users) < len(choices):
                implied.setdefault(name, {})[parent] = users
    return implied


def _named(name: object, where: str) -> str:
    try:
        return canonical(str(name))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read_one(
    name: str,
    spec: Any,
    parameters: dict[str, Parameter],
    constants: dict[str, Any],
    conditions: dict[str, Condition],
) -> None:
    known = HYPERPARAMETERS[name]
    found = _from_mapping(name, known, spec, conditions) if isinstance(spec, dict) else _from_value(name, known, spec)
    if isinstance(found, Float | Int | Categorical):
        parameters[name] = found
    else:
        constants[name] = found


def _from_mapping(name: str, known: Hyperparameter, spec: dict[str, Any], conditions: dict[str, Condition]) -> Any:
    for key in spec:
        if key not in SPEC_KEYS:
            raise ConfigError(f"{key!r} is not known here; {did_you_mean(key, SPEC_KEYS)}")
    if spec.get("when") is not None:
        conditions[name] = _condition(spec["when"])
    kinds = [kind for kind in KIND_KEYS if kind in spec]
    if len(kinds) != 1:
        raise ConfigError("it needs exactly one of low and high, values, or value")
    if kinds[0] == "low":
        return _range(name, known, spec)
    if kinds[0] == "value":
        return known.check(name, spec["value"])
    if not isinstance(spec["values"], list):
        raise ConfigError(f"values: {spec['values']!r} is not a list")
    return _from_list(name, known, spec["values"])


def _from_value(name: str, known: Hyperparameter, value: Any) -> Any:
    """A parameter for a list of values, else a constant."""
    choices = isinstance(value, list) and not _is_one_value(known, value)
    return _from_list(name, known, value) if choices else known.check(name, value)


def _is_one_value(known: Hyperparameter, values: list[Any]) -> bool:
    """Whether a list is one value: a flat one of numbers, where the hyperparameter takes lists."""
    flat = not any(isinstance(value, list) or value in known.words for value in values)
    return flat and (known.kind is list or known.listed)


def _from_list(name: str, known: Hyperparameter, values: list[Any]) -> Any:
    choices = tuple(known.check(name, value) for value in values)
    return choices[0] if len(choices) == 1 else Categorical(choices)


def _range(name: str, known: Hyperparameter, spec: Mapping[str, Any]) -> Parameter:
    if known.kind not in (int, float):
        raise ConfigError(f"a range needs numbers; {name} is one of {known.allowed()}")
    if "high" not in spec:
        raise ConfigError("it has low but not high")
    low, high = known.check_number("low", spec["low"]), known.check_number("high", spec["high"])
    log = _log_word(spec.get("log"))
    options: dict[str, Any] = {"log": log}
    if spec.get("step") is not None:
        options["step"] = known.check_number("step", spec["step"])
    if known.kind is int:
        parameter: Parameter = Int(low, high, **options, scale=spec.get("scale"))
    elif spec.get("scale") is not None:
        raise ConfigError(f"scale: {spec['scale']!r} is for whole numbers; use log: true")
    else:
        parameter = Float(low, high, **options)
    known.check(name, parameter.low)
    known.check(name, parameter.high)
    return parameter


def _log_word(word: Any) -> bool | str:
    words = {None: False, "false": False, "true": True, "reversed": "reversed"}
    key = word.lower() if isinstance(word, str) else str(word).lower() if isinstance(word, bool) else word
    if not isinstance(key, str | None) or key not in words:
        raise ConfigError(f"log: {word!r} is not one of true, false, reversed")
    return words[key]


def _condition(spec: Any) -> Condition:
    if not isinstance(spec, dict) or not spec:
        raise ConfigError(f"when: {spec!r} is not a mapping such as {{optimizer: momentum}}")
    condition = {}
    for parent, values in spec.items():
        name = canonical(str(parent))
        listed = values if isinstance(values, list) else [values]
        condition[name] = tuple(HYPERPARAMETERS[name].check(name, value) for value in listed)
    return condition


def spec_from_space(space: Space) -> dict[str, Any]:
    """The section that `space_from_spec` reads back as the same space; conditions that it implies are left out."""
    spec: dict[str, Any] = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical):
            one: Any = {"values": list(parameter.choices)}
        else:
            one = {key: getattr(parameter, key) for key in RANGE_KEYS if getattr(parameter, key, None)}
            one = {"low": parameter.low, "high": parameter.high} | one
        spec[name] = one
    for name, value in space.constants.items():
        spec[name] = {"value": value}
    said = {name: condition for name, condition in space.conditions.items() if name not in CONDITIONS}
    implied = _implied(space.parameters, space.constants, said)
    for name, condition in space.conditions.items():
        if condition != implied.get(name):
            spec[name]["when"] = {parent: _one_or_all(values) for parent, values in condition.items()}
    return {name: _shortest(name, one) for name, one in spec.items()}


def _one_or_all(values: tuple[Any, ...]) -> Any:
    """A single value alone, unless it would be read as several, being a list."""
    return values[0] if len(values) == 1 and not isinstance(values[0], list) else list(values)


def _shortest(name: str, one: dict[str, Any]) -> Any:
    """The value or the list of values alone, where that is read back as the same."""
    alone = next(iter(one.values()))
    return alone if len(one) == 1 and as_mapping(name, alone) == one else one


def spec_from_text(text: str) -> tuple[str, Any]:
    """(name, spec) of what stands after -p; ConfigError if it is not NAME=SPEC."""
    given, equals, value = text.partition("=")
    if not equals or not value:
        raise ConfigError(
            f"-p {text}: it must be NAME=SPEC, such as lr=1e-5:1e-1:log, units=16:256:x2 or activation=relu,tanh"
        )
    name = _named(given.strip(), "-p")
    value = value.strip()
    if value.startswith("["):
        return name, strict_yaml.parse(value, f"-p {text}")
    if ":" in value:
        return name, _range_spec(text, value.split(":"))
    if "," in value:
        parts = [part.strip() for part in value.split(",")]
        return name, {"values": parts} if HYPERPARAMETERS[name].listed else parts
    return name, value


def _range_spec(text: str, parts: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {"low": parts[0], "high": parts[1]}
    if len(parts) == 2:
        return spec
    how = parts[2]
    if len(parts) > 3 or not how:
        raise ConfigError(
            f"-p {text}: a range is LOW:HIGH, LOW:HIGH:log, LOW:HIGH:reversed, LOW:HIGH:x2 or LOW:HIGH:STEP"
        )
    if how in ("log", "reversed"):
        return spec | {"log": "true" if how == "log" else how}
    if how == "x2":
        return spec | {"scale": "pow2"}
    return spec | {"step": how}
