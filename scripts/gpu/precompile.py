#!/usr/bin/env python3
"""Compiles the CUDA kernels of the networks that scripts/gpu/measure.sh times, on a machine without a card.

    scripts/gpu/precompile.py OUT [BINARY] [--compute-capability 90] [--networks NAMES] [--precisions f32,bf16] [--work train,captured,sample,captured-sample] [--features inception-v3,efficientnet-lite0] [--level minimal]

A card's first step waits for some hundred kernels, each a second of NVIDIA's compiler on one thread. They depend on the card's
generation alone, not on the card: OUT becomes a folder that SPEEDLAB_KERNELS names there. What is chosen among them, by how long they take, is found
on the card. OUT/counts.json says what a step of each network asks of a driver, kernel by kernel and captured (`run --capture-steps`): launches, and of which kernels,
waits, copies and their bytes. results/reference/cuda-step.json has those of small networks of all architectures (`--networks small`), and the gate compares with them.

BINARY has the feature cuda (scripts/check-gpu.sh builds one). Needed are a C compiler and NVRTC with its headers: where neither CUDA_PATH nor
the system has them, `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-cccl` into the Python that runs this. One core
works for a minute on a small network. What was compiled before is found again, so that the command can be given until all is done.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from without_card import ROOT, environment

sys.path.insert(0, str(ROOT / "scripts/bench"))
from cpu_torch import NETWORKS, bench_step  # noqa: E402

# Images of a step, as measure.sh has them: kernels are chosen by shapes.
BATCHES = {"UNet 1x8x8": 16, "UNet 3x32x32": 128, "DDPM 3x32x32": 64, "DiT 3x32x32": 256}
# Small ones of the other architectures, of which everything is compiled in a minute or two each.
SMALL = {
    "ADM 3x16x16": dict(image=(3, 16), model=dict(kind="adm", channels=32, channel_multipliers=[1, 2], blocks_per_level=1, attention_resolutions=[8], head_channels=32, norm_groups=8)),
    "DiT 3x16x16": dict(image=(3, 16), model=dict(kind="dit", patch=2, dim=64, depth=2, heads=2)),
    "U-ViT 3x16x16": dict(image=(3, 16), model=dict(kind="uvit", patch=2, dim=64, depth=2, heads=2)),
}
NETWORKS.update(SMALL)
BATCHES |= dict.fromkeys(SMALL, 16)
SMALL_NAMES = ["UNet 1x8x8", *SMALL]
# What is done with a network: as (work, captured) of bench-step, and how the counts are called.
WORK = {
    "train": ("train", False, ""),
    "captured": ("train", True, " captured"),
    "sample": ("sample", False, " sampling"),
    "captured-sample": ("sample", True, " sampling captured"),
}
# Kernels that are told of, those with the most launches first.
MOST_LAUNCHED = 12
# What only a real card can say.
OF_A_CARD = ("autotune/", "throughput/", "records/")


def kernels_in(out):
    """How many compiled kernels the folder holds."""
    total = 0
    # Of a copy: who looks at cubecl's file ends its log, of which cubecl goes on to write the end.
    with tempfile.TemporaryDirectory() as copies:
        for path in out.glob("*.db*"):
            shutil.copy(path, copies)
        for path in pathlib.Path(copies).glob("*.db"):
            database = sqlite3.connect(path)
            total += database.execute("select count(*) from entries where namespace like 'cuda/%'").fetchone()[0]
            database.close()
    return total


def counts(args, environment, work, job):
    """What the driver was asked for in `steps` steps."""
    log = work / "counts.json"
    log.unlink(missing_ok=True)
    command = [str(args.binary), *bench_step("", job)[1:], "--device", "cuda:0"]
    command.remove("--wait")
    process = subprocess.Popen(command, env=environment | dict(FAKE_CUDA_LOG=str(log)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    if process.returncode or not log.exists():
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}\n{said[-2000:]}")
    found = json.loads(log.read_text())
    launched = {}
    for name, launches in found.pop("launched"):
        launched[name] = launched.get(name, 0) + launches
    return found | dict(launched=launched)


def per_step(args, environment, work, job):
    """Of a step after the first ones, in which kernels are compiled and tuned."""
    few, more = 3, 7
    # Kernels are compiled and tuned in this one alone.
    counts(args, environment, work, job | dict(steps=1))
    first = counts(args, environment, work, job | dict(steps=few))
    second = counts(args, environment, work, job | dict(steps=more))
    numbers = [key for key in second if key not in ("kernels", "modules", "launched")]
    difference = {key: (second[key] - first[key]) / (more - few) for key in numbers}
    launched = {name: (count - first["launched"].get(name, 0)) / (more - few) for name, count in second["launched"].items()}
    most = sorted((item for item in launched.items() if item[1] >= 1), key=lambda item: -item[1])
    return difference | dict(kernels=second["kernels"], launched=dict(most[:MOST_LAUNCHED]))


def features(args, environment, work, name):
    """What the driver was asked for by a feature network that sees four images."""
    log = work / "features.json"
    log.unlink(missing_ok=True)
    command = [str(args.binary), "bench-features", "--device", "cuda:0", "--features", name, "--images", "4", "--rounds", "1"]
    done = subprocess.run(command, env=environment | dict(FAKE_CUDA_LOG=str(log)), capture_output=True, text=True)
    # It ends with 1 where the device's features are others than the CPU's, as they are where nothing is computed.
    if done.returncode not in (0, 1) or not log.exists():
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return json.loads(log.read_text())


def clean(out):
    """Leaves what is true of every card of the generation."""
    for path in out.glob("*.db"):
        database = sqlite3.connect(path)
        for prefix in OF_A_CARD:
            database.execute("delete from entries where namespace like ? || '%'", (prefix,))
        database.commit()
        database.execute("pragma wal_checkpoint(truncate)")
        database.execute("vacuum")
        database.close()
        # What cubecl remembers of the file as it was; with it, it would write nothing into the file as it is.
        for kind in ("-tshm", "-wal", "-shm"):
            path.with_name(path.name + kind).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("binary", type=pathlib.Path, metavar="BINARY", nargs="?", default=ROOT / "target/release/speedlab-gpu")
    parser.add_argument("--compute-capability", type=int, default=90, help="90 for H100 and H200, 80 for A100; default: %(default)s")
    parser.add_argument("--networks", default="measured", help=f"`measured`: those of measure.sh; `small`: {', '.join(SMALL_NAMES)}; or names, with commas; default: %(default)s")
    parser.add_argument("--work", default=",".join(WORK), help="default: %(default)s")
    parser.add_argument("--features", default="", help="feature networks of evaluations, with commas: inception-v3, efficientnet-lite0")
    parser.add_argument("--precisions", default="f32,bf16", help="default: %(default)s")
    parser.add_argument("--expected", type=pathlib.Path, metavar="FILE", help="counts of before, such as results/reference/cuda-step.json; more than 1.25 times the launches are an error")
    parser.add_argument("--level", default="minimal", help="cubecl's autotuning, as the card will have it; default: %(default)s")
    args = parser.parse_args()
    args.out, args.binary = args.out.resolve(), args.binary.resolve()
    names = {"measured": [name for name in BATCHES if name not in SMALL], "small": SMALL_NAMES}.get(args.networks) or args.networks.split(",")
    for what, given, known in (("network", names, BATCHES), ("work", args.work.split(","), WORK), ("precision", args.precisions.split(","), ("f32", "bf16"))):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"there is no {what} {', '.join(unknown)}: {', '.join(known)}")
    if not os.access(args.binary, os.X_OK):
        parser.error(f"{args.binary} is no program; scripts/check-gpu.sh builds one")
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "counts.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    before = json.loads(args.expected.read_text())["steps"] if args.expected else {}
    grown = False
    with tempfile.TemporaryDirectory(prefix="speedlab-cuda-") as work:
        work = pathlib.Path(work)
        around = environment(work, args.out, args.compute_capability, args.level)
        for name in names:
            for precision in args.precisions.split(","):
                for work_name in args.work.split(","):
                    began = time.monotonic()
                    kind, captured, suffix = WORK[work_name]
                    key = f"{name} {precision}{suffix}"
                    job = dict(network=name, work=kind, batch=BATCHES[name], bf16=precision == "bf16", captured=captured)
                    step = found[key] = per_step(args, around, work, job)
                    path.write_text(json.dumps(found, indent=1) + "\n")
                    words = f"{step['launches']:.0f} launches, {step['launches_of_graphs']:.0f} in a graph, {step['waits']:.0f} waits"
                    words += f", {step['bytes_to_device'] / 1e6:.2f} MB to the card"
                    if args.expected and key not in before:
                        sys.exit(f"error: {args.expected} does not say how many launches {key} has\nhint: write its counts there")
                    if key in before:
                        launches, expected = (sum(counts[name] for name in ("launches", "launches_of_graphs")) for counts in (step, before[key]))
                        words += f" ({expected:.0f} launches before)"
                        grown |= launches > 1.25 * expected
                    print(f"{key}: a step has {words}; {kernels_in(args.out)} kernels; {time.monotonic() - began:.0f} s", flush=True)
        for name in filter(None, args.features.split(",")):
            began = time.monotonic()
            seen = features(args, around, work, name)
            print(f"{name}: {seen['kernels']} kernels of features; {kernels_in(args.out)} kernels; {time.monotonic() - began:.0f} s", flush=True)
    clean(args.out)
    if grown:
        sys.exit(f"error: a step has more launches than {args.expected} says\nhint: if they are meant, write the new counts there")


try:
    main()
except KeyboardInterrupt:
    sys.exit("stopped; what was compiled is kept, and the next call goes on from there")
