"""Measures speedlab on a GPU, step by step; scripts/gpu/measure.sh says how it is used.

Steps: environment (the card, its driver and clocks, PyTorch), devices (`devices --probe`), kernels (those of our own against the host, and their
time beside that of burn's operations), losses (the quickstart's arms
beside the CPU's, 100 steps), unet (the same of a UNet for 32x32 colour images), memory (2,000 steps of it), speed-unet,
speed-ddpm, speed-dit (images/s against PyTorch; also of captured steps), features (Inception's on the device and on the CPU), summary. The exit status is 0 where every step did all of its work, else 1.
"""

import argparse
import functools
import json
import math
import os
import pathlib
import platform
import signal
import statistics
import sys
import tempfile
import time
import traceback

from session import ROOT, Session, TooLong, nvidia_smi
from speed import ROWS, speed
from summary import summary
from training import losses, memory, unet

CLOCKS = ["clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.limit", "temperature.gpu"]
VARIABLES = ("CUDA_PATH", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "VK_DRIVER_FILES", "WGPU_ADAPTER_NAME")


def environment(session, result):
    result["platform"] = platform.platform()
    result["load"] = round(os.getloadavg()[0], 2)
    names = [name for name in os.environ if name in VARIABLES or name.startswith(("CUBECL_", "BURN_"))]
    result["variables"] = {name: os.environ[name] for name in sorted(names)}
    # What was found for the program beyond these.
    result["added_variables"] = session.environment
    if any(device.startswith("cuda") for device in session.devices) or session.provenance["cards"]:
        fields = ["index", "name", "driver_version", "compute_cap", "memory.total", "memory.used", *CLOCKS]
        result["cards"] = nvidia_smi("gpu", fields)
    if session.provenance["torch"] is None:
        result["failures"]["torch"] = f"{sys.executable} has no PyTorch: the speed-* steps need it"


def devices(session, result):
    arguments = ["devices", "--probe", "--json", "--data-dir", session.work / "data"]
    code, said, errors = session.run(arguments, "devices", session.left())
    try:
        result |= json.loads(said)
    except json.JSONDecodeError:
        raise RuntimeError(f"devices --probe --json ended with {code} and no JSON\n{errors}") from None
    found = {device["name"]: device.get("probe", {}) for device in result["devices"]}
    for name in session.devices:
        if name not in found:
            reasons = [f"{absent['kind']}: {absent['reason']}" for absent in result["absent"]]
            result["failures"][name] = "\n".join(["it was not found", *reasons])
        elif not found[name].get("agrees"):
            result["failures"][name] = found[name].get("error", "it disagrees with the CPU")


def kernels(session, result):
    """Norms, masks and what they replace."""
    result["devices"] = {}
    for index, device in enumerate(session.devices):
        arguments = ["bench-kernels", "--device", device, *(["--small", "--batch", "4"] if session.small else ["--batch", "128"])]
        code, said, errors = session.run(arguments, f"kernels-{device}", session.left() / (len(session.devices) - index))
        found = [json.loads(line) for line in said.splitlines()]
        result["devices"][device] = found
        if wrong := [line["operation"] for line in found if not line["agrees"]]:
            result["failures"][device] = f"other results than the host's: {', '.join(sorted(set(wrong)))}"
        elif code or not found:
            result["failures"][device] = f"bench-kernels ended with {code}\n{errors}"


def features(session, result):
    """Images per second of the feature network: what an evaluation of many images takes."""
    network, images = ("inception-v3-192", 16) if session.small else ("inception-v3", 256)
    result["devices"] = {}
    for index, device in enumerate(session.devices):
        arguments = ["bench-features", "--device", device, "--features", network, "--images", str(images)]
        seconds = session.left() / (len(session.devices) - index)
        try:
            code, said, errors = session.run(arguments, f"features-{device}", seconds)
            found = json.loads(said)
        except TooLong as ended:
            result["failures"][device] = str(ended)
            continue
        except json.JSONDecodeError:
            result["failures"][device] = f"bench-features ended with {code} and no JSON\n{errors}"
            continue
        for side in ("cpu", "device"):
            timed = found[f"{side}_seconds"]
            found[f"{side}_images_per_second"] = round(images / statistics.median(timed), 1) if timed else None
        result["devices"][device] = found
        if not found["agrees"]:
            result["failures"][device] = f"its features differ from the CPU's by {found['largest_difference']:.1e} of the largest"


