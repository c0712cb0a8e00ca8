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
3 %, 20 evaluations, unless the world says otherwise. 2,000 studies a row. "Answered": a number with an interval, no bound. "Covers" and "excludes 1" are
shares of these: of nominal 95 % intervals, 95 % should cover, and at a true 1.0x 5 % should exclude 1 (2,000 studies: +-1 %). Bias is the
geometric mean of the estimate over the truth.

"To the last FID" is to the last one that both arms reach; none is given where that arm levels off, which its fitted fall over the second half of
its images shows by less than 1.5 standard errors ("answered": the rest). To the baseline's own, of equal arms only those get that are sooner by chance: with
Student's t of 28 November 2026 on lines instead of parabolas, its interval covered 73 to 96 % at a true 1.3x and 2.0x, and called up to
92 % of the equal arms that got there faster (5 seeds, flat).

TEXT
cargo test --release --test integration report::simulation::coverage_of_the_band -- --ignored --nocapture | grep '^|'
cat <<'TEXT'

## Few and many seeds, no common seeds, runs that diverge, slow arms, and runs that level off

2,000 studies a row (+-1 %). A diverged run reaches nothing, so that a study with one gives a bound and no interval. A slow arm is compared on
the part of the band that its runs reach; where that is less than half, it gets a bound. At a true 0.5x only those studies have a number
whose slow runs were lucky (28 to 67 % had none with ten seeds), which costs the number 1 to 2 % and its interval up to 5 % of coverage.
Runs that level off: FID = 1 + 0.05 x^-2 ("slowly"), 1 + 0.01 x^-3.

TEXT
cargo test --release --test integration report::simulation::coverage_in_trouble -- --ignored --nocapture | grep '^|'
cat <<'TEXT'

## Grids

1,000 studies a row (+-1.4 %), three values of an axis with speeds of 1.5x, 1.3x and 1.1x, or five with speeds that fall off around each
arm's own best. The truth over grid points is the geometric mean of the true speedups at the points that have a number. A seed counts over the grid
where no point lacks it: with missing runs there are fewer answers, and they are no worse. "An axis of the arm alone": the baseline's
runs are the same at every value. "Each at its own best": `compare.tune`, against the ratio at the true bests and, "as chosen", at the settings that the
study chose: that truth differs from study to study, and the column has the first study's.

TEXT
cargo test --release --test integration report::simulated_grids::coverage_of_grids -- --ignored --nocapture | grep '^|'
cat <<'TEXT'

## Seeds that are added until it is decided

`--until-decided` with one comparison: looks after 3, 4, .. 20 paired seeds, 500 studies a row (+-2 %), 2,000 at a true 1.00x (+-1 %). At a
true 1.00x, "faster" and "slower" together are the error over all looks, 5 % by the rule; at 1.05x, which is the margin, "equally fast" is
wrong. "Covers": the interval that is shown at the last look holds the truth.

TEXT
cargo test --release --test integration report::simulation::seeds_until_decided -- --ignored --nocapture | grep '^|'
