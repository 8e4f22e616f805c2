"""One thread for every numerical library, here and in every process started from here.

Their variables are read when the libraries are loaded, so this comes before NumPy is imported. The parallelism of a
search is that of whole trials, and a sum over several threads would depend on their number.
"""

from __future__ import annotations

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def hold_threads() -> None:
    """Set the variables of this process."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