# By name: its share of the time, and what it does. What one leaves of its time is the others'.
STEPS = {
    "environment": (1, environment),
    "devices": (10, devices),
    "kernels": (4, kernels),
    "losses": (6, losses),
    "unet": (7, unet),
    "memory": (8, memory),
    **{step: (10, functools.partial(speed, step=step)) for step in ROWS},
    "features": (8, features),
}
STEPS["summary"] = (1, functools.partial(summary, steps=list(STEPS)))


def do(session, step):
    """Does a step and keeps what it found, also where it failed or was interrupted."""
    result = dict(failures={})
    began = time.monotonic()
    try:
        STEPS[step][1](session, result)
    except Exception as error:
        result["failures"]["step"] = "".join(traceback.format_exception_only(error)).strip()
        traceback.print_exc()
    except KeyboardInterrupt:
        result["failures"]["step"] = "interrupted"
        raise
    finally:
        seconds = round(time.monotonic() - began, 1)
        head = dict(version=1, step=step, seconds=seconds, small=session.small, provenance=session.provenance)
        (session.out / f"{step}.json").write_text(json.dumps(head | result, indent=1) + "\n")
        verdict = f"failed: {', '.join(result['failures'])}" if result["failures"] else "ok"
        print(f"{step}: {seconds} s, {verdict}", flush=True)
    return not result["failures"]


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/gpu/measure.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="the folder for what is found")
    binary = dict(metavar="BINARY", nargs="?", help="target/release/speedlab-gpu if left out")
    parser.add_argument("speedlab", type=pathlib.Path, **binary)
    parser.add_argument("--steps", default=",".join(STEPS), help="names, with commas; all if left out")
    parser.add_argument("--devices", default="cuda:0,wgpu:0", help="as `speedlab devices` names them; default: %(default)s")
    parser.add_argument("--budget", type=float, default=540, help="seconds for all steps of this call; default: %(default)s")
    parser.add_argument("--small", action="store_true", help="small sizes and few steps: to try the script, not to measure")
    parser.add_argument("--commit", help="of the program, where git cannot say")
    parser.add_argument("--started-in", type=pathlib.Path, default=pathlib.Path.cwd(), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out = args.started_in / args.out
    given = args.speedlab and args.started_in / args.speedlab
    args.speedlab = given or ROOT / "target/release/speedlab-gpu"
    args.devices = args.devices.split(",")
    steps = args.steps.split(",")
    if unknown := [step for step in steps if step not in STEPS]:
        parser.error(f"there is no step {', '.join(unknown)}: {', '.join(STEPS)}")
    if not os.access(args.speedlab, os.X_OK):
        parser.error(f"{args.speedlab} is no program")
    if not (math.isfinite(args.budget) and args.budget > 0):
        parser.error("--budget is above 0")
    args.out.mkdir(parents=True, exist_ok=True)

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    end = time.monotonic() + args.budget
    all_ok = True
    with tempfile.TemporaryDirectory(prefix="speedlab-gpu-") as work:
        session = Session(args, pathlib.Path(work))
        for index, step in enumerate(steps):
            share = STEPS[step][0] / sum(STEPS[later][0] for later in steps[index:])
            now = time.monotonic()
            session.deadline = now + max(0.0, end - now) * share
            all_ok &= do(session, step)
    report = args.out / "summary.md"
    if "summary" in steps and report.exists():
        print(f"\n{report.read_text()}")
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main())
