#!/usr/bin/env bash
# From a fresh clone to a finished search; arguments go to `hpsearch random`.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec hpsearch random "${@:-digits}"
