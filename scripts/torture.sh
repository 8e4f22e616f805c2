#!/usr/bin/env bash
# Faults by the thousand, for an hour: kills, races and full disks far more often than in scripts/test.sh; a table at the end.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
pytest tests/faults --torture "$@"
