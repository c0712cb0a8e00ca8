#!/usr/bin/env python3
"""Compiles Speedlab's own CUDA kernels by NVIDIA's compiler, compares its headers of barriers with NVIDIA's, and reads how busy a card is, on a machine without one.

    scripts/gpu/own_kernels.py BINARY [--compute-capabilities 80,90]

BINARY has the feature cuda. It runs `bench-kernels` on a driver that computes nothing, so that what it says of their results is left out. Then `bench-step` asks a
management library (NVML) that names a number. The exit status is 0 where each of the kernels was compiled and launched, barriers are the same instructions with both headers
and that number was read, 1 where that is not so, and 77 where NVIDIA's compiler is not there: it comes with the packages that scripts/gpu/precompile.py names. A minute for each generation of cards.
"""

import argparse
import collections
import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from without_card import ROOT, environment, wheels

KERNELS = ["groups_forward", "groups_backward", "pixels_forward", "pixels_backward", "channel_sums", "draw", "update", "apart", "joined", "totals", "join", "take_apart", "totals_of_both", "activate", "slope", "heads_apart", "heads_joined", "softmax", "softmax_backward"]
SKIPPED = 77
# The headers that src/device/cuda_headers puts in the place of NVIDIA's, and what kernels declare before they include them.
HEADERS = {"cuda/barrier": "barrier.h", "cooperative_groups.h": "cooperative_groups.h", "cooperative_groups/memcpy_async.h": "memcpy_async.h"}
TENSOR_MAP = "typedef struct CUtensorMap_st { alignas(128) unsigned long long int opaque[16]; } CUtensorMap;\n"


def launched(binary, capability, work):
    """The kernels that were launched, without their types, and what the program said."""
    around = environment(work, work / "kernels", capability, "minimal")
    log = work / "counts.json"
    command = [binary, "bench-kernels", "--device", "cuda:0", "--small", "--batch", "4", "--rounds", "1"]
    done = subprocess.run(command, env=around | dict(FAKE_CUDA_LOG=str(log)), capture_output=True, text=True)
    said = done.stdout + done.stderr
    # It ends with 1 where results are others than the host's, as they are here.
    if done.returncode not in (0, 1) or not log.exists():
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{said[-3000:]}")
    # A name may be followed by the types of numbers, and ends with a hash: `joined_p_f32_0123abcd`.
    return {re.sub(r"(_[a-z]_[a-z]+\d+)*_[0-9a-f]+$", "", name) for name, _ in json.loads(log.read_text())["launched"]}, said


def instructions(toolkit, source, options, headers):
    """The instructions on barriers and of asynchronous copies that `source` is compiled to, registers numbered by their first use, and how many there are of each."""
    found = sorted(path for folder in ("lib64", "lib") for path in (toolkit / folder).glob("libnvrtc.so*"))
    compiler, program, length = ctypes.CDLL(str(found[0]) if found else "libnvrtc.so"), ctypes.c_void_p(), ctypes.c_size_t()
    texts = lambda values: (ctypes.c_char_p * len(values))(*(value.encode() for value in values))
    compiler.nvrtcCreateProgram(ctypes.byref(program), source.encode(), None, len(headers), texts(headers.values()), texts(headers.keys()))
    failed = compiler.nvrtcCompileProgram(program, len(options), texts(options))
    kind = "ProgramLog" if failed else "PTX"
    getattr(compiler, f"nvrtcGet{kind}Size")(program, ctypes.byref(length))
    text = ctypes.create_string_buffer(length.value)
    getattr(compiler, f"nvrtcGet{kind}")(program, text)
    compiler.nvrtcDestroyProgram(ctypes.byref(program))
    text = text.value.decode()
    if failed:
        raise RuntimeError(f"NVIDIA's compiler refused scripts/gpu/barriers.cu\n{text}")
    counted, registers = collections.Counter(), {}
    for statement in re.split(r"[;\n]\s*|\{\s*(?=\.reg|$)", text):
        statement = statement.strip()
        if ".entry" in statement:
            registers = {}
        if place := re.search(r"%cluster_\w+(?:\.\w)?", statement):
            counted[place.group(0)] += 1
        elif re.match(r"mbarrier\.|cp\.async|fence\.proxy", statement):
            # Registers by the order in which they are first used; waits have more of their own with one header than with the other.
            number = (lambda _: "R") if "_wait" in statement else lambda match: f"R{registers.setdefault(match.group(0), len(registers))}"
            same = re.sub(r"%\w+|\$\w+|P_OUT|ended", number, statement)
            # `shared` is the block's own.
            counted[re.sub(r"\s+", " ", same).replace("shared::cta", "shared")] += 1
    return counted


def barriers(toolkit, capability):
    """What differs between NVIDIA's headers and ours in the instructions of scripts/gpu/barriers.cu, and of how many both are."""
    source = TENSOR_MAP + (ROOT / "scripts/gpu/barriers.cu").read_text()
    architecture = f"--gpu-architecture=sm_{capability}" + ("a" if int(capability) >= 90 else "")
    include = [f"--include-path={toolkit / folder}" for folder in ("include", "include/cccl") if (toolkit / folder).is_dir()]
    lighter = {name: (ROOT / "src/device/cuda_headers" / file).read_text() for name, file in HEADERS.items()}
    theirs = instructions(toolkit, source, [architecture, *include], {})
    ours = instructions(toolkit, source, [architecture], lighter)
    instructions(toolkit, source, [architecture, "-DSPEEDLAB"], lighter)
    # NVIDIA's waits begin with a look of their own before cards of 9.0, and each part of a place in a cluster is read for all.
    counts = lambda found: {name: 1 if "_wait" in name or "%cluster" in name else count for name, count in found.items()}
    theirs, ours = counts(theirs), counts(ours)
    return [f"{name}: {theirs.get(name, 0)} and {ours.get(name, 0)}" for name in sorted(theirs | ours) if theirs.get(name) != ours.get(name)], len(theirs)


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
        different, kinds = barriers(toolkit, capability)
        # A few kinds are there before cards of 9.0.
        failed |= bool(different) or kinds < 4
        print(f"sm_{capability}: barriers are {kinds} kinds of instructions with NVIDIA's headers" + (f"; NOT with ours: {'; '.join(different)}" if different else ", and the same with ours"))
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
