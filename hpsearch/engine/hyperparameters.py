"""Every hyperparameter that a study may set or search: its kind, its bounds, its default.

The one table that configuration, search space and engine share. A new technique of the engine starts with a line here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVATION_NAMES = (
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "gelu", "silu", "mish",
)  # fmt: skip
INIT_NAMES = ("xavier", "glorot", "he", "xavier_uniform", "glorot_uniform", "he_uniform", "constant")
OPTIMIZER_NAMES = ("sgd", "momentum", "adam")
NORMALIZE_NAMES = ("none", "standard", "minmax", "robust", "robust_clip")
METRIC_NAMES = ("log_loss", "error", "accuracy", "balanced_accuracy", "auc", "rmse", "mae", "r2")
MAXIMIZED_METRICS = ("accuracy", "balanced_accuracy", "auc", "r2")


@dataclass(frozen=True)
class Hyperparameter:
    """What one name may be. `low` and `high` are inclusive; `words` are values allowed beside numbers."""

    kind: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()
    above: float | None = None  # an exclusive lower bound
    below: float | None = None  # an exclusive upper bound

    def allowed(self) -> str:
        """The allowed values in words, for messages."""
        if self.kind is str:
            return ", ".join(self.words)
        if self.kind is list:
            return "a list of whole numbers from 1 to 16384, such as [64, 32]"
        parts = ["a whole number" if self.kind is int else "a number"]
        if self.low is not None:
            parts.append(f"from {self.low:g}")
        if self.above is not None:
            parts.append(f"above {self.above:g}")
        if self.high is not None:
            parts.append(f"to {self.high:g}")
        if self.below is not None:
            parts.append(f"below {self.below:g}")
        return " ".join(parts) + "".join(f" or {word}" for word in self.words)

    def check(self, name: str, value: object) -> Any:
        """`value`, which may be a text, as the right Python type; ConfigError if it is not allowed."""
        if isinstance(value, str) and value in self.words:
            return value
        if self.kind is str:
            raise ConfigError(f"{name}: {value!r} is not one of its values; {did_you_mean(value, self.words)}")
        if self.kind is list:
            return self._check_widths(name, value)
        number = self.check_number(name, value)
        inside = (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )
        if not inside:
            raise ConfigError(f"{name}: {number!r} is outside its bounds; allowed: {self.allowed()}")
        return number

    def check_number(self, name: str, value: object) -> Any:
        """`value` as a finite number of this kind, whatever its bounds; ConfigError if it is none."""
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or (self.kind is int and number != int(number)):
            raise ConfigError(f"{name}: {value!r} is not {self.allowed()}")
        return self.kind(number)

    def _check_widths(self, name: str, value: object) -> list[int]:
        whole = Hyperparameter(int, None, "", low=1, high=16384)
        if not isinstance(value, list | tuple) or len(value) > 64:
            raise ConfigError(f"{name}: {value!r} is not {self.allowed()}")
        try:
            return [whole.check(name, item) for item in value]
        except ConfigError:
            raise ConfigError(f"{name}: {value!r} is not {self.allowed()}") from None


HYPERPARAMETERS: dict[str, Hyperparameter] = {
    "layers": Hyperparameter(int, 3, "hidden layers", low=0, high=64),
    "units": Hyperparameter(int, 256, "units of each hidden layer", low=1, high=16384),
    "hidden": Hyperparameter(list, None, "units layer by layer, instead of layers and units"),
    "activation": Hyperparameter(str, "silu", "of the hidden layers", words=ACTIVATION_NAMES),
    "init": Hyperparameter(
        str,
        "auto",
        "spread of the first weights; auto: he for relu and its kin, else xavier",
        words=("auto", *INIT_NAMES),
    ),
    "optimizer": Hyperparameter(str, "adam", "rule of the updates", words=OPTIMIZER_NAMES),
    "learning_rate": Hyperparameter(float, 1e-3, "size of a step", above=0, high=1000),
    "momentum": Hyperparameter(float, 0.9, "beta of the optimizer momentum", low=0, below=1),
    "beta1": Hyperparameter(float, 0.9, "adam's average of gradients", low=0, below=1),
    "beta2": Hyperparameter(float, 0.95, "adam's average of squared gradients", low=0, below=1),
    "epsilon": Hyperparameter(float, 1e-8, "adam's guard against division by zero", above=0, high=1),
    "batch_size": Hyperparameter(
        int, 256, "rows of an update; 1: on-line, full: all rows", low=1, high=2**31 - 1, words=("full",)
    ),
    "epochs": Hyperparameter(int, 100, "passes over the training rows", low=1, high=1_000_000),
    "patience": Hyperparameter(
        int, 15, "epochs without a better dev score before the end; 0: never", low=0, high=1_000_000
    ),
    "min_delta": Hyperparameter(float, 0.0, "what counts as a better dev score", low=0),
    "l2": Hyperparameter(float, 0.0, "lambda of the penalty lambda / (2 m) * sum of squared weights", low=0, high=1e6),
    "normalize": Hyperparameter(str, "robust_clip", "scaling of numeric columns", words=NORMALIZE_NAMES),
}
SHORT_FORMS = {"lr": "learning_rate", "bs": "batch_size"}

# Which optimiser uses which constant: the others do not matter, so a default space does not search them.
CONDITIONS = {
    "momentum": {"optimizer": "momentum"},
    "beta1": {"optimizer": "adam"},
    "beta2": {"optimizer": "adam"},
    "epsilon": {"optimizer": "adam"},
}
HE_LIKE = ("relu", "leaky_relu", "elu", "softplus", "gelu", "silu", "mish")


def canonical(name: str) -> str:
    """The full name of a hyperparameter; ConfigError for a name that is none."""
    name = SHORT_FORMS.get(name, name)
    if name not in HYPERPARAMETERS:
        raise ConfigError(f"{name!r} is not a hyperparameter; {did_you_mean(name, [*HYPERPARAMETERS, *SHORT_FORMS])}")
    return name


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """All hyperparameters of a network: those of `config`, checked, and the defaults of the rest.

    `hidden` becomes the list of widths and `init` a scheme, whatever way they were said.
    """
    full = {name: parameter.default for name, parameter in HYPERPARAMETERS.items()}
    for name, value in config.items():
        name = canonical(name)  # noqa: PLW2901 - the short form is of no more use
        full[name] = HYPERPARAMETERS[name].check(name, value)
    if full["hidden"] is None:
        full["hidden"] = [full["units"]] * full["layers"]
    if full["init"] == "auto":
        full["init"] = "he" if full["activation"] in HE_LIKE else "xavier"
    return full
