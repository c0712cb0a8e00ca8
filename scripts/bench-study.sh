#!/usr/bin/env bash
# The wall time of a whole study, by Speedlab and by PyTorch (`trainer: torch`): the same sweep, planned, queued, evaluated and reported by the
# same program, one after the other, several rounds. What trains it is all that differs.
#   scripts/bench-study.sh                                      the quickstart, one seed, three rounds
#   scripts/bench-study.sh --rounds 1 --set train.steps=100     arguments are those of scripts/bench/study_torch.py
# SPEEDLAB_BENCH_PYTHON names a Python that has torch and numpy; without it they are installed under the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/bench/environment.sh
python="$(bench_python torch,numpy "torch numpy")"
cargo build --release --locked
exec "$python" scripts/bench/study_torch.py --speedlab "$(realpath "${CARGO_TARGET_DIR:-target}")/release/speedlab" "$@"
