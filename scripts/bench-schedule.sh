#!/usr/bin/env bash
# What scheduling costs: seconds to decide about 10,000 runs on 8 devices that end at once (goal: under 1), and seconds that a
# run's process takes which does nothing (goal: under 0.020). Three times; the median is the middle line.
set -euo pipefail
cd "$(dirname "$0")/.."
program="${SPEEDLAB_BIN:-}"
if [ -z "$program" ]; then
    cargo build --release --locked
    program="${CARGO_TARGET_DIR:-target}/release/speedlab"
fi
for _ in 1 2 3; do "$program" bench-schedule "$@"; done
