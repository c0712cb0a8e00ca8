#!/usr/bin/env bash
# `speedlab fid` against `python -m pytorch_fid` on the same two folders of images with the same weights, one after the other,
# several times in turn: the same value to three digits, how many times sooner, and how much memory.
#
#   scripts/bench-fid.sh [--images N] [--rounds N] [--weights FILE.pth] [--out FILE.json]
#
# The images are CIFAR-10's (`speedlab data fetch cifar10`), train against held-out. Without --weights they are made by a formula
# (scripts/golden/inception.py): the work is the same, and the distance is one of random features.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/bench/environment.sh
. scripts/bench/environment.sh
python="$(bench_python pytorch_fid,torchvision "torch torchvision pytorch-fid==0.3.0")"
speedlab="${SPEEDLAB_BIN:-}"
if [ -z "$speedlab" ]; then
    cargo build --release --locked
    speedlab="${CARGO_TARGET_DIR:-target}/release/speedlab"
fi
"$speedlab" data fetch cifar10
exec "$python" scripts/bench/fid_torch.py --speedlab "$speedlab" "$@"
