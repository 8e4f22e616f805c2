"""What all tests share."""

import os


def pytest_configure(config):
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        # SplitMix64 counts modulo 2^64 on purpose; compiled it is silent, NumPy's scalars warn.
        config.addinivalue_line("filterwarnings", "ignore:overflow encountered in scalar:RuntimeWarning")
