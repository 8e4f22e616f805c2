"""Hyperparameter search for neural networks on tables."""

__version__ = "0.1.0"
