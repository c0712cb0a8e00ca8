"""Runs of sweeps on a device: their losses beside the CPU's, and the memory that a long one takes."""

import contextlib
import json
import math
import pathlib
import random
import re
import statistics
import struct
import time
import zlib

from session import ROOT, TooLong, descendants, file_name, known, nvidia_smi  # first: it says where the others are

from cpu_torch import NETWORKS

PICTURES, HELD_OUT, SIDE = 320, 64, 32
CAPTURED = ["--capture-steps"]
# The part of a run's steps after which its memory is to be flat, and by how much of the largest value it may still differ.
SETTLED, FLAT = 0.25, 0.05


def losses(session, result):
    """The quickstart's arms, one seed, its first 100 steps: kernel by kernel, and with captured steps."""
    steps = 10 if session.small else 100
    overrides = ["seeds=1", f"train.steps={steps}", "train.log_every=1"]
    overrides += [f"evaluate.every={steps}", "evaluate.fid.samples=64"]
    overrides = [word for override in overrides for word in ("--set", override)]
    ways = [(device, device, []) for device in session.devices]
    ways += [(f"{device} captured", device, CAPTURED) for device in session.devices if device != "cpu"]
    beside_cpu(session, result, ROOT / "sweeps/quickstart.yaml", overrides, steps, ways)


def unet(session, result):
    """A UNet for images of CIFAR-10's size, on made-up ones; on CUDA also in bf16, beside the CPU's f32."""
    steps = 10 if session.small else 100
    sweep = unet_sweep(session, steps, batch_size=16, log_every=1)
    ways = [(device, device, []) for device in session.devices]
    mixed = ["--set", "train.precision=bf16"]
    ways += [(f"{device} bf16", device, mixed) for device in session.devices if device.startswith("cuda")]
    beside_cpu(session, result, sweep, [], steps, ways)


def beside_cpu(session, result, sweep, overrides, steps, ways):
    result |= dict(sweep=sweep.stem, steps=steps, devices={})
    reference, failure = train(session, "the CPU", "cpu", sweep, overrides, session.left() / 2)
    if failure:
        result["failures"]["the CPU"] = failure
    result["cpu_losses"] = {arm: run["losses"] for arm, run in reference.items()}
    for index, (name, device, more) in enumerate(ways):
        limit = session.left() / (len(ways) - index)
        runs, failure = train(session, name, device, sweep, overrides + more, limit)
        if failure:
            result["failures"][name] = failure
        arms = {arm: compare(run, reference[arm]) for arm, run in runs.items() if arm in reference}
        arms = {arm: compared for arm, compared in arms.items() if compared["steps"] > 0}
        if arms:
            worst = max(arms, key=lambda arm: arms[arm]["largest"])
            result["devices"][name] = dict(
                largest=arms[worst]["largest"],
                largest_in_first_10=max(compared["largest_in_first_10"] for compared in arms.values()),
                at=f"{worst}, step {arms[worst]['at_step']}",
                steps=min(compared["steps"] for compared in arms.values()),
                arms=arms,
            )
        if not failure and (arms.keys() != reference.keys() or any(run["steps"] != steps for run in arms.values())):
            result["failures"][name] = "not every step of every arm was compared"


def compare(run, reference):
    """Relative differences of the loss of each step that both have. Training carries a difference on, and makes it grow."""
    both = sorted(run["losses"].keys() & reference["losses"].keys())
    relative = {step: abs(run["losses"][step] / reference["losses"][step] - 1) for step in both}
    worst = max(both, key=relative.get, default=None)
    return dict(
        steps=len(both),
        largest=relative.get(worst),
        at_step=worst,
        largest_in_first_10=max((relative[step] for step in both[:10]), default=None),
        median=statistics.median(relative.values()) if both else None,
        device=run["device"],
        first_steps=run["compared"],
        losses=run["losses"],
        utilization=utilization(run),
    )


