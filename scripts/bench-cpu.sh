#!/usr/bin/env bash
# Speedlab against PyTorch on this machine's CPU: the same networks, interleaved, 2 threads. Prints the table and writes
# results/reference/cpu-speed.json. Keep the machine quiet meanwhile; it takes some 35 minutes on 2 cores.
#
# PyTorch goes into a virtual environment of its own, which is reused: SPEEDLAB_BENCH_VENV, by default under the cache
# folder. SPEEDLAB_BENCH_PYTHON names a Python that has PyTorch already; then nothing is installed.
# Arguments are those of scripts/bench/cpu_torch.py, such as --only 3x32x32.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/bench/environment.sh
. scripts/bench/environment.sh
python="$(bench_python torch,numpy "torch numpy")"

cargo build --release --locked
target="${CARGO_TARGET_DIR:-target}"
exec "$python" scripts/bench/cpu_torch.py --speedlab "$target/release/speedlab" "$@"
