"""Imported once by the fork server: workers fork from a process that has the engine loaded, ready in milliseconds."""

from hpsearch.engine.network import start_engine
from hpsearch.executors import worker

start_engine()

__all__ = ["worker"]
