#!/bin/sh
# Stores finished experiments here: their tables and settings, without weights, pictures, and paths of the machine.
#   export IXI_ROOT=/path/to/ixi
#   results/reference/store.sh results/ixi-modern ...
set -eu
: "${IXI_ROOT:?set it to the folder of the scans, which is replaced by its name}"
here=$(cd "$(dirname "$0")" && pwd)
for experiment in "$@"; do
    name=$(basename "$experiment")
    home=$(cd "$experiment" && pwd)
    find "$home" -name summary.json | while read -r summary; do
        run=$(dirname "$summary")
        part=${run#"$home"}
        to=$here/$name$part
        mkdir -p "$to"
        for file in config.yaml environment.json summary.json; do
            sed -e "s|$IXI_ROOT|\${IXI_ROOT}|g" -e "s|$run|results/$name$part|g" -e "s|$(dirname "$home")|results|g" \
                "$run/$file" > "$to/$file"
        done
        cp "$run/metrics.csv" "$run/cases.csv" "$to/"
        echo "$name$part"
    done
done
