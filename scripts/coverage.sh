#!/usr/bin/env bash
# Coverage of the engine with its kernels uncompiled, so that their lines count; arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
NUMBA_DISABLE_JIT=1 pytest tests/engine --cov=hpsearch.engine --cov-report=term-missing "$@"
