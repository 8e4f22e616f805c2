#!/usr/bin/env bash
# Mends what ruff can mend, and names the rest.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ruff check --fix . ; ruff format .
