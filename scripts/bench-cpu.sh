#!/usr/bin/env bash
# Speedlab against PyTorch on this machine's CPU: the same networks, interleaved, 2 threads. Prints the table and writes
# results/reference/cpu-speed.json. Keep the machine quiet meanwhile; it takes some 15 minutes on 2 cores.
#
# PyTorch goes into a virtual environment of its own, which is reused: SPEEDLAB_BENCH_VENV, by default under the cache
# folder. SPEEDLAB_BENCH_PYTHON names a Python that has PyTorch already; then nothing is installed.
# Arguments are those of scripts/bench/cpu_torch.py, such as --only 3x32x32.
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
    if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
        echo "PyTorch is installed into $venv: the Linux wheel brings CUDA libraries, 3 to 5 GB in all."
        "$python" -m pip install --quiet torch numpy
    fi
fi
"$python" -c 'import torch' || { echo "error: $python has no PyTorch" >&2; exit 1; }

cargo build --release --locked
target="${CARGO_TARGET_DIR:-target}"
export PYTHONDONTWRITEBYTECODE=1
exec "$python" scripts/bench/cpu_torch.py --speedlab "$target/release/speedlab" "$@"
