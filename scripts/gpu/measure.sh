#!/usr/bin/env bash
# Measures speedlab on a machine with a GPU, against its own CPU and against PyTorch, with a program that was built elsewhere.
#
#   scripts/gpu/measure.sh OUT [BINARY] [--steps NAMES] [--devices NAMES] [--budget SECONDS] [--small]
#
# BINARY has the features wgpu and cuda (scripts/check-gpu.sh builds one); it and this repository's files are all that has to be
# there. Nothing is built, downloaded or installed, and no setting of the card is changed. Every step writes OUT/STEP.json, also
# where it fails, and the next one follows; `summary` makes OUT/summary.json and OUT/summary.md of those that are in OUT,
# so that several calls can share the steps:
#
#   scripts/gpu/measure.sh out speedlab-gpu --steps environment,devices,losses,unet
#   scripts/gpu/measure.sh out speedlab-gpu --steps memory,speed-unet
#   scripts/gpu/measure.sh out speedlab-gpu --steps speed-ddpm,speed-dit,summary
#
# Before a card is there, scripts/gpu/precompile.py compiles what its first steps wait for; SPEEDLAB_KERNELS names the folder that it made.
#
# Without a GPU every step can be tried on the CPU, or on software that plays a GPU, in a few minutes:
#
#   scripts/gpu/measure.sh out target/release/speedlab --devices cpu --small
#   scripts/gpu/measure.sh out target/release/speedlab-gpu --devices wgpu:0 --small --steps devices,losses,summary
#
# SPEEDLAB_BENCH_PYTHON names a Python 3.10 or later that has PyTorch, by default python3; only the speed-* steps need PyTorch.
# What drivers and burn read (VK_DRIVER_FILES, CUDA_PATH, CUBECL_AUTOTUNE_LEVEL, ..) is passed on. --help says more.
set -euo pipefail
cd_from="$PWD"
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
exec "${SPEEDLAB_BENCH_PYTHON:-python3}" scripts/gpu/measure.py --started-in "$cd_from" "$@"