def utilization(run):
    """The share of training in which a kernel ran on the card, and in how many of the recorded means it was looked at; None without any."""
    looked_at = run["busy"]
    seconds = sum(seconds for seconds, _ in looked_at)
    mean = sum(seconds * share for seconds, share in looked_at) / seconds if seconds > 0 else None
    return None if mean is None else dict(mean=round(mean, 4), looked_at=len(looked_at))


def train(session, name, device, sweep, overrides, limit, watch=lambda process_id: None):
    """What the sweep's runs recorded, by arm, and None or what failed: a run that was stopped has recorded something too."""
    results = session.work / file_name(f"{sweep.stem} on {name}")
    command = ["run", sweep, "--results", results, "--data-dir", session.work / "data", "--device", device]
    command += ["--quiet", "--retries", "0", *overrides]
    failure = None
    try:
        code, _, errors = session.run(command, f"{sweep.stem} on {name}", limit, watch)
        if code != 0:
            failure = f"exit status {code}\n{errors}".strip()
    except TooLong as late:
        failure = str(late)
    runs = dict(read_run(folder) for folder in sorted(results.glob("*/runs/*")) if (folder / "spec.json").exists())
    ends = [f"{arm}: {run['ended']}" for arm, run in runs.items() if run["ended"]]
    return runs, "\n".join([failure, *ends]) if failure else None


def read_run(folder):
    """Its arm, and what its journal says: the loss of each step, on which device, how it was compared, how it failed; of each mean in whose
    time it was looked at how busy the card is, the seconds of training and that share."""
    arm = json.loads((folder / "spec.json").read_text())["run"]["arm"]
    run = dict(losses={}, busy=[], device=None, compared=None, ended=None)
    journal = folder / "events.jsonl"
    before = 0.0
    for line in journal.read_text(errors="replace").splitlines() if journal.exists() else []:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            break  # the last line of a run that was killed
        match event["event"]:
            case "started":
                run["device"] = event["device"]
            case "device_compared":
                run["compared"] = {key: event[key] for key in ("largest_difference", "tolerance")}
            case "trained":
                run["losses"][event["stamp"]["step"]] = event["loss"]
                seconds = event["stamp"]["train_seconds"] - before
                before += seconds
                if event.get("device_utilization") is not None:
                    run["busy"].append((seconds, event["device_utilization"]))
            case "ended" if event["outcome"]["kind"] != "completed":
                run["ended"] = f"{event['outcome']['kind']}: {event['outcome'].get('reason', '')}"[-1500:]
    return arm, run


def memory(session, result):
    """The memory of one long run of the UNet on the first device, looked at every second."""
    device = session.devices[0]
    steps, batch_size = (60, 8) if session.small else (2000, 64)
    sweep = unet_sweep(session, steps, batch_size, log_every=1 if session.small else 10)
    card = device.partition(":")[2] or "0"
    has_card = device.startswith("cuda")
    before = card_mib(card) if has_card else None
    samples = []
    result |= dict(device=device, network="UNet 3x32x32", steps=steps, batch_size=batch_size, samples=samples)
    results = session.work / file_name(f"{sweep.stem} on {device}")

    def watch(process_id):
        if samples and time.monotonic() - watch.looked_at < (0.3 if session.small else 1):
            return
        watch.looked_at = time.monotonic()
        process_ids = {process_id, *descendants(process_id)}
        sample = dict(step=last_step(results), host_mib=resident_mib(process_ids))
        if has_card:
            of_processes = known(lambda: process_mib(card, process_ids))
            sample |= dict(process_mib=of_processes, card_mib=card_mib(card) - before)
        samples.append(sample)

    runs, failure = train(session, device, device, sweep, [], session.left(), watch)
    if failure:
        result["failures"][device] = failure
    done = max((step for run in runs.values() for step in run["losses"]), default=0)
    result["utilization"] = next((utilization(run) for run in runs.values()), None)
    if not failure and done != steps:
        result["failures"][device] = f"{done} of {steps} steps were recorded"
    # A driver that hides processes from each other, as in containers, gives the whole card's alone.
    whose = "process_mib" if has_card and any(sample["process_mib"] for sample in samples) else "card_mib"
    result["host"] = settled(samples, "host_mib", steps)
    if has_card:
        what = "the processes' own" if whose == "process_mib" else "the whole card's, less what it was before"
        result["card"] = dict(what=what, **(settled(samples, whose, steps) or {}))
    if not result["host"] or (has_card and "flat" not in result["card"]):
        result["failures"]["slope"] = "too few samples after the first quarter for a slope"


