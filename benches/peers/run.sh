#!/usr/bin/env bash
# Compares calvaria's preprocessing with its Python peers, in one run on this machine, and writes the
# table into benches/README.md:
#   benches/peers/run.sh [HEAD.nii.gz ...]
# The two 2 mm heads of the tests and a phantom are always compared; HEADs are further scans, such as a
# native one. Needs Python 3.11 or newer and, once, the network for the peers' packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
venv="$target/peers"
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
cargo build --release
exec "$venv/bin/python" benches/peers/compare.py "$target/release/calvaria" "$@"
