#!/usr/bin/env bash
# From a fresh clone to tested; arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ruff check .
ruff format --check .
pytest --numprocesses logical --dist loadfile "$@"  # a process for each processor takes whole files of tests
