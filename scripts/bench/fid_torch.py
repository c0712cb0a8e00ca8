"""`speedlab fid` against pytorch-fid on the same folders with the same weights. Started by scripts/bench-fid.sh, which says how."""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from peer import ROOT, git_commit, output, processor

GOAL = 1.5
# pytorch-fid, with its weights from a file instead of a download.
PYTORCH_FID = """
import sys, torch, pytorch_fid.inception as inception
path = sys.argv.pop(1)
inception.load_state_dict_from_url = lambda *_, **__: torch.load(path)
from pytorch_fid.fid_score import main
main()
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speedlab", required=True)
    parser.add_argument("--images", type=int, default=10_000, help="of each of the two folders, at most 10,000")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--weights", help="Inception's, as torch.save wrote them; else by a formula")
    parser.add_argument("--out", default=str(ROOT / "results/reference/fid-speed.json"))
    args = parser.parse_args()
    listed = json.loads(output([args.speedlab, "data", "list", "--json"]))
    cifar = next(pathlib.Path(one["folder"]) for one in listed["sets"] if one["name"] == "cifar10")
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            make_folder(pathlib.Path(folder) / name, cifar / file, args.images)
            for name, file in [("train", "data_batch_1.bin"), ("held-out", "test_batch.bin")]
        ]
        weights = args.weights
        if not weights:
            weights = f"{folder}/weights.pth"
            subprocess.run([sys.executable, ROOT / "scripts/golden/inception.py", "--weights", weights], check=True)
        ways = {
            "speedlab": [args.speedlab, "fid", *sides, "--weights", weights, "--quiet"],
            "pytorch-fid": [sys.executable, "-c", PYTORCH_FID, weights, "--device", "cpu", *sides],
        }
        found = {name: [] for name in ways}
        for number in range(args.rounds):
            for name, command in ways.items():
                found[name].append(timed(command))
                print(f"round {number + 1}: {name} {found[name][-1]}", flush=True)
    rows = {
        name: {
            "value": runs[0]["value"],
            "median_seconds": round(statistics.median(run["seconds"] for run in runs), 1),
            "stopped_seconds": round(sum(run["stopped_seconds"] for run in runs), 1),
            "processor_seconds": round(statistics.median(run["processor_seconds"] for run in runs), 1),
            "peak_rss_mebibytes": max(run["peak_rss_mebibytes"] for run in runs),
        }
        for name, runs in found.items()
    }
    result = {
        "version": 1,
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "torch": output([sys.executable, "-c", "import torch; print(torch.__version__)"]),
        "speedlab_commit": git_commit(),
        "images_on_each_side": args.images,
        "rounds": args.rounds,
        "weights": "given" if args.weights else "by the formula of scripts/golden/inception.py",
        "ways": rows,
        "ratio": round(rows["pytorch-fid"]["median_seconds"] / rows["speedlab"]["median_seconds"], 2),
        "goal": GOAL,
        "relative_difference_of_values": abs(rows["speedlab"]["value"] / rows["pytorch-fid"]["value"] - 1.0),
    }
    pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def make_folder(folder, file, count):
    import numpy
    from PIL import Image

    folder.mkdir()
    records = numpy.fromfile(file, dtype=numpy.uint8).reshape(-1, 3073)[:count, 1:]
    if len(records) < count:
        sys.exit(f"error: {file} has {len(records)} images, not {count}")
    for index, image in enumerate(records.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)):
        Image.fromarray(numpy.ascontiguousarray(image)).save(folder / f"{index:05d}.png")
    return str(folder)


def timed(command):
    """Wall time, processor time and peak memory of a command, and the distance that it prints."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as said_file, tempfile.TemporaryFile("w+") as errors_file:
        process = subprocess.Popen(command, stdout=said_file, stderr=errors_file)
        # A process that is stopped (SIGSTOP, while the machine has other work to do) is not timed meanwhile.
        stopped_seconds, looked_at = 0.0, start
        while True:
            # Of this process alone, and what it waited for.
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            now = time.monotonic()
            if ended:
                break
            if pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                stopped_seconds += now - looked_at
            looked_at = now
            time.sleep(0.05)
        seconds = now - start - stopped_seconds
        process.returncode = os.waitstatus_to_exitcode(status)
        said_file.seek(0)
        errors_file.seek(0)
        said, errors = said_file.read(), errors_file.read()
    value = re.search(r"FID:?\s+([0-9.eE+-]+)", said)
    if process.returncode != 0 or not value:
        sys.exit(f"error: {command[0]} ended with {process.returncode}: {said}{errors}")
    return {
        "value": float(value.group(1)),
        "seconds": round(seconds, 1),
        "stopped_seconds": round(stopped_seconds, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_rss_mebibytes": used.ru_maxrss // 1024,
    }


main()
