"""Every hyperparameter that a study may set or search: its kind, its bounds, its default.

The one table that configuration, search space and engine share. A new technique of the engine starts with a line here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVATION_NAMES = (
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "gelu", "silu", "mish",
)  # fmt: skip
INIT_NAMES = ("xavier", "glorot", "he", "xavier_uniform", "glorot_uniform", "he_uniform", "constant")
OPTIMIZER_NAMES = ("sgd", "momentum", "adam", "nesterov", "adagrad", "rmsprop", "adamw")
MOMENTUM_FORM_NAMES = ("average", "sum")
SCHEDULE_NAMES = ("constant", "inverse", "exponential", "power", "staircase", "cosine", "cosine_restarts", "rising")
LOSS_NAMES = ("cross_entropy", "binary_cross_entropy", "squared", "huber")
OUTPUT_NAMES = ("softmax", "logistic")
IMAGE_AUGMENTATIONS = {
    "shift": 1.0, "rotate": 10.0, "scale": 0.1, "cutout": 3.0, "flip_h": 0.5, "flip_v": 0.5, "invert": 0.5,
    "brightness": 0.2,
}  # fmt: skip
AUGMENTATIONS = IMAGE_AUGMENTATIONS | {"noise": 0.1, "mixup": 0.2}  # with the strength that stands for the bare name
BINS = ("piecewise_linear", "piecewise_and_linear")
NORMALIZE_NAMES = ("none", "standard", "minmax", "robust", "robust_clip", *BINS)
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
    listed: bool = False  # a flat list of numbers is one value too
    joined: bool = False  # words may be joined by +

    def allowed(self) -> str:
        """The allowed values in words, for messages."""
        if self.kind is bool:
            return "true or false"
        if self.kind is list:
            return "a list of whole numbers from 1 to 16384, such as [64, 32]"
        bounds = (
            ("" if self.low is None else f" from {self.low:g}")
            + ("" if self.above is None else f" above {self.above:g}")
            + ("" if self.high is None else f" to {self.high:g}")
            + ("" if self.below is None else f" below {self.below:g}")
        )
        if self.kind is str:
            text = ", ".join(self.words) + (", several joined by +" if self.joined else "")
        else:
            number = "a whole number" if self.kind is int else "a number"
            text = number + bounds + "".join(f" or {word}" for word in self.words)
        return text + (f", or a list of numbers{bounds}" if self.listed else "")

    def check(self, name: str, value: object) -> Any:
        """`value`, which may be a text, as the right Python type; ConfigError if it is not allowed."""
        if isinstance(value, str) and value in self.words:
            return value
        if self.listed and isinstance(value, list | tuple):
            number = replace(self, kind=float, listed=False, words=())
            return [number.check(name, item) for item in value]
        if self.kind is bool:
            return self._check_truth(name, value)
        if self.joined and isinstance(value, str) and "+" in value:
            return self._check_joined(name, value)
        if self.kind is str:
            near = did_you_mean(value, self.words)
            hint = near if near.startswith("did") else f"allowed: {self.allowed()}"
            raise ConfigError(f"{name}: {value!r} is not one of its values; {hint}")
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

    def _check_truth(self, name: str, value: object) -> bool:
        truths = {"true": True, "false": False}
        if isinstance(value, str) and value.lower() in truths:
            return truths[value.lower()]
        if not isinstance(value, bool):
            raise ConfigError(f"{name}: {value!r} is not {self.allowed()}")
        return value

    def _check_joined(self, name: str, value: str) -> str:
        """The words of `value`, each once and in the order of the table, so that equal things are written alike."""
        alone, *words = self.words
        parts = [part.strip() for part in value.split("+")]
        if alone in parts:
            raise ConfigError(f"{name}: {value!r}: {alone} cannot be joined with others")
        one = replace(self, words=tuple(words), joined=False)
        found = {one.check(name, part) for part in parts}
        return "+".join(word for word in words if word in found)

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
    "batch_norm": Hyperparameter(bool, default=False, help="normalise each hidden layer over the batch"),
    "output": Hyperparameter(
        str, "softmax", "shares of the classes: softmax, or sigmoids divided by their sum", words=OUTPUT_NAMES
    ),
    "loss": Hyperparameter(
        str,
        "auto",
        "auto: cross_entropy, binary_cross_entropy for the logistic output, squared for numbers",
        words=("auto", *LOSS_NAMES),
    ),
    "huber_delta": Hyperparameter(
        float, 1.0, "error from which the huber loss is linear, in sd of the target", above=0, high=1e6
    ),
    "class_weight": Hyperparameter(
        str,
        "none",
        "balanced: rare classes count more; or a weight for each class",
        words=("none", "balanced"),
        low=0,
        high=1e6,
        listed=True,
    ),
    "optimizer": Hyperparameter(str, "adam", "rule of the updates", words=OPTIMIZER_NAMES),
    "learning_rate": Hyperparameter(float, 1e-3, "size of a step", above=0, high=1000),
    "schedule": Hyperparameter(
        str, "constant", "how the learning rate changes from epoch to epoch", words=SCHEDULE_NAMES
    ),
    "decay": Hyperparameter(
        float, 0.05, "rate of inverse, 1 / (1 + decay e), and exponential, exp(-decay e)", low=0, high=1e3
    ),
    "decay_power": Hyperparameter(float, 0.5, "p of power, 1 / (e + 1)^p", low=0, high=10),
    "decay_factor": Hyperparameter(float, 0.5, "factor of each step of staircase", above=0, high=1),
    "decay_epochs": Hyperparameter(
        int, 10, "epochs of a step of staircase, of the first of cosine_restarts", low=1, high=1_000_000
    ),
    "restart_growth": Hyperparameter(
        float, 2.0, "each cycle of cosine_restarts is so many times longer", low=1, high=100
    ),
    "warmup": Hyperparameter(
        float, 0.0, "epochs in which the learning rate rises from 0, before the schedule", low=0, high=1e6
    ),
    "momentum": Hyperparameter(float, 0.9, "beta of momentum and nesterov", low=0, below=1),
    "momentum_form": Hyperparameter(
        str, "average", "average: v = beta v + (1 - beta) g; sum: v = beta v + g", words=MOMENTUM_FORM_NAMES
    ),
    "momentum_correction": Hyperparameter(bool, default=False, help="divide v by 1 - beta^t"),
    "beta1": Hyperparameter(float, 0.9, "adam's average of gradients", low=0, below=1),
    "beta2": Hyperparameter(float, 0.95, "adam's and rmsprop's average of squared gradients", low=0, below=1),
    "epsilon": Hyperparameter(float, 1e-8, "guard against division by zero of adam and its kin", above=0, high=1),
    "batch_size": Hyperparameter(
        int, 256, "rows of an update; 1: on-line, full: all rows", low=1, high=2**31 - 1, words=("full",)
    ),
    "epochs": Hyperparameter(int, 100, "passes over the training rows", low=1, high=1_000_000),
    "patience": Hyperparameter(
        int, 15, "epochs without a better dev score before the end; 0: never", low=0, high=1_000_000
    ),
    "min_delta": Hyperparameter(
        float, 0.0, "by how much a dev score must be better to count, in the metric's unit", low=0
    ),
    "l2": Hyperparameter(float, 0.0, "lambda of the penalty lambda / (2 m) * sum of squared weights", low=0, high=1e6),
    "l1": Hyperparameter(float, 0.0, "lambda of the penalty lambda / m * sum of absolute weights", low=0, high=1e6),
    "weight_decay": Hyperparameter(
        float,
        "auto",
        "share of a weight that each step takes off, times the learning rate; auto: 0.01 with adamw, else 0",
        low=0,
        high=1e3,
        words=("auto",),
    ),
    "dropout": Hyperparameter(
        float, 0.0, "share of hidden units left out; a list: layer by layer", low=0, below=1, listed=True
    ),
    "input_dropout": Hyperparameter(float, 0.0, "share of inputs left out", low=0, below=1),
    "label_smoothing": Hyperparameter(float, 0.0, "share of a label that is spread over all classes", low=0, below=1),
    "clip_norm": Hyperparameter(float, 0.0, "longest gradient; 0: any", low=0),
    "max_norm": Hyperparameter(float, 0.0, "longest vector of weights into a unit; 0: any", low=0),
    "ema": Hyperparameter(
        float,
        0.0,
        "beta of the average of the weights that is judged and kept; 0: none; auto: over about the last two epochs",
        low=0,
        below=1,
        words=("auto",),
    ),
    "augment": Hyperparameter(
        str, "none", "changes of training rows, joined by +", words=("none", *AUGMENTATIONS), joined=True
    ),
    "augment.shift": Hyperparameter(float, None, "pixels to each side", low=0, high=1e3),
    "augment.rotate": Hyperparameter(float, None, "degrees to each side", low=0, high=180),
    "augment.scale": Hyperparameter(float, None, "zoom by factors from 1 - s to 1 + s", low=0, below=1),
    "augment.cutout": Hyperparameter(float, None, "side of a square that is blanked, in pixels", low=0, high=1e3),
    "augment.flip_h": Hyperparameter(float, None, "how often left and right change places", low=0, high=1),
    "augment.flip_v": Hyperparameter(float, None, "how often top and bottom change places", low=0, high=1),
    "augment.invert": Hyperparameter(float, None, "how often dark and light change places", low=0, high=1),
    "augment.brightness": Hyperparameter(float, None, "brightness by factors from 1 - b to 1 + b", low=0, high=1),
    "augment.noise": Hyperparameter(float, None, "sd of noise on every normalised input", low=0, high=100),
    "augment.mixup": Hyperparameter(
        float, None, "alpha of mixed pairs of rows, their share ~ Beta(alpha, alpha)", low=0, high=2
    ),
    "normalize": Hyperparameter(str, "robust_clip", "scaling of numeric columns", words=NORMALIZE_NAMES),
}
SHORT_FORMS = {"lr": "learning_rate", "bs": "batch_size"}

_MOMENTA = {"optimizer": ("momentum", "nesterov")}
# Which hyperparameter is of use beside which value of another (joined words: beside any of them): elsewhere it does not
# matter.
CONDITIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "momentum": _MOMENTA,
    "momentum_form": _MOMENTA,
    "momentum_correction": _MOMENTA,
    "beta1": {"optimizer": ("adam", "adamw")},
    "beta2": {"optimizer": ("adam", "adamw", "rmsprop")},
    "epsilon": {"optimizer": ("adam", "adamw", "rmsprop", "adagrad")},
    "decay": {"schedule": ("inverse", "exponential")},
    "decay_power": {"schedule": ("power",)},
    "decay_factor": {"schedule": ("staircase",)},
    "decay_epochs": {"schedule": ("staircase", "cosine_restarts")},
    "restart_growth": {"schedule": ("cosine_restarts",)},
    "huber_delta": {"loss": ("huber",)},
} | {f"augment.{name}": {"augment": (name,)} for name in AUGMENTATIONS}
# Which values only one task knows.
TASK_WORDS = {
    "classification": {"loss": ("auto", "cross_entropy", "binary_cross_entropy")},
    "regression": {
        "loss": ("auto", "squared", "huber"),
        "output": ("softmax",),
        "class_weight": ("none",),
    },
}
HE_LIKE = ("relu", "leaky_relu", "elu", "softplus", "gelu", "silu", "mish")


def canonical(name: str) -> str:
    """The full name of a hyperparameter; ConfigError for a name that is none."""
    name = SHORT_FORMS.get(name, name)
    if name not in HYPERPARAMETERS:
        raise ConfigError(f"{name!r} is not a hyperparameter; {did_you_mean(name, [*HYPERPARAMETERS, *SHORT_FORMS])}")
    return name


def normalization(config: Mapping[str, Any]) -> str:
    """The scaling of the inputs that these hyperparameters ask for, checked."""
    known = HYPERPARAMETERS["normalize"]
    return known.check("normalize", config.get("normalize", known.default))


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """All hyperparameters of a network: those of `config`, checked, and the defaults of the rest.

    Whatever way they were said, `hidden` becomes the list of widths, `init` a scheme, `dropout` a list of one share for
    each hidden layer, `weight_decay` a number and every `augment.<name>` its strength.
    """
    full = {name: parameter.default for name, parameter in HYPERPARAMETERS.items()}
    for name, value in config.items():
        name = canonical(name)  # noqa: PLW2901 - the short form is of no more use
        full[name] = HYPERPARAMETERS[name].check(name, value)
    if full["hidden"] is None:
        full["hidden"] = [full["units"]] * full["layers"]
    if full["init"] == "auto":
        full["init"] = "he" if full["activation"] in HE_LIKE else "xavier"
    if full["weight_decay"] == "auto":
        full["weight_decay"] = 0.01 if full["optimizer"] == "adamw" else 0.0  # as torch.optim.AdamW
    depth = len(full["hidden"])
    if not isinstance(full["dropout"], list):
        full["dropout"] = [full["dropout"]] * depth
    elif len(full["dropout"]) != depth:
        shares = full["dropout"]
        raise ConfigError(f"dropout: {shares!r}: number of values {len(shares)}, of hidden layers {depth}")
    named = full["augment"].split("+")
    for name, strength in AUGMENTATIONS.items():
        if full[f"augment.{name}"] is None:
            full[f"augment.{name}"] = strength if name in named else 0.0
    return full
