"""Training and sampling on the CPU: speedlab against PyTorch, the same networks, in one interleaved run.

Every competitor is a live process that waits for its turn; a round of a few steps of each, then the next round, so
that whatever else the machine does falls on all alike. Started by scripts/bench-cpu.sh, which says how.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from peer import ROOT, Process, git_commit, processor


# As speedlab calls them; `image` is channels and side.
NETWORKS = {
    "UNet 1x8x8": dict(
        image=(1, 8),
        model=dict(
            kind="unet",
            channels=32,
            channel_multipliers=[1, 2],
            blocks_per_level=2,
            attention_resolutions=[4],
            attention_heads=1,
            norm_groups=8,
        ),
    ),
    "UNet 3x32x32": dict(
        image=(3, 32),
        model=dict(
            kind="unet",
            channels=32,
            channel_multipliers=[1, 2, 2],
            blocks_per_level=2,
            attention_resolutions=[8],
            attention_heads=1,
            norm_groups=8,
        ),
    ),
    # The preset `ddpm-cifar10` without its dropout.
    "DDPM 3x32x32": dict(
        image=(3, 32),
        model=dict(
            kind="unet",
            channels=128,
            channel_multipliers=[1, 2, 2, 2],
            blocks_per_level=2,
            attention_resolutions=[16],
            attention_heads=1,
            norm_groups=32,
        ),
    ),
    "DiT 3x32x32": dict(image=(3, 32), model=dict(kind="dit", patch=4, dim=192, depth=6, heads=3)),
    "DiT 3x32x32, patches of 2": dict(image=(3, 32), model=dict(kind="dit", patch=2, dim=256, depth=4, heads=4)),
}


def torch_network(network):
    """The same network in PyTorch: that of `trainer: torch`."""
    (images, side), model = network["image"], dict(network["model"])
    if model.pop("kind") == "dit":
        from transformers import Dit

        return Dit(images, side, None, images, **model, mlp_ratio=4, class_dropout=0.0, mask_token=False)
    from networks import Unet

    return Unet(images, side, None, images, **model, dropout=0.0)


# (row, network, work, images of a step, processes at once, threads of each, torch's ways, goal)
WAYS = ["eager", "channels_last", "compile"]
# With products of bf16, ours against all of torch's: bf16 by autocast, and f32.
BF16 = [*WAYS, "eager bf16", "channels_last bf16", "compile bf16"]
ROWS = [
    ("training", "UNet 1x8x8", "train", 64, 1, 2, WAYS, 1.2),
    ("training", "UNet 3x32x32", "train", 64, 1, 2, WAYS, 1.0),
    ("training", "DiT 3x32x32", "train", 64, 1, 2, WAYS, 1.0),
    ("training in bf16", "UNet 3x32x32", "train", 64, 1, 2, BF16, 1.3),
    ("training in bf16", "DiT 3x32x32", "train", 64, 1, 2, BF16, 1.3),
    ("training in bf16", "DiT 3x32x32, patches of 2", "train", 64, 1, 2, BF16, 1.3),
    ("sampling", "UNet 1x8x8", "sample", 256, 1, 2, WAYS, 1.2),
    ("sampling", "UNet 3x32x32", "sample", 256, 1, 2, WAYS, 1.2),
    ("sampling", "DiT 3x32x32", "sample", 256, 1, 2, WAYS, 1.2),
    ("two trainings at once", "UNet 1x8x8", "train", 64, 2, 1, WAYS, 1.0),
    ("two trainings at once", "UNet 3x32x32", "train", 64, 2, 1, WAYS, 1.0),
    ("two trainings at once", "DiT 3x32x32", "train", 64, 2, 1, WAYS, 1.0),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speedlab", default=str(ROOT / "target/release/speedlab"), help="the program that is timed")
    parser.add_argument("--out", default=str(ROOT / "results/reference/cpu-speed.json"), help="written after each row")
    parser.add_argument("--rounds", type=int, default=5, help="after one that warms up")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round")
    parser.add_argument("--only", default="", help="rows whose name or network contains this")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(json.loads(args.worker))

    load_before = os.getloadavg()[0]
    peak = measure_peak(args)
    print(f"peak of a plain matrix product: {', '.join(f'{k} {v:.0f} GFLOP/s' for k, v in peak.items())}", flush=True)
    report = dict(
        version=1,
        date=datetime.date.today().isoformat(),
        processor=processor(),
        cores=os.cpu_count(),
        platform=platform.platform(),
        # One-minute load average when it began: well above 0, others were using the machine too.
        load_before=round(load_before, 2),
        torch=python_output("import torch; print(torch.__version__)"),
        speedlab_commit=git_commit(),
        measure="milliseconds per step, median over all rounds; ratio above 1: speedlab is faster than torch's best",
        peak_gflops=peak,
        rows=[],
    )
    out = pathlib.Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = report["rows"]
    for row in ROWS:
        if args.only in f"{row[0]}, {row[1]}":
            bf16 = "bf16" in row[0]
            rows.append(measure(args, row, max(rate for side, rate in peak.items() if ("bf16" in side) == bf16)))
            print(table(rows[-1:], head=len(rows) == 1), flush=True)
            # After each row: what was measured stays, whatever ends the rest.
            out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten: {out}")


def measure(args, row, peak):
    name, network, kind, batch, processes, threads, ways, goal = row
    job = dict(network=network, work=kind, batch=batch, steps=args.steps, bf16=ways is BF16)
    sides = {"speedlab": [Speedlab(args, job, threads) for _ in range(processes)]}
    for way in ways:
        torchs = job | dict(way=way.removesuffix(" bf16"), precision="bf16" if way.endswith(" bf16") else "f32")
        sides[f"torch {way}"] = [Torch(torchs, threads) for _ in range(processes)]
    counts = {member.head["parameters"] for side in sides.values() for member in side}
    if len(counts) != 1:
        sys.exit(f"error: {network} has different parameter counts on the two sides: {sorted(counts)}")
    for side in sides.values():
        a_round(side)  # warms up, and compiles where there is something to compile
    samples = {side: [] for side in sides}
    memory = {}
    for _ in range(args.rounds):
        for side, members in sides.items():
            for answer in a_round(members):
                samples[side] += answer["milliseconds"]
                memory[side] = max(memory.get(side, 0), answer["peak_rss_bytes"])
    flops = sides["speedlab"][0].head["flops_per_step"]
    for members in sides.values():
        for member in members:
            member.end()
    competitors = {}
    for side, values in samples.items():
        median = statistics.median(values)
        competitors[side] = dict(
            median_milliseconds=round(median, 3),
            fastest_milliseconds=round(min(values), 3),
            steps=len(values),
            peak_rss_mebibytes=round(memory[side] / 2**20),
            share_of_peak=round(processes * flops / (median * 1e6) / peak, 3),
        )
    best = min((side for side in competitors if side != "speedlab"), key=lambda s: competitors[s]["median_milliseconds"])
    ratio = competitors[best]["median_milliseconds"] / competitors["speedlab"]["median_milliseconds"]
    return dict(
        row=name,
        network=network,
        **NETWORKS[network],
        parameters=counts.pop(),
        batch=batch,
        processes=processes,
        threads_each=threads,
        gflop_per_step=round(flops / 1e9, 2),
        competitors=competitors,
        best_torch=best,
        ratio=round(ratio, 3),
        goal=goal,
        less_memory=all(
            competitors["speedlab"]["peak_rss_mebibytes"] < c["peak_rss_mebibytes"]
            for side, c in competitors.items()
            if side != "speedlab"
        ),
    )


def a_round(members):
    for member in members:
        member.start()
    return [member.answer() for member in members]


class Limited(Process):
    """A competitor on so many threads."""

    def __init__(self, command, threads):
        limits = {name: str(threads) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        super().__init__(command, limits)
        if self.head["threads"] != threads:
            sys.exit(f"error: {command[0]} uses {self.head['threads']} threads, not {threads}")


class Speedlab(Limited):
    def __init__(self, args, job, threads):
        super().__init__(bench_step(args.speedlab, job), threads)


def bench_step(speedlab, job):
    command = [speedlab, "bench-step", "--wait", "--work", job["work"]]
    command += ["--batch", str(job["batch"]), "--steps", str(job["steps"])]
    if job["work"] != "matmul":
        network = NETWORKS[job["network"]]
        channels, side = network["image"]
        command += ["--model", json.dumps(network["model"]), "--image", f"{channels}x{side}x{side}"]
    if job.get("bf16"):
        command.append("--bf16")
    if job.get("captured"):
        command.append("--capture-steps")
    return command


class Torch(Limited):
    def __init__(self, job, threads):
        super().__init__([sys.executable, __file__, "--worker", json.dumps(job)], threads)


def measure_peak(args):
    """GFLOP/s of the product of two 2048 x 2048 matrices with 2 threads, of either side, and of PyTorch in bf16."""
    job = dict(work="matmul", batch=2048, steps=args.steps)
    bf16 = job | dict(precision="bf16")
    sides = {"torch": Torch(job, 2), "torch bf16": Torch(bf16, 2), "speedlab": Speedlab(args, job, 2)}
    fastest = dict.fromkeys(sides, float("inf"))
    for round in range(args.rounds + 1):
        for side, process in sides.items():
            (answer,) = a_round([process])
            fastest[side] = min(fastest[side], *answer["milliseconds"])
    for process in sides.values():
        process.end()
    return {side: round_gflops(2 * 2048**3, milliseconds) for side, milliseconds in fastest.items()}


def round_gflops(flops, milliseconds):
    return round(flops / milliseconds / 1e6, 1)


def work(job):
    """A competitor: says what it is, then does a round for each line of its standard input.

    On the CPU in f32, unless `device` and `precision` (f32, tf32, bf16) say otherwise: scripts/gpu/speed.py."""
    import resource

    sys.path.insert(0, str(ROOT / "scripts/torch"))
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    device, precision = job.get("device", "cpu"), job.get("precision", "f32")
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
        # Left alone, PyTorch has tf32 for convolutions and f32 for matrices.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
        torch.backends.cudnn.benchmark = True
    parameters = 0
    if job["work"] == "matmul":
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        first, second = (torch.rand(job["batch"], job["batch"], device=device).to(kind) for _ in range(2))

        def step():
            return (first @ second)[0, 0].item()

    else:
        channels, side = NETWORKS[job["network"]]["image"]
        network = torch_network(NETWORKS[job["network"]])
        parameters = sum(parameter.numel() for parameter in network.parameters())
        layout = torch.channels_last if job["way"] == "channels_last" else torch.contiguous_format
        network = network.to(device).to(memory_format=layout)
        forward = torch.compile(network) if job["way"] == "compile" else network
        shape = (job["batch"], channels, side, side)
        timesteps = (torch.arange(job["batch"]) * 1000 // job["batch"]).float().to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True if on_cuda else None)
        kind = torch.device(device).type

        def noise():
            return torch.randn(shape, device=device).contiguous(memory_format=layout)

        def predict():
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
                return forward(noise(), timesteps)

        def train():
            loss = ((predict() - noise()) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()

        @torch.no_grad()
        def sample():
            return predict().contiguous()[0, 0, 0, 0].item()

        step = train if job["work"] == "train" else sample
    print(json.dumps(dict(parameters=parameters, threads=torch.get_num_threads())), flush=True)
    for _ in sys.stdin:
        milliseconds = []
        for _ in range(job["steps"]):
            start = time.perf_counter()
            step()
            if on_cuda:
                torch.cuda.synchronize()
            milliseconds.append((time.perf_counter() - start) * 1e3)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(dict(milliseconds=milliseconds, peak_rss_bytes=peak)), flush=True)


def table(rows, head=True):
    lines = []
    if head:
        lines.append("| row | network | parameters | speedlab ms | best torch ms | ratio | goal | of peak | MiB | torch MiB |")
        lines.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        ours, best = row["competitors"]["speedlab"], row["competitors"][row["best_torch"]]
        lines.append(
            f"| {row['row']} | {row['network']} | {row['parameters']:,} | {ours['median_milliseconds']:.1f} "
            f"| {best['median_milliseconds']:.1f} ({row['best_torch'].removeprefix('torch ')}) "
            f"| {row['ratio']:.2f} | {row['goal']} | {ours['share_of_peak']:.0%} "
            f"| {ours['peak_rss_mebibytes']} | {best['peak_rss_mebibytes']} |"
        )
    return "\n".join(lines)


def python_output(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
