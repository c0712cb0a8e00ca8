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

python="${SPEEDLAB_BENCH_PYTHON:-}"
if [ -z "$python" ]; then
    venv="${SPEEDLAB_BENCH_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/speedlab-bench-venv}"
    python="$venv/bin/python"
    if ! [ -x "$python" ]; then
        command -v python3 >/dev/null 2>&1 || { echo "error: python3 with venv is needed" >&2; exit 1; }
        python3 -m venv "$venv"
    fi
    if ! "$python" -c 'import torch, torchvision, numpy' 2>/dev/null; then
        echo "PyTorch is installed into $venv: the Linux wheel brings CUDA libraries, 3 to 5 GB in all."
        "$python" -m pip install --quiet torch torchvision numpy
    fi
fi
"$python" -c 'import torch, torchvision' || { echo "error: $python has no PyTorch with torchvision" >&2; exit 1; }

speedlab="${SPEEDLAB_BIN:-}"
if [ -z "$speedlab" ]; then
    cargo build --release --locked
    speedlab="${CARGO_TARGET_DIR:-target}/release/speedlab"
fi
"$speedlab" data fetch cifar10
export PYTHONDONTWRITEBYTECODE=1
exec "$python" scripts/bench/data_torch.py --speedlab "$speedlab" "$@"
