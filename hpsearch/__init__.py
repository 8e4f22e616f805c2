"""Hyperparameter search for neural networks on tables.

In Python: `search(X, y)` runs a search, `load("runs/x")` reads one (see hpsearch.api); `MLPClassifier` and
`MLPRegressor` are single networks for scikit-learn (see hpsearch.estimators, extra sklearn). Nothing is loaded before
it is used, so that the command starts fast.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.api import Run, load, search
    from hpsearch.estimators import MLPClassifier, MLPRegressor

__version__ = "0.1.0"
__all__ = ["MLPClassifier", "MLPRegressor", "Run", "load", "search"]
_HOMES = dict.fromkeys(("MLPClassifier", "MLPRegressor"), "hpsearch.estimators")


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "hpsearch.api")), name)
    raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
