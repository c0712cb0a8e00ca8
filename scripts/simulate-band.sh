#!/usr/bin/env bash
# How often the speedup over the band, and that to the baseline's last FID, hold the truth: made-up studies whose speedup is known.
#
#   scripts/simulate-band.sh > results/reference/band-simulation.md
set -euo pipefail
cd "$(dirname "$0")/.."

cat <<'TEXT'
# How often the report's speedups are right

Made by `scripts/simulate-band.sh`. Made-up studies with paired seeds: FID = floor + amplitude x^-power at a share x of the training
(flat: 1, 0.3, 1; steep: 0.3, 1, 1.2), seeds that shift ln x by 0.08 together and by 0.04 each, a wander of ln FID by 2 %, sampling noise of
3 %, 20 evaluations, unless the world says otherwise. 2,000 studies a row, 500 for the last FID. "Answered": a number with an
interval, no bound. "Covers" and "excludes 1" are shares of these: of nominal 95 % intervals, 95 % should cover, and at a true 1.0x 5 %
should exclude 1 (2,000 studies: +-1 %; 500: +-2 %). Bias is the geometric mean of the estimate over the truth.

TEXT
cargo test --release --test integration report::simulation::coverage_of_the_band -- --ignored --nocapture | grep '^|'
