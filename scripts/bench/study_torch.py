"""Times one sweep trained by Speedlab and by PyTorch: see scripts/bench-study.sh."""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peer

# (name, what is added to the command). Both may use the cores as they can best: two runs at once, or one on all of them.
WAYS = {
    "speedlab": {"as it chooses": [], "one run at a time": ["--jobs", "1"]},
    "torch": {"as it chooses": ["--set", "trainer=torch"], "one run at a time": ["--set", "trainer=torch", "--jobs", "1"]},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speedlab", required=True)
    parser.add_argument("--sweep", default="sweeps/quickstart.yaml")
    parser.add_argument("--set", action="append", default=[], help="a key of the sweep, such as train.steps=100; seeds=1 without")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", help="where the numbers are written, as JSON")
    args = parser.parse_args()

    args.set = args.set or ["seeds=1"]
    changes = [word for change in args.set for word in ("--set", change)]
    seconds = {who: {way: [] for way in ways} for who, ways in WAYS.items()}
    for round_ in range(args.rounds):
        for way in WAYS["speedlab"]:
            for who in WAYS:
                took = timed(args, changes + WAYS[who][way])
                seconds[who][way].append(took)
                print(f"round {round_ + 1}: {who}, {way}: {took:.1f} s", file=sys.stderr, flush=True)
    found = {who: {way: statistics.median(times) for way, times in ways.items()} for who, ways in seconds.items()}
    best = {who: min(ways.values()) for who, ways in found.items()}
    import torch

    made = {
        "sweep": args.sweep,
        "changes": args.set,
        "rounds": args.rounds,
        "processor": peer.processor(),
        "commit": peer.git_commit(),
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "median_seconds": found,
        "best_seconds": best,
        "ratio_of_ours_to_torch": best["speedlab"] / best["torch"],
        "seconds": seconds,
    }
    text = json.dumps(made, indent=1)
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(text + "\n")


def timed(args, more):
    """Seconds from the command to the report, everything trained anew."""
    with tempfile.TemporaryDirectory() as results:
        command = [args.speedlab, "run", args.sweep, "--quiet", "--results", results, *more]
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=peer.ROOT, env=os.environ | {"SPEEDLAB_PYTHON": sys.executable}, capture_output=True, text=True
        )
        took = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        return took


main()
