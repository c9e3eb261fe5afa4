#!/usr/bin/env bash
# Compares calvaria with its Python peers on this machine and writes the tables into benches/README.md:
#   benches/peers/run.sh preprocessing [HEAD.nii.gz ...]    # the tests' heads, a phantom, and HEADs
#   benches/peers/run.sh step [--before PROGRAM]            # training steps, against PyTorch on the CPU
#   benches/peers/run.sh augment                            # augmentations, against TorchIO
#   benches/peers/run.sh synth                              # synthetic scans, against TorchIO
#   benches/peers/run.sh loader [BEFORE]                    # patches a second, against TorchIO; BEFORE: an older loader bench
#   benches/peers/run.sh evaluate [--pairs 100]             # metrics of many masks, against MONAI; prints them
# Two of them train peers, and leave results and a table in TARGET/hippocampus and TARGET/ixi (options: NAME.py --help):
#   HIPPOCAMPUS_ROOT=FOLDER benches/peers/run.sh hippocampus [--minutes 10 ...]    # nnU-Net
#   IXI_ROOT=FOLDER benches/peers/run.sh ixi --ours RUN [--minutes 60 ...]         # nnU-Net and MONAI's U-Net
# Needs Python 3.11 or newer and, once, the network for the peers' packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
what=${1:?preprocessing, step, augment, synth, loader, evaluate, hippocampus or ixi}
shift
venv="$target/peers-$what"
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "benches/peers/requirements-$what.txt"
case $what in
  preprocessing)
    cargo build --release
    exec "$venv/bin/python" benches/peers/preprocessing.py "$target/release/calvaria" "$@"
    ;;
  evaluate | step)
    cargo build --release
    exec "$venv/bin/python" "benches/peers/$what.py" "$target/release/calvaria" "$@"
    ;;
  augment | synth | loader)
    program=$(cargo bench --bench "$what" --no-run --message-format=json |
      sed -n 's/.*"executable":"\([^"]*'"$what"'[^"]*\)".*/\1/p')
    exec "$venv/bin/python" "benches/peers/$what.py" "$program" "$@"
    ;;
  hippocampus)
    root=${HIPPOCAMPUS_ROOT:?the folder of the hippocampus cases, with images/ and labels/}
    exec "$venv/bin/python" benches/peers/hippocampus.py "$root" "$target/hippocampus" "$@"
    ;;
  ixi)
    root=${IXI_ROOT:?the folder of the heads, with t1/ and brainmasks/}
    exec "$venv/bin/python" benches/peers/ixi.py "$root" "$target/ixi" "$@"
    ;;
esac
