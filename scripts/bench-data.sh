#!/usr/bin/env bash
# Images per second: speedlab's batches against PyTorch's DataLoader with 2 workers, on CIFAR-10 and on a folder of JPEG
# files that the script makes. Prints the ratios and writes results/reference/data-speed.json. Keep the machine quiet
# meanwhile; it takes some 3 minutes on 2 cores, and fetches CIFAR-10 if it is not there.
#
# PyTorch goes into a virtual environment of its own, shared with scripts/bench-cpu.sh: SPEEDLAB_BENCH_VENV, by default
# under the cache folder. SPEEDLAB_BENCH_PYTHON names a Python that has PyTorch and torchvision already; then nothing is
# installed. Arguments are those of scripts/bench/data_torch.py, such as --rounds 3.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/bench/environment.sh
. scripts/bench/environment.sh
python="$(bench_python torch,torchvision,numpy "torch torchvision numpy")"

speedlab="${SPEEDLAB_BIN:-}"
if [ -z "$speedlab" ]; then
    cargo build --release --locked
    speedlab="${CARGO_TARGET_DIR:-target}/release/speedlab"
fi
"$speedlab" data fetch cifar10
exec "$python" scripts/bench/data_torch.py --speedlab "$speedlab" "$@"
