"""Trains one run of Speedlab in PyTorch: the same network, first weights, batches, noises and timesteps as Speedlab's own trainer.

Speedlab starts it for a sweep with `trainer:`; alone, it prints its events:

    python scripts/torch/train.py --spec results/NAME/runs/ID/spec.json --out twin

Settings of a run that are not done here end it with exit code 2 before anything is trained.
"""

import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
# speedlab_run.py is beside this file where Speedlab has unpacked it, else in its sources.
for folder in ([HERE.parents[1] / "src/external"] if len(HERE.parents) > 1 else []) + [HERE]:
    sys.path.insert(0, str(folder))

import speedlab_run

import spec as specs

# Of `params` in a sweep, or as flags; `precision` is that of the run's spec unless it is given.
OPTIONS = dict(compile=False, channels_last=False, precision=None, data_dir=None)
PRECISIONS = ("f32", "tf32", "bf16")


def main():
    args = arguments()
    spec = None
    try:
        if args.spec:
            spec = specs.load(args.spec)
            train = spec["train"]
            run = stand_alone(args, spec["seed"], train["steps"], train["batch_size"])
        else:
            run = speedlab_run.start()
            if run.spec is None:
                raise specs.Refused("no run to train\nhint: give --spec, or let Speedlab start this program")
            spec = specs.resolve(run.spec)
        options = checked_options(run.params, spec)
    except specs.Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
    train_run(run, spec, options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spec", help="a run folder's spec.json, or a run's settings as JSON; Speedlab gives its own")
    parser.add_argument("--out", default=".", help="where images and checkpoints go, without Speedlab")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--micro-batches", type=int, default=1, help="parts in which each batch is computed")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--data-dir", help="where Speedlab keeps its images")
    return parser.parse_args()


def stand_alone(args, seed, steps, batch_size):
    """A run that nobody listens to, in the folder --out."""
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)
    params = {key: getattr(args, key) for key in OPTIONS}
    run = speedlab_run.start(params=params, seed=seed, steps=steps, batch_size=batch_size)
    run.device, run.threads, run.micro_batches = args.device, args.threads, args.micro_batches
    return run


def checked_options(params, spec):
    for key in params:
        if key not in OPTIONS:
            raise specs.Refused(f"`params.{key}` is not known to this trainer; it knows {', '.join(OPTIONS)}")
    options = OPTIONS | params
    options["precision"] = options["precision"] or spec["train"]["precision"]
    if options["precision"] not in PRECISIONS:
        raise specs.Refused(f"`params.precision: {options['precision']}` is none of {', '.join(PRECISIONS)}")
    return options


def train_run(run, spec, options):
    import torch

    from evaluation import NotFinite
    from trainer import Diverged, Trainer

    torch.set_num_threads(run.threads)
    if run.device != "cpu":
        if not torch.cuda.is_available():
            sys.exit(f"error: this PyTorch ({torch.__version__}) finds no GPU for `{run.device}`")
        torch.cuda.set_device(run.device)
    checkpoint = pathlib.Path(run.checkpoints) / "checkpoint.pt"
    name = torch.cuda.get_device_name(run.device) if run.device != "cpu" else f"cpu, {run.threads} threads"
    try:
        trainer = Trainer(spec, run.device, options, run.micro_batches)
        if checkpoint.exists():
            trainer.restore(torch.load(checkpoint, map_location=run.device, weights_only=False))
        trainer.warm_up()
        run.begin(trainer.step, device=f"{name}, torch {torch.__version__}")
        while True:
            if trainer.evaluation_due():
                evaluate(run, trainer)
            if trainer.step == run.steps or run.should_stop():
                save(run, trainer, checkpoint)
                return run.end()
            if run.should_checkpoint():
                save(run, trainer, checkpoint)
            trainer.train_step()
            mean = trainer.recorded_mean()
            if mean:
                run.progress(trainer.step, images_seen=trainer.images_seen(), **mean)
    except (Diverged, NotFinite) as diverged:
        run.end("diverged", str(diverged))
    except torch.OutOfMemoryError as error:
        run.end("out_of_memory", str(error).splitlines()[0])


def evaluate(run, trainer):
    """Hands images to Speedlab, which measures them."""
    import numpy

    trainer.read()
    with run.evaluating():
        images, validation_loss = trainer.evaluate()
        path = pathlib.Path(run.output) / f"samples-{trainer.step}.npz"
        numpy.savez(path, images)
    images_seen = trainer.images_seen()
    run.samples(trainer.step, path.resolve(), images_seen, as_asked=True)
    if run.has_speedlab:
        path.unlink()
    run.measure(trainer.step, "as Speedlab does", images_seen, validation_loss=validation_loss)
    trainer.evaluated_step = trainer.step


def save(run, trainer, path):
    """Replaces the checkpoint, off the clock of training as Speedlab does."""
    import torch

    state, beside = trainer.state(), path.with_suffix(".partial")
    with run.saving():
        with open(beside, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    run.checkpointed(trainer.step, trainer.images_seen())


if __name__ == "__main__":
    main()
