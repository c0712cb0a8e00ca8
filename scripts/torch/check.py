"""Whether the PyTorch twin trains as Speedlab does: the same losses, the same images, and the same again after a stop.

    python scripts/torch/check.py target/release/speedlab

trains small runs of every architecture and of every method with both, 200 steps each on digits and fewer on the sets of images that
Speedlab has decoded here, and fails where a loss differs by more than 1e-4 of itself. --only NAME takes the runs whose name contains
NAME.
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np

import data

TRAIN = pathlib.Path(__file__).resolve().parent / "train.py"
sys.path.append(str(TRAIN.parents[1] / "bench"))
import cpu_torch
LIMIT = 1e-4

UNET = dict(kind="unet", channels=16, channel_multipliers=[1, 2], blocks_per_level=1)
ADM = dict(kind="adm", channels=16, channel_multipliers=[1, 2], blocks_per_level=1, norm_groups=8)
DIT = dict(kind="dit", patch=2, dim=32, depth=2, heads=2)
UVIT = DIT | dict(kind="uvit")
CURRICULUM = dict(timestep_sampler=dict(kind="curriculum", center=0.3, width=0.3, anneal=0.5))
MDLRC = dict(momentum=dict(kind="demon"), lr_schedule=dict(kind="momentum_compensated"))
FLOW = dict(noise_schedule=dict(kind="rectified_flow"), parameterization="v")
EDM = dict(parameterization="edm", timestep_sampler=dict(kind="edm"), loss_weighting=dict(kind="edm"))


def ode(**settings):
    return dict(evaluate=dict(fid=dict(ode=settings)))


def sampler(kind, **settings):
    return dict(timestep_sampler=dict(kind=kind, **settings))


def aligned(**settings):
    return dict(auxiliary_losses=dict(alignment=dict(weight=0.5, encoder="digits-cnn", hidden=24, **settings)))


BASE = dict(
    data=dict(kind="digits"),
    model=UNET,
    optimizer=dict(kind="adam", learning_rate=2e-3),
    train=dict(steps=200, batch_size=64, ema_decay=0.99, log_every=1),
    evaluate=dict(every=100, fid=dict(samples=64, ode=dict(kind="dpm_solver_pp", steps=7)), validation=dict(images=32)),
)
SMALL = dict(optimizer=dict(learning_rate=1e-3), train=dict(batch_size=32))
# At higher rates these runs are chaotic: a change of all first weights by one rounding changes losses by a percent.
CALM = dict(optimizer=dict(learning_rate=2.5e-4))
# A `fid.ode` of another kind replaces the base's.
RUNS = {
    "baseline": {},
    "unet-class": SMALL
    | dict(model=UNET | dict(blocks_per_level=2, attention_resolutions=[8], attention_heads=2, class_conditional=True))
    | dict(evaluate=dict(fid=dict(guidance=1.5))),
    "adm": SMALL | dict(model=ADM | dict(attention_resolutions=[4], head_channels=8, class_conditional=True)),
    "adm-plain": SMALL | dict(model=ADM | dict(scale_shift_norm=False, resblock_updown=False, dropout=0.1)),
    "adm-sigma": SMALL | dict(model=ADM | dict(learned_sigma=True, dropout=0.1)) | ode(kind="ddpm", steps=10, variance="learned"),
    "dit": SMALL | CALM | dict(model=DIT) | ode(kind="ddim", steps=10),
    "dit-class": SMALL | CALM | dict(model=DIT | dict(class_conditional=True, learned_sigma=True)),
    "uvit": SMALL | dict(model=UVIT),
    "uvit-class": SMALL | dict(model=UVIT | dict(depth=4, class_conditional=True, class_dropout=0.0)),
    "clts": CURRICULUM,
    "mdlrc": MDLRC,
    "same-lr": dict(lr_schedule=dict(kind="linear", end=0.1)),
    "wsd": dict(lr_schedule=dict(kind="wsd", decay=0.5, end=0.1, shape="one_minus_sqrt")),
    "inverse-sqrt": dict(lr_schedule=dict(kind="inverse_sqrt", reference_steps=20), train=dict(warmup_steps=10)),
    "half-life": dict(train=dict(ema=dict(kind="half_life", images=1280, ramp_up=0.25))),
    "power": dict(train=dict(ema=dict(kind="power", sigma_rel=0.1))),
    "clts+mdlrc": CURRICULUM | MDLRC,
    "clts-cosine": sampler("paced_curriculum"),
    "clts-log-snr": sampler("log_snr_curriculum"),
    "middle-first": sampler("curriculum_sampling"),
    "logit-normal": sampler("logit_normal"),
    "laplace": sampler("laplace"),
    "speed": sampler("speed") | dict(loss_weighting=dict(kind="speed")),
    "loss-second-moment": sampler("loss_second_moment") | dict(noise_schedule=dict(kind="cosine", timesteps=50)),
    "task-difficulty": CALM | sampler("task_difficulty", clusters=5, patience=3, smoothing=0.3),
    "min-snr": dict(loss_weighting=dict(kind="min_snr")),
    "p2": dict(loss_weighting=dict(kind="p2")),
    "min-snr-v": dict(parameterization="v", loss_weighting=dict(kind="min_snr")),
    "x0": dict(parameterization="x0"),
    "edm": EDM,
    "fdm": EDM | dict(parameterization="fdm", loss_weighting=dict(kind="fdm", warm_up=50)),
    "immiscible": dict(noise=dict(kind="immiscible")),
    "adamw": dict(optimizer=dict(kind="adamw", learning_rate=2e-3)),
    "muon": dict(optimizer=dict(kind="muon", others=dict(learning_rate=2e-3, weight_decay=0))),
    "muon-rms": dict(optimizer=dict(kind="muon", learning_rate=2e-3, scale="match_rms_adamw")),
    "dit-muon": SMALL | dict(model=DIT, optimizer=dict(kind="muon", learning_rate=0.01, others=dict(learning_rate=5e-4))),
    "sigmoid": dict(noise_schedule=dict(kind="sigmoid")) | ode(kind="ddim", steps=10, eta=0.5),
    "scaled-linear": CALM | dict(noise_schedule=dict(kind="scaled_linear"), lr_schedule=dict(kind="cosine"))
    | dict(momentum=dict(kind="exponential", decay=0.99), train=dict(warmup_steps=20, clip_norm=0))
    | ode(kind="heun", steps=6),
    "flow": FLOW | ode(kind="euler", steps=10),
    "flow-dit": SMALL | CALM | FLOW | dict(model=DIT) | sampler("shifted") | ode(kind="heun", steps=6, spacing="trailing", shift=3.0),
    "flow-mode": FLOW | sampler("mode") | dict(loss_weighting=dict(kind="min_snr")) | ode(kind="dpm_solver_pp", steps=8),
    "flow-epsilon": FLOW | dict(parameterization="epsilon") | sampler("log_snr_curriculum") | ode(kind="ddpm", steps=10),
    "flow-karras": FLOW | sampler("laplace") | ode(kind="heun", steps=8),
    "flow-eta": CALM | FLOW | dict(parameterization="edm") | ode(kind="ddim", steps=10, eta=0.5),
    "flow-sigma": SMALL
    | FLOW
    | dict(model=ADM | dict(learned_sigma=True), parameterization="epsilon")
    | ode(kind="ddpm", steps=10, variance="learned"),
    "optimal-transport": FLOW | dict(noise=dict(kind="optimal_transport")),
    "contrastive": FLOW | dict(auxiliary_losses=dict(contrastive=0.05)),
    "dispersive": SMALL | CALM | FLOW | dict(model=DIT | dict(depth=3), auxiliary_losses=dict(dispersive=dict(weight=0.05, block=2))),
    "dispersive-uvit": SMALL | CALM | dict(model=UVIT | dict(depth=4), auxiliary_losses=dict(dispersive=dict(weight=0.05, block=4))),
    "alignment": SMALL | CALM | FLOW | dict(model=DIT | dict(depth=3)) | aligned(block=2, until=0.6),
    "alignment-uvit": SMALL | CALM | dict(model=UVIT | dict(depth=4, class_conditional=True)) | aligned(block=3),
    "alignment-routing": SMALL
    | CALM
    | FLOW
    | dict(model=DIT | dict(depth=4), token_routing=dict(share=0.5, first_block=2, last_block=3))
    | aligned(block=2),
    "alignment-masking": SMALL
    | CALM
    | FLOW
    | dict(model=DIT | dict(depth=4, patch=4, mask_token=True), token_masking=dict(share=0.5, decoder_blocks=2, until=0.75))
    | aligned(block=2),
    "routing": SMALL
    | CALM
    | FLOW
    | dict(model=DIT | dict(depth=4), token_routing=dict(share=0.5, first_block=2, last_block=3))
    | dict(auxiliary_losses=dict(dispersive=dict(weight=0.05, block=3))),
    "routing-uvit": SMALL
    | dict(model=UVIT | dict(depth=4, class_conditional=True), token_routing=dict(share=0.3, first_block=2, last_block=4)),
    "masking": SMALL
    | CALM
    | FLOW
    | dict(model=DIT | dict(depth=4, mask_token=True), token_masking=dict(share=0.5, decoder_blocks=2, until=0.75)),
    "masking-sigma": SMALL
    | CALM
    | sampler("loss_second_moment")
    | dict(noise_schedule=dict(kind="cosine", timesteps=50))
    | dict(model=DIT | dict(depth=3, mask_token=True, learned_sigma=True, class_conditional=True))
    | dict(token_masking=dict(share=0.3, reconstruction=0.0, until=1.0)),
    "batches": dict(train=dict(batch_schedule=[dict(until=0.2, batch_size=16), dict(until=0.5, batch_size=48)]))
    | dict(model=dict(dropout=0.2)),
    "batches-average": CALM | dict(train=dict(batch_schedule=[dict(until=0.3, batch_size=16)], ema=dict(kind="half_life", images=500, ramp_up=0.5))),
    "resolutions": CALM | dict(train=dict(resolution_schedule=[dict(until=0.5, side=4)]), model=dict(dropout=0.2, attention_resolutions=[8])),
    "resolutions-dit": SMALL
    | CALM
    | dict(model=DIT | dict(depth=4), token_routing=dict(share=0.5, first_block=2, last_block=3))
    | dict(train=dict(resolution_schedule=[dict(until=0.5, side=4)])),
    "shifted-steps": ode(kind="dpm_solver_pp", steps=8, shift=2.0),
    "dropout": CALM | dict(model=dict(dropout=0.2), momentum=dict(kind="linear", end=0.2)) | ode(kind="ddpm", steps=10),
}
# Shorter, on images that may not be here.
SETS = {
    "mnist": dict(data=dict(kind="mnist"), model=UNET | dict(channels=8, channel_multipliers=[1, 2, 2], attention_resolutions=[7, 14]))
    | ode(kind="ddim", steps=4, spacing="quadratic"),
    "fashion": dict(data=dict(kind="fashion_mnist", horizontal_flips=True), model=UVIT | dict(patch=4))
    | ode(kind="ddpm", steps=6, variance="large", spacing="leading"),
    "cifar10": dict(data=dict(kind="cifar10", horizontal_flips=True), model=ADM | dict(attention_resolutions=[16]))
    | ode(kind="dpm_solver_pp", steps=6, spacing="karras"),
    "cifar10-dit": dict(data=dict(kind="cifar10"), model=DIT | dict(patch=4, dim=64)) | ode(kind="heun", steps=4),
}
for patch in SETS.values():
    patch["train"], patch["optimizer"] = dict(steps=30, batch_size=24, ema_decay=0.9), dict(learning_rate=1e-3)
    patch["evaluate"]["fid"]["features"] = "pixels-8x8"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("speedlab", type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--device", default="cpu", help="of the twin")
    args = parser.parse_args()
    arms = {name: patch for name, patch in (RUNS | present(SETS)).items() if args.only in name}
    # Those that are timed against ours are of the same parts.
    for network in cpu_torch.NETWORKS.values():
        cpu_torch.torch_network(network)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sweep = dict(name="twin", base=BASE, arms=arms, seeds=1)
        (folder / "twin.yaml").write_text(json.dumps(sweep))
        command = [args.speedlab.resolve(), "run", "twin.yaml", "--quiet"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        specs = {path: json.loads(path.read_text())["run"] for path in folder.glob("results/twin/runs/*/spec.json")}
        by_arm = {run["arm"]: path.parent for path, run in specs.items()}
        print(f"{'run':19} {'loss':>8} {'at step':>8} {'norm':>8} {'held out':>9} {'levels of images':>17}  ms/step ours, twin")
        for arm in arms:
            if not compare(arm, by_arm[arm], folder / "twin" / arm, args.device):
                failed.append(arm)
        resumed = next(iter(arms))
        if not resume(by_arm[resumed], folder / "twin" / resumed, folder / "resumed", args.device):
            failed.append("resume")
    print(f"FAILED: {', '.join(failed)}" if failed else f"all losses agree within {LIMIT:g}")
    sys.exit(bool(failed))


def present(sets):
    """Those whose images Speedlab has decoded on this machine."""
    decoded = data.data_folder() / "decoded"
    return {name: patch for name, patch in sets.items() if list(decoded.glob(f"{patch['data']['kind']}-*.images"))}


def compare(arm, ours, out, device):
    """Prints the largest differences of a run from its twin; whether the losses agree."""
    command = [sys.executable, TRAIN, "--spec", ours / "spec.json", "--out", out, "--device", device, "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    (out / "events.jsonl").write_text(done.stdout)
    if done.returncode:
        print(f"{arm:19} {done.stderr.strip()}")
        return False
    theirs = events(out / "events.jsonl")
    found = events(ours / "events.jsonl")
    trained = [event for event in found if event["event"] == "trained"]
    progress = [event for event in theirs if event["event"] == "progress"]
    assert len(trained) == len(progress) > 0, f"{arm}: {len(trained)} and {len(progress)} steps"
    loss = differences(trained, progress, "loss")
    norm = differences(trained, progress, "gradient_norm")
    evaluated = [event for event in found if event["event"] == "evaluated"]
    of_ours = [measure["value"] for event in evaluated for measure in event["measures"] if measure["metric"] == "validation_loss"]
    of_theirs = [event["measures"]["validation_loss"] for event in theirs if event["event"] == "measured"]
    held_out = np.abs(np.array(of_theirs) / np.array(of_ours) - 1).max()
    last = evaluated[-1]["stamp"]["step"]
    side = data.SHAPES[json.loads((ours / "spec.json").read_text())["run"]["spec"]["data"]["kind"]][1]
    grid = tiles(ours / evaluated[-1]["samples"], side)
    images = np.load(out / f"samples-{last}.npz")["arr_0"][: len(grid)]
    # Halves are rounded up (src/evaluate/grid.rs).
    levels = np.abs(np.floor((images.clip(-1, 1) + np.float32(1)) * np.float32(127.5) + np.float32(0.5)) - grid).astype(int)
    times = [events_[-1]["train_seconds"] / last * 1e3 for events_ in ([e["stamp"] for e in trained], progress)]
    print(
        f"{arm:19} {loss.max():8.1e} {loss.argmax() + 1:8} {norm.max():8.1e} {held_out:9.1e}"
        f" {levels.max():5} ({(levels > 0).mean():7.2%})    {times[0]:.1f}, {times[1]:.1f}",
        flush=True,
    )
    return bool(loss.max() <= LIMIT)


def differences(ours, theirs, key):
    ours, theirs = (np.array([event[key] for event in events_], float) for events_ in (ours, theirs))
    return np.abs(theirs / ours - 1)


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def resume(ours, whole, folder, device):
    """Stops a twin under Speedlab's protocol and goes on from its checkpoint; whether the losses are those of one that was not."""
    folder.mkdir()
    spec = json.loads((ours / "spec.json").read_text())["run"]["spec"]
    asked = dict(protocol=1, run_id="0" * 12, spec=spec, params={}, seed=spec["seed"], device=device, threads=1, announced=[])
    asked |= dict(micro_batches=1)
    asked |= dict(checkpoints=str(folder), output=str(folder))
    environment = os.environ | dict(SPEEDLAB_RUN=str(folder / "run.json"))
    losses, outcome = {}, None
    for stop_at in (60, None):
        read, write = os.pipe()
        (folder / "run.json").write_text(json.dumps(asked | dict(events=f"/dev/fd/{write}")))
        command = [sys.executable, TRAIN]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, pass_fds=[write])
        os.close(write)
        for line in open(read, encoding="utf-8"):
            event = json.loads(line)
            if event["event"] == "progress":
                losses[event["step"]] = event["loss"]
                if event["step"] == stop_at:
                    process.stdin.write('{"event": "stop"}\n')
                    process.stdin.flush()
            elif event["event"] == "samples":
                process.stdin.write(json.dumps(dict(event="measured", step=event["step"], measures={"fid": 1.0})) + "\n")
                process.stdin.flush()
            elif event["event"] == "checkpointed":
                asked["announced"].append(event)
            elif event["event"] == "ended":
                outcome = event["outcome"]
        process.stdin.close()
        if process.wait() != 0:
            print(f"{'resume':19} the twin ended with exit code {process.returncode}")
            return False
        stopped_at = asked["announced"][-1]["step"] if asked["announced"] else 0
        print(f"{'resume':19} {outcome} at step {stopped_at}")
    one = {event["step"]: event["loss"] for event in events(whole / "events.jsonl") if event["event"] == "progress"}
    different = [step for step in one if losses.get(step) != one[step]]
    print(f"{'resume':19} {len(one) - len(different)} of {len(one)} losses are the same to the last bit")
    return outcome == "completed" and not different


