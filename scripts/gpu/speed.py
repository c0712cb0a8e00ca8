"""Images per second of training: speedlab against PyTorch, eager and compiled, live processes in one interleaved run."""

import json
import os
import statistics
import sys
import time

from session import ROOT, TooLong, file_name, known, limited, nvidia_smi, tail  # first: it says where the others are

from cpu_torch import bench_step
from peer import Process

# Each in a step of its own: (network, images of a step). All sides hold their memory at once.
ROWS = {"speed-unet": ("UNet 3x32x32", 128), "speed-ddpm": ("DDPM 3x32x32", 64), "speed-dit": ("DiT 3x32x32", 256)}
SMALL_ROWS = {"speed-unet": ("UNet 1x8x8", 16), "speed-ddpm": ("UNet 3x32x32", 16), "speed-dit": ("DiT 3x32x32", 16)}
ROUNDS, STEPS = 5, 10
# The share of a step's time in which all sides have to begin.
STARTS = 0.75
# burn's variable, as in src/device/mod.rs.
WITHOUT_FUSION = {"BURN_FUSION_MAX_EXPLORATIONS": "0"}
MEASURE = (
    "milliseconds per training step, median of all timed rounds, the device synchronised and the loss read after each step; "
    "ratio above 1: speedlab is faster. f32 of PyTorch is plain f32; tf32 lets its convolutions and matrix products round to "
    "10 bits, which is also what burn's autotuning may choose for speedlab's f32 on tensor cores; bf16 is torch.autocast and "
    "train.precision: bf16. PyTorch: cudnn.benchmark, fused Adam, noise drawn on the device; speedlab draws noise on the host, "
    "as its trainer does; captured: the kernels of a step are launched together (run --capture-steps)"
)


def speed(session, result, step):
    network, batch = (SMALL_ROWS if session.small else ROWS)[step]
    rounds, steps = (2, 3) if session.small else (ROUNDS, STEPS)
    result |= dict(network=network, batch=batch, steps_of_a_round=steps, measure=MEASURE)
    members, samples, counts = {}, {}, {}

    def ask(name, seconds):
        """Its milliseconds per step; one that fails is told of and left out from then on."""
        try:
            with limited(seconds, name):
                if name not in members:
                    members[name] = start(session, name, sides[name], network, batch, steps)
                    counts[name] = members[name].head["parameters"]
                return members[name].round()["milliseconds"]
        except (SystemExit, TooLong, OSError, ValueError) as ended:
            result["failures"][name] = f"{ended}\n{tail(error_file(session, name))}".strip()
            if name in members:
                members.pop(name).kill()
            samples.pop(name, None)
            return []

    try:
        sides = sides_on(session.devices)
        # One after the other: kernels are compiled, and chosen by how long they take. What one leaves of its share is the others'.
        names = list(sides)
        for index, name in enumerate(names):
            share = start_weight(sides[name]) / sum(start_weight(sides[later]) for later in names[index:])
            ask(name, STARTS * session.left() * share)
        if len(set(counts.values())) > 1:
            raise RuntimeError(f"the sides have networks of different sizes: {counts}")
        result["parameters"] = next(iter(counts.values()), None)
        for round_number in range(rounds + 1):
            began = time.monotonic()
            for name in list(members):
                milliseconds = ask(name, session.left())
                if milliseconds and round_number > 0:  # the first round warms up
                    samples.setdefault(name, []).extend(milliseconds)
            # Kept after each round: time may end.
            result |= dict(rounds=round_number, sides=medians(samples, batch), ratios=ratios(samples, sides))
            if round_number < rounds and session.left() < 1.5 * (time.monotonic() - began):
                result["failures"]["rounds"] = f"{round_number} of {rounds} rounds fitted into the time"
                break
        result["clocks_after"] = known(lambda: nvidia_smi("gpu", ["clocks.sm", "clocks.mem"]))
    finally:
        for member in members.values():
            member.kill()
    if not result["ratios"]:
        result["failures"]["ratios"] = "no side of speedlab's and no side of PyTorch's were both timed"


def start_weight(side):
    """How much longer than eager PyTorch a side may take to begin: the others compile first."""
    return 1 if side["way"] in ("eager", "channels_last") else 3


def sides_on(devices):
    """Who takes part, by name. PyTorch is on the first CUDA device; without one on the CPU, which only tries this file out."""
    sides = {}
    for device in devices:
        for precision in ["f32", "bf16"] if device.startswith("cuda") else ["f32"]:
            for captured in [False, True] if device != "cpu" else [False]:
                name = f"speedlab {device} {precision}{' captured' if captured else ''}"
                sides[name] = dict(way="speedlab", device=device, precision=precision, captured=captured)
    device = next((device for device in devices if device.startswith("cuda")), "cpu")
    all_ways = ["eager", "channels_last", "compile"]
    precisions = {"cpu": {"f32": all_ways}}.get(device, {"f32": ["eager"], "tf32": all_ways, "bf16": all_ways})
    for precision, ways in precisions.items():
        for way in ways:
            sides[f"torch {device} {precision} {way}"] = dict(way=way, device=device, precision=precision)
    return sides


def start(session, name, side, network, batch, steps):
    job = dict(network=network, work="train", batch=batch, steps=steps)
    environment = {"OMP_NUM_THREADS": str(min(8, os.cpu_count()))}
    if side["way"] == "speedlab":
        command = [*bench_step(str(session.speedlab), job | dict(captured=side["captured"])), "--device", side["device"]]
        command += ["--bf16"] if side["precision"] == "bf16" else []
        environment = session.environment | (WITHOUT_FUSION if needs_unfused(session, side["device"]) else {})
    else:
        command = [sys.executable, str(ROOT / "scripts/bench/cpu_torch.py"), "--worker", json.dumps(job | side)]
    with error_file(session, name).open("w") as errors:
        return Process(command, environment, stderr=errors)


def error_file(session, name):
    return session.work / f"{file_name(name)}.stderr"


def needs_unfused(session, device):
    """Whether the step `devices` found, in this call or an earlier one, that the device needs its kernels unfused."""
    path = session.out / "devices.json"
    found = json.loads(path.read_text()).get("devices", []) if path.exists() else []
    return any(each["name"] == device and not each.get("probe", {}).get("fusion", True) for each in found)


def medians(samples, batch):
    times = {name: statistics.median(milliseconds) for name, milliseconds in samples.items()}
    return {
        name: dict(
            median_milliseconds=round(time, 3),
            fastest_milliseconds=round(min(samples[name]), 3),
            images_per_second=round(batch / time * 1e3, 1),
            steps=len(samples[name]),
        )
        for name, time in times.items()
    }


def ratios(samples, sides):
    """Of each side of speedlab's to each of PyTorch's in the same precision; f32 to both f32 and tf32."""
    comparable = {"f32": ["f32", "tf32"], "bf16": ["bf16"]}
    times = {name: statistics.median(milliseconds) for name, milliseconds in samples.items()}
    found = {}
    for ours in times:
        if sides[ours]["way"] == "speedlab":
            others = [name for name in times if sides[name]["way"] != "speedlab"]
            others = [name for name in others if sides[name]["precision"] in comparable[sides[ours]["precision"]]]
            if others:
                found[ours] = {name: round(times[name] / times[ours], 3) for name in others}
    return found
