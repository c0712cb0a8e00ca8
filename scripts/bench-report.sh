#!/usr/bin/env bash
# What a report and a plan of many runs cost: seconds and memory of `speedlab report` for 10,000 runs x 100 evaluations x 10 metrics (goal:
# under 5 s and 2 GB on 2 cores) beside the same reduction in pandas, and of `speedlab plan` for 100,000 runs. Prints the ratio and
# writes results/reference/report-scale.json. Keep the machine quiet meanwhile; it takes some 5 minutes on 2 cores and 2 GB of disk.
#
# pandas and pyarrow go into a virtual environment of their own, shared with the scripts beside this one: SPEEDLAB_BENCH_VENV, by default
# under the cache folder. SPEEDLAB_BENCH_PYTHON names a Python that has them already; then nothing is installed. Arguments are those of
# scripts/bench/report_scale.py, such as --shape 10x5x4x10 (2,000 runs) or --rounds 1.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/bench/environment.sh
. scripts/bench/environment.sh
python="$(bench_python pandas,pyarrow "pandas pyarrow")"

speedlab="${SPEEDLAB_BIN:-}"
if [ -z "$speedlab" ]; then
    cargo build --release --locked
    speedlab="${CARGO_TARGET_DIR:-target}/release/speedlab"
fi
exec "$python" scripts/bench/report_scale.py --speedlab "$speedlab" "$@"