def tiles(path, side, gap=2, columns=8):
    """The images of a sample grid (src/evaluate/grid.rs), as bytes `[n, side, side, channels]`."""
    pixels = png(path)
    scale = max(64 // side, 1)
    cell = side * scale + gap
    cells = [(row, column) for row in range(gap, len(pixels) - 1, cell) for column in range(gap, pixels.shape[1] - 1, cell)]
    return np.stack([pixels[row : row + cell - gap : scale, column : column + cell - gap : scale] for row, column in cells])


def png(path):
    """The pixels of a PNG of 8 bits without interlacing, `[height, width, channels]`."""
    bytes_, place, packed = path.read_bytes(), 8, b""
    while place < len(bytes_):
        length, kind = struct.unpack(">I4s", bytes_[place : place + 8])
        body = bytes_[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            channels = {0: 1, 2: 3}[colour]
            assert depth == 8
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    pixels = np.zeros((height + 1, width + 1, channels), int)  # a row above and a column to the left of zeros
    for row in range(height):
        method, line = lines[row, 0], lines[row, 1:].reshape(width, channels).astype(int)
        for column in range(width):
            left, above, corner = pixels[row + 1, column], pixels[row, column + 1], pixels[row, column]
            near = left + above - corner
            choices = np.stack([left, above, corner])
            nearest = np.abs(choices - near).argmin(0)
            paeth = np.take_along_axis(choices, nearest[None], 0)[0]
            predicted = (0, left, above, (left + above) // 2, paeth)[method]
            pixels[row + 1, column + 1] = (line[column] + predicted) % 256
    return pixels[1:, 1:].astype(np.uint8)


if __name__ == "__main__":
    main()
