"""Hyperparameter search for neural networks on tables.

In Python: `search(X, y)` runs a search, `load("runs/x")` reads one (see hpsearch.api). Nothing is loaded before it is
used, so that the command starts fast.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["Run", "load", "search"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("hpsearch.api"), name)
    raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
