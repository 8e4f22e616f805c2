#!/usr/bin/env bash
# Runs benchmarks of experiments/benchmarks by their folders' names; keep the machine quiet meanwhile.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
for name in "${@:-search_overhead}"; do
    python "experiments/benchmarks/$name/run.py"
done
