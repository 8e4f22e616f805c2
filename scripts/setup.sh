#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and this package; does nothing when it is up to date. Sourced by the other scripts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-}
for candidate in python3.11 python3.12 python3.13 python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=$candidate
done
[ -n "$python" ] || { echo "hpsearch needs Python 3.11 or newer: none found on the PATH (or set PYTHON=/path/to/python)" >&2; exit 2; }
want=$(cat pyproject.toml requirements.lock scripts/setup.sh; pwd; "$python" -V)
if [ "$(cat .venv/installed 2>/dev/null)" != "$want" ]; then
    echo "Setting up .venv (once, about a minute) ..." >&2
    "$python" -m venv --clear .venv
    .venv/bin/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf '%s' "$want" > .venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"
