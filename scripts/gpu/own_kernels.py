#!/usr/bin/env python3
"""Compiles Speedlab's own CUDA kernels by NVIDIA's compiler, and reads how busy a card is, on a machine without one.

    scripts/gpu/own_kernels.py BINARY [--compute-capabilities 80,90]

BINARY has the feature cuda. It runs `bench-kernels` on a driver that computes nothing, so that what it says of their results is left out. Then `bench-step` asks a
management library (NVML) that names a number. The exit status is 0 where each of the kernels was compiled and launched and that number was read, 1 where one was not, and 77 where NVIDIA's compiler is not there: it comes with the
packages that scripts/gpu/precompile.py names. A minute and a half for each generation of cards.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from without_card import environment, wheels

KERNELS = ["groups_forward", "groups_backward", "pixels_forward", "pixels_backward", "channel_sums", "draw", "update", "apart", "joined", "totals", "join", "take_apart", "totals_of_both", "activate", "slope", "heads_apart", "heads_joined", "softmax", "softmax_backward"]
SKIPPED = 77


def launched(binary, capability, work):
    """The kernels that were launched, and what the program said."""
    around = environment(work, work / "kernels", capability, "minimal")
    log = work / "counts.json"
    command = [binary, "bench-kernels", "--device", "cuda:0", "--small", "--batch", "4", "--rounds", "1"]
    done = subprocess.run(command, env=around | dict(FAKE_CUDA_LOG=str(log)), capture_output=True, text=True)
    said = done.stdout + done.stderr
    # It ends with 1 where results are others than the host's, as they are here.
    if done.returncode not in (0, 1) or not log.exists():
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{said[-3000:]}")
    return {name.rsplit("_", 1)[0] for name, _ in json.loads(log.read_text())["launched"]}, said


def utilization(binary, work, percent):
    """How busy the program says the card is."""
    around = environment(work, work / "kernels", 90, "minimal") | dict(FAKE_NVML_UTILIZATION=percent)
    command = [binary, "bench-step", "--work", "matmul", "--batch", "64", "--steps", "1", "--device", "cuda:0"]
    done = subprocess.run(command, env=around, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])["device_utilization"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path, metavar="BINARY")
    parser.add_argument("--compute-capabilities", default="80,90", help="80 for A100, 90 for H100 and H200; default: %(default)s")
    args = parser.parse_args()
    toolkit = pathlib.Path(os.environ["CUDA_PATH"]) if "CUDA_PATH" in os.environ else wheels()
    # The header of a matrix product, which not every package has.
    if not toolkit or not (toolkit / "include/crt/mma.h").exists():
        print("NVIDIA's compiler is not there: pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-cccl")
        sys.exit(SKIPPED)
    failed = False
    for capability in args.compute_capabilities.split(","):
        with tempfile.TemporaryDirectory(prefix="speedlab-cuda-") as work:
            found, said = launched(args.binary.resolve(), capability, pathlib.Path(work))
        missing = [kernel for kernel in KERNELS if kernel not in found]
        failed |= bool(missing)
        print(f"sm_{capability}: {len(KERNELS) - len(missing)} of {len(KERNELS)} kernels compiled" + (f"; not {', '.join(missing)}\n{said[-3000:]}" if missing else ""))
    with tempfile.TemporaryDirectory(prefix="speedlab-cuda-") as work:
        read = {percent: utilization(args.binary.resolve(), pathlib.Path(work), percent) for percent in ("37", "0", "error")}
    agrees = read == {"37": 0.37, "0": 0.0, "error": None}
    failed |= not agrees
    print(f"how busy a card is: {read}" + ("" if agrees else "; WRONG"))
    sys.exit(1 if failed else 0)


main()
