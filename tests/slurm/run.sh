#!/usr/bin/env bash
# Runs a command with a Slurm cluster of one node on this machine, which is started before and stopped
# afterwards. Without a command: the tests of the Slurm executor.
#
#   tests/slurm/run.sh [COMMAND…]
#
# Where there can be no cluster it says why in one line and leaves it at that.
set -euo pipefail
cd "$(dirname "$0")/../.."

cluster=tests/slurm/cluster.sh
status=0
"$cluster" start || status=$?
[ "$status" -ne 3 ] || exit 0
[ "$status" -eq 0 ] || exit "$status"
trap '"$cluster" stop' EXIT
SLURM_CONF="$("$cluster" conf)"
export SLURM_CONF CALVARIA_SLURM=1
[ $# -gt 0 ] || set -- cargo test --release --test executor_slurm -- --nocapture
"$@"
