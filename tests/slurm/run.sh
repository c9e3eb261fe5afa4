#!/usr/bin/env bash
# Runs a command with a Slurm cluster of one node on this machine, which is started before and stopped
# afterwards. Without a command: the tests in this folder.
#
#   tests/slurm/run.sh [COMMAND…]
#
# Where there can be no cluster it says why in one line and exits with 3.
set -euo pipefail
cd "$(dirname "$0")/../.."

cluster=tests/slurm/cluster.sh
status=0
"$cluster" start || status=$?
[ "$status" -eq 0 ] || exit "$status"
trap '"$cluster" stop' EXIT
SLURM_CONF="$("$cluster" conf)"
export SLURM_CONF CALVARIA_SLURM=1
[ $# -gt 0 ] || set -- cargo test --release --test slurm -- --nocapture
"$@"
