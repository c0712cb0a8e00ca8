"""Images per second: speedlab's batches against PyTorch's DataLoader with 2 workers, in one interleaved run.

Rows: CIFAR-10 as it is trained on; a folder of JPEG files once they are known (speedlab has decoded them into its cache,
PyTorch decodes them in every epoch); and the first pass over that folder, decoding included on both sides.

Every competitor is a live process that waits for its turn. Both sides add up the labels and the first value of each
image, and what they find must agree. Started by scripts/bench-data.sh, which says how.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from peer import ROOT, Process, output, processor

BATCH = 125
WORKERS = 2
LIMITS = {"RAYON_NUM_THREADS": str(WORKERS), "OMP_NUM_THREADS": "1"}
CIFAR_IMAGES = 50_000
# Of the JPEG files 2,000 are trained on, at this side.
JPEGS, HELD_OUT, SIDE, CLASSES = 2125, 125, 64, 5
WAYS = {"cifar10": ["PIL images", "tensors"], "jpeg": ["PIL images"]}
GOAL = 3.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speedlab", default=str(ROOT / "target/release/speedlab"))
    parser.add_argument("--out", default=str(ROOT / "results/reference/data-speed.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(json.loads(args.worker))

    load_before = os.getloadavg()[0]
    listed = json.loads(output([args.speedlab, "data", "list", "--json"]))
    cifar = next(each["folder"] for each in listed["sets"] if each["name"] == "cifar10")
    with tempfile.TemporaryDirectory() as temporary:
        pictures = pathlib.Path(temporary) / "pictures"
        make_jpegs(pictures)
        folder = dict(
            kind="image_folder", path=str(pictures), side=SIDE, channels=3, classes=CLASSES, held_out=HELD_OUT
        )
        cache = pathlib.Path(temporary) / "cache"
        rows = [
            batches(args, "CIFAR-10, 3x32x32", dict(kind="cifar10"), cifar, "cifar10", CIFAR_IMAGES),
            batches(args, f"JPEG folder, 3x{SIDE}x{SIDE}", folder, str(pictures), "jpeg", JPEGS - HELD_OUT, cache),
            first_pass(args, f"JPEG folder, first pass, 3x{SIDE}x{SIDE}", folder, str(pictures), cache),
        ]
    report = dict(
        version=1,
        date=datetime.date.today().isoformat(),
        processor=processor(),
        cores=os.cpu_count(),
        # One-minute load average when it began: well above 0, others were using the machine too.
        load_before=round(load_before, 2),
        torch=output([sys.executable, "-c", "import torch; print(torch.__version__)"]).strip(),
        torchvision=output([sys.executable, "-c", "import torchvision; print(torchvision.__version__)"]).strip(),
        speedlab_commit=output(["git", "rev-parse", "--short", "HEAD"]).strip(),
        measure="images per second, median over all rounds; ratio above 1: speedlab is faster than PyTorch's best",
        batch=BATCH,
        workers=WORKERS,
        goal=GOAL,
        rows=rows,
    )
    pathlib.Path(args.out).write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten: {args.out}")


def make_jpegs(folder):
    """Smooth pictures with some grain, 320 x 240 and 240 x 320 pixels, as cameras' thumbnails are."""
    import numpy
    import PIL.Image

    random = numpy.random.default_rng(0)
    for index in range(JPEGS):
        width, height = (320, 240) if index % 2 else (240, 320)
        coarse = random.integers(0, 256, (6, 6, 3), dtype=numpy.uint8)
        smooth = PIL.Image.fromarray(coarse, "RGB").resize((width, height), PIL.Image.Resampling.BICUBIC)
        grain = random.normal(0, 6, (height, width, 3))
        pixels = numpy.clip(numpy.asarray(smooth) + grain, 0, 255).astype(numpy.uint8)
        path = folder / f"class{index % CLASSES}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels, "RGB").save(path, quality=90)


