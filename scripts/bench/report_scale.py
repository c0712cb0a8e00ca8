"""Seconds and memory of `speedlab report` and `speedlab plan` of many runs, beside the same reduction in pandas.

The records are made up (`speedlab bench-report`): every run of a grid has ended, with a journal, a table and one picture. The rows:

- report: `speedlab report`, which reads and checks every record, compares, draws, and writes the page and the study's table;
- report, JSON: the same with --json;
- pandas, runs' tables: reads each run's curves.parquet, writes the study's table, and reduces: the last value of each metric of
  each run, median and range over the seeds of each arm and grid point, the first crossing of a target in images of each run, and
  the geometric mean over seeds of its ratio to the baseline's;
- pandas, one table: the same reduction from the study's table, which somebody else has to have made;
- plan and plan, JSON: of a grid of its own, of which nothing has run.

Every round has all of them in turn. Started by scripts/bench-report.sh, which says how.
"""

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

from peer import ROOT, git_commit, output, processor

GOAL_SECONDS, GOAL_BYTES = 5.0, 2e9
SWEEP = """\
name: {name}
question: Which of many arms is sooner?
base:
  data: {{ kind: digits }}
  model: {{ kind: unet, channels: 16, channel_multipliers: [1, 2], blocks_per_level: 1 }}
  optimizer: {{ kind: adam }}
  train: {{ steps: 2000, batch_size: 64 }}
  evaluate: {{ every: 20, fid: {{ samples: 250, features: digits-cnn }}, validation: {{ images: 32 }} }}
arms:
  baseline: {{}}
{arms}
grid:
  optimizer.learning_rate: {rates}
  train.ema_decay: {decays}
seeds: {seeds}
compare: {{ baseline: baseline, metric: fid, target: {{ value: {target} }} }}
"""
TARGET = 40.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speedlab", default=str(ROOT / "target/release/speedlab"))
    parser.add_argument("--shape", default="10x10x10x10", help="arms, values of two axes, seeds: whose report is timed")
    parser.add_argument("--plan-shape", default="10x100x10x10", help="the same, whose plan is timed")
    parser.add_argument("--evaluations", type=int, default=100, help="of each run")
    parser.add_argument("--metrics", type=int, default=10, help="in each run's table, four of them of training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where records are made and kept for the next time; else a temporary one")
    parser.add_argument("--out", default=str(ROOT / "results/reference/report-scale.json"))
    parser.add_argument("--pandas", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.pandas:
        return reduce(*args.pandas)
    if args.folder:
        return measure(args, pathlib.Path(args.folder))
    with tempfile.TemporaryDirectory() as folder:
        measure(args, pathlib.Path(folder))


def measure(args, folder):
    load_before = os.getloadavg()[0]
    results = folder / "results"
    many = write_sweep(folder, "many", args.shape)
    if not (results / "many").exists():
        shape = ["--evaluations", str(args.evaluations), "--measures", str(args.metrics - 4)]
        output([args.speedlab, "bench-report", str(many), "--results", str(results), *shape])
    planned = write_sweep(folder, "planned", args.plan_shape)
    report = [args.speedlab, "report", str(many), "--results", str(results)]
    plan = [args.speedlab, "plan", str(planned), "--results", str(results), "--device", "cpu"]
    pandas = [sys.executable, __file__, "--pandas"]
    ways = {
        "report": report,
        "report, JSON": [*report, "--json"],
        "pandas, runs' tables": [*pandas, "runs", str(results / "many")],
        "pandas, one table": [*pandas, "one", str(results / "many")],
        "plan": plan,
        "plan, JSON": [*plan, "--json"],
    }
    found = {name: [] for name in ways}
    for number in range(args.rounds):
        for name, command in ways.items():
            found[name].append(timed(command))
            print(f"round {number + 1}: {name}: {found[name][-1]}", flush=True)
    rows = {
        name: {
            "median_seconds": round(statistics.median(seconds for seconds, *_ in runs), 2),
            "processor_seconds": round(statistics.median(processor for _, processor, _ in runs), 2),
            "peak_rss_mebibytes": max(peak for *_, peak in runs),
        }
        for name, runs in found.items()
    }
    seconds = {name: row["median_seconds"] for name, row in rows.items()}
    page = results / "many/report/index.html"
    result = {
        "version": 1,
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        # One-minute load average when it began: well above 0, others were using the machine too.
        "load_before": round(load_before, 2),
        "pandas": output([sys.executable, "-c", "import pandas; print(pandas.__version__)"]),
        "pyarrow": output([sys.executable, "-c", "import pyarrow; print(pyarrow.__version__)"]),
        "speedlab_commit": git_commit(),
        "report_shape": args.shape,
        "plan_shape": args.plan_shape,
        "evaluations": args.evaluations,
        "metrics": args.metrics,
        "rounds": args.rounds,
        "measure": "seconds, median over rounds; ratio above 1: the report is written sooner than pandas reduces",
        "ways": rows,
        "page_mebibytes": round(page.stat().st_size / 2**20, 1),
        "ratio_to_pandas_runs_tables": round(seconds["pandas, runs' tables"] / seconds["report"], 2),
        "ratio_to_pandas_one_table": round(seconds["pandas, one table"] / seconds["report"], 2),
        "goal": {"seconds": GOAL_SECONDS, "bytes": GOAL_BYTES},
        "is_reached": seconds["report"] < GOAL_SECONDS and rows["report"]["peak_rss_mebibytes"] * 2**20 < GOAL_BYTES,
    }
    pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def write_sweep(folder, name, shape):
    """A sweep of `arms x values x values x seeds`."""
    arms, rates, decays, seeds = map(int, shape.split("x"))
    text = SWEEP.format(
        name=name,
        arms="\n".join(
            f"  arm{n}: {{ timestep_sampler: {{ kind: curriculum, center: {0.05 * n:.2f} }} }}" for n in range(1, arms)
        ),
        rates=[round(1e-4 * (1 + n), 6) for n in range(rates)],
        decays=[round(0.9 + 0.009 * n, 6) for n in range(decays)],
        seeds=seeds,
        target=TARGET,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def timed(command):
    """Wall seconds, processor seconds and peak memory in mebibytes of a command."""
    with tempfile.TemporaryFile() as said:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"error: {' '.join(command)} ended with {status}")
    return round(seconds, 3), round(used.ru_utime + used.ru_stime, 3), round(used.ru_maxrss / 1024)


def reduce(what, folder):
    """In pandas: last values, their median and range by arm and grid point, first crossings and their ratio to the baseline's."""
    import numpy
    import pandas
    import pyarrow.dataset
    import pyarrow.parquet

    folder = pathlib.Path(folder)
    if what == "runs":
        paths = [str(path) for path in sorted(folder.glob("runs/*/curves.parquet"))]
        rows = pyarrow.dataset.dataset(paths, format="parquet").to_table().to_pandas(strings_to_categorical=True)
        rows.to_parquet(folder / "curves-pandas.parquet", compression="zstd")
    else:
        columns = ["run_id", "arm", "trial", "seed", "step", "images_seen", "metric", "protocol", "value"]
        table = pyarrow.parquet.read_table(folder / "curves.parquet", columns=columns)
        rows = table.to_pandas(strings_to_categorical=True)
    run = ["run_id", "arm", "trial", "seed"]
    last = rows.groupby(["run_id", "metric", "protocol"], observed=True, sort=False)["value"].last()
    runs = rows[run].drop_duplicates("run_id").set_index("run_id")
    last = last.rename("last").reset_index().join(runs, on="run_id")
    finals = last.groupby(["arm", "trial", "metric"], observed=True)["last"].agg(["median", "min", "max"])
    good = rows[(rows["metric"] == "fid") & (rows["value"] <= TARGET)]
    runs["images"] = good.groupby("run_id", observed=True)["images_seen"].first()
    runs["point"] = [trial.partition(" ")[2] for trial in runs["trial"]]
    base = runs[runs["arm"] == "baseline"].set_index(["point", "seed"])["images"].rename("baseline_images")
    runs = runs.join(base, on=["point", "seed"])
    runs["log"] = numpy.log(runs["baseline_images"] / runs["images"])
    speedups = runs.groupby(["arm", "point"], observed=True)["log"].agg(["mean", "std", "count"])
    speedups["speedup"] = numpy.exp(speedups["mean"])
    finals.to_csv(folder / "finals-pandas.csv")
    speedups.to_csv(folder / "speedups-pandas.csv")


if __name__ == "__main__":
    main()