def settled(samples, key, steps):
    """The largest value, and how values grow after the first quarter of the steps; None where there are too few."""
    points = [(s["step"], s[key]) for s in samples if s[key] is not None and SETTLED * steps <= s["step"] < steps]
    if len({step for step, _ in points}) < 3:
        return None
    slope, _ = statistics.linear_regression(*zip(*points))
    first, last = points[0][1], points[-1][1]
    largest = max(sample[key] for sample in samples if sample[key] is not None)
    return dict(
        largest_mib=round(largest, 1),
        first_settled_mib=round(first, 1),
        last_mib=round(last, 1),
        slope_mib_per_1000_steps=round(1000 * slope, 3),
        flat=last - first <= FLAT * largest,
    )


def last_step(results):
    for journal in results.glob("*/runs/*/events.jsonl"):
        with journal.open("rb") as file:
            file.seek(max(0, journal.stat().st_size - 4096))
            steps = re.findall(rb'"step":(\d+)', file.read())
        if steps:
            return int(steps[-1])
    return 0


def process_mib(card, process_ids):
    """Of these processes on the card; None where the driver does not say."""
    rows = nvidia_smi("compute-apps", ["pid", "used_memory"], card)
    mine = [row["used_memory"] for row in rows if row["pid"].isdigit() and int(row["pid"]) in process_ids]
    return sum(map(int, mine)) if mine and all(value.isdigit() for value in mine) else None


def card_mib(card):
    return int(nvidia_smi("gpu", ["memory.used"], card)[0]["memory.used"])


def resident_mib(process_ids):
    total = 0
    for process_id in process_ids:
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{process_id}/status").read_text()
            total += sum(map(int, re.findall(r"VmRSS:\s+(\d+) kB", status))) / 1024
    return total


def unet_sweep(session, steps, batch_size, log_every):
    """A sweep of one run; the CIFAR-10 that it stands for need not be there."""
    pictures = session.work / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        for index in range(PICTURES):
            (pictures / f"{index:03}.png").write_bytes(picture(index))
    sweep = dict(
        name="unet",
        base=dict(
            data=dict(kind="image_folder", path=str(pictures), side=SIDE, channels=3, held_out=HELD_OUT),
            model=NETWORKS["UNet 3x32x32"]["model"],
            optimizer=dict(kind="adam", learning_rate=0.001),
            train=dict(steps=steps, batch_size=batch_size, ema_decay=0.99, log_every=log_every),
            evaluate=dict(
                every=steps,
                fid=dict(samples=64, features="pixels-8x8", ode=dict(kind="ddim", steps=2)),
                validation=dict(images=32),
            ),
        ),
        seeds=1,
    )
    path = session.work / f"unet-{steps}-{batch_size}.yaml"
    path.write_text(json.dumps(sweep))  # which is YAML too
    return path


def picture(seed):
    """A PNG of waves, each colour its own, so that there is something to learn."""
    draws = random.Random(seed)
    waves = [(draws.uniform(-0.5, 0.5), draws.uniform(-0.5, 0.5), draws.uniform(0, 7)) for _ in range(3)]
    value = lambda x, y, wave: round(128 + 100 * math.sin(wave[0] * x + wave[1] * y + wave[2]))
    rows = (bytes(value(x, y, wave) for x in range(SIDE) for wave in waves) for y in range(SIDE))
    pixels = b"".join(b"\0" + row for row in rows)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