def batches(args, name, images, source, kind, count, cache=None):
    """Batches of images that both sides have seen before."""
    sides = {"speedlab": Speedlab(args, images, count // BATCH, cache)}
    for way in WAYS[kind]:
        sides[f"torch {way}"] = Process([sys.executable, __file__, "--worker", json.dumps([kind, way, source])], LIMITS)
    for process in sides.values():
        process.round()  # warms up: files into memory, workers started
    answers = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, process in sides.items():
            answers[side].append(process.round())
    for process in sides.values():
        process.end()
    return row(name, count, answers)


def first_pass(args, name, images, source, cache):
    """Everything from the files: speedlab decodes the folder into an empty cache and makes one epoch of batches."""
    count = JPEGS - HELD_OUT
    torch = Process([sys.executable, __file__, "--worker", json.dumps(["jpeg", WAYS["jpeg"][0], source])], LIMITS)
    torch.round()
    answers = {"speedlab": [], f"torch {WAYS['jpeg'][0]}": []}
    for _ in range(args.rounds):
        shutil.rmtree(cache)
        speedlab = Speedlab(args, images, count // BATCH, cache)
        answer = speedlab.round()
        speedlab.end()
        answers["speedlab"].append(answer | dict(seconds=answer["seconds"] + speedlab.head["load_seconds"]))
        answers[f"torch {WAYS['jpeg'][0]}"].append(torch.round())
    torch.end()
    return row(name, count, answers)


def row(name, count, answers):
    first = answers["speedlab"][0]
    for side, rounds in answers.items():
        for answer in rounds:
            # Decoders and resizers round in ways of their own: by up to 2 of 255 on average.
            close = abs(answer["corner_sum"] - first["corner_sum"]) <= count * 2 / 127.5
            if answer["label_sum"] != first["label_sum"] or not close:
                sys.exit(f"error: {name}: {side} made other images than speedlab: {answer} and {first}")
    speeds = {side: [count / answer["seconds"] for answer in rounds] for side, rounds in answers.items()}
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    best = max((side for side in medians if side != "speedlab"), key=medians.get)
    found = dict(
        row=name,
        images=count,
        images_per_second={side: round(value) for side, value in medians.items()},
        slowest_and_fastest={side: [round(min(values)), round(max(values))] for side, values in speeds.items()},
        rounds=len(answers["speedlab"]),
        best_torch=best,
        ratio=round(medians["speedlab"] / medians[best], 2),
    )
    shown = ", ".join(f"{side} {value:,.0f}/s" for side, value in medians.items())
    print(f"{name}: {shown}; {found['ratio']:.1f}x (goal {GOAL:.0f}x)", flush=True)
    return found


class Speedlab(Process):
    """An epoch of batches is a round: the images are a whole number of batches."""

    def __init__(self, args, images, batches, cache):
        command = [args.speedlab, "bench-data", "--wait", "--images", json.dumps(images)]
        command += ["--batch", str(BATCH), "--batches", str(batches)]
        super().__init__(command + (["--data-dir", str(cache)] if cache else []), LIMITS)


def work(job):
    """A competitor: says that it is ready, then makes an epoch of batches for each line of its standard input."""
    import torch
    import torchvision

    kind, way, source = job
    loader = torch.utils.data.DataLoader(
        cifar_dataset(source, way) if kind == "cifar10" else folder_dataset(torch, torchvision, source),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        drop_last=True,
        collate_fn=as_they_are if way == "tensors" else None,
    )
    print("{}", flush=True)
    for _ in sys.stdin:
        images, label_sum, corner_sum = 0, 0, 0.0
        start = time.perf_counter()
        for pixels, labels in loader:
            images += len(labels)
            label_sum += int(labels.sum())
            corner_sum += float(pixels[:, 0, 0, 0].sum())
        seconds = time.perf_counter() - start
        print(json.dumps(dict(seconds=seconds, images=images, label_sum=label_sum, corner_sum=corner_sum)), flush=True)


def as_they_are(batch):
    return batch


def cifar_dataset(folder, way):
    """The binary version in memory, as torchvision keeps CIFAR10; `PIL images` is what its class does for an item."""
    import numpy
    import PIL.Image
    import torch
    from torchvision import transforms

    records = [numpy.fromfile(f"{folder}/data_batch_{number}.bin", numpy.uint8) for number in range(1, 6)]
    records = numpy.concatenate(records).reshape(-1, 3073)
    labels = records[:, 0].astype(int).tolist()
    planes = records[:, 1:].reshape(-1, 3, 32, 32)

    class PilImages(torch.utils.data.Dataset):
        def __init__(self):
            self.pixels = numpy.ascontiguousarray(planes.transpose(0, 2, 3, 1))
            self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])

        def __len__(self):
            return len(labels)

        def __getitem__(self, index):
            return self.transform(PIL.Image.fromarray(self.pixels[index])), labels[index]

    class Tensors(torch.utils.data.Dataset):
        def __init__(self):
            self.pixels, self.labels = torch.from_numpy(planes.copy()), torch.tensor(labels)

        def __len__(self):
            return len(labels)

        def __getitems__(self, indices):
            """A batch at once, which is as fast as a DataLoader gets."""
            indices = torch.tensor(indices)
            return self.pixels[indices].float() / 127.5 - 1, self.labels[indices]

    return Tensors() if way == "tensors" else PilImages()


def folder_dataset(torch, torchvision, folder):
    """torchvision's ImageFolder without the images that speedlab holds out."""
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(SIDE),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
    images = torchvision.datasets.ImageFolder(folder, prepare)
    held_out = lambda index: (index + 1) * HELD_OUT // JPEGS > index * HELD_OUT // JPEGS
    return torch.utils.data.Subset(images, [index for index in range(JPEGS) if not held_out(index)])


main()
