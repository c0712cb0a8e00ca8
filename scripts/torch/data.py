"""The images of a run, and which of them make the batch of a step (src/data/)."""

import json
import os
import pathlib

import numpy as np

import draws

HERE = pathlib.Path(__file__).resolve().parent
# Beside this file where Speedlab has unpacked it, else in its sources.
DIGITS = HERE / "digits.bin" if (HERE / "digits.bin").is_file() else HERE.parents[1] / "src/data/digits.bin"
# (channels, side, classes).
SHAPES = {"digits": (1, 8, 10), "mnist": (1, 28, 10), "fashion_mnist": (1, 28, 10), "cifar10": (3, 32, 10)}
INK, HELD_OUT_EVERY = 16, 5
MAGIC, HEADER_BYTES = b"speedlab images\n", 4096


class Images:
    """Bytes `[n, channels, side, side]` that stand for pixels in [-1, 1], and the class of each image."""

    def __init__(self, pixels, labels, largest):
        self.bytes, self.labels = pixels, labels
        self._half = np.float32(largest / 2)

    def __len__(self):
        return len(self.labels)

    def pixels(self, indices):
        """Float32, each value in [-1, 1]."""
        return self.bytes[indices].astype(np.float32) / self._half - np.float32(1)


def load(kind, folder=None):
    """The training images and the held-out ones."""
    return digits() if kind == "digits" else decoded(kind, data_folder(folder))


def digits():
    """The digits that come with Speedlab; each fifth of a label is held out."""
    records = np.fromfile(DIGITS, np.uint8).reshape(-1, 65)
    pixels, labels = records[:, :64].reshape(-1, 1, 8, 8), records[:, 64].astype(np.int64)
    seen, held_out = [0] * 10, np.zeros(len(labels), bool)
    for index, label in enumerate(labels):
        seen[label] += 1
        held_out[index] = seen[label] % HELD_OUT_EVERY == 0
    return [Images(pixels[part], labels[part], INK) for part in (~held_out, held_out)]


def data_folder(folder=None):
    """Where Speedlab keeps its images: `folder`, else SPEEDLAB_DATA, else the user's cache."""
    if folder or os.environ.get("SPEEDLAB_DATA"):
        return pathlib.Path(folder or os.environ["SPEEDLAB_DATA"])
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "speedlab/data"


def decoded(kind, folder):
    """A public set, from the file that Speedlab decoded it to (src/data/decoded.rs)."""
    channels, side, _ = SHAPES[kind]
    paths = list((folder / "decoded").glob(f"{kind}-{channels}x{side}x{side}-*.images"))
    if not paths:
        raise SystemExit(
            f"error: no decoded {kind} images in {folder}/decoded\n"
            f"hint: `speedlab data fetch {kind}`, and begin a run of Speedlab's own on them once"
        )
    bytes_ = np.memmap(max(paths, key=os.path.getmtime), np.uint8, "r")
    header = json.loads(bytes(bytes_[len(MAGIC) : HEADER_BYTES]))
    train, test = header["train"]["images"], header["test"]["images"]
    values = channels * side * side
    pixels = bytes_[HEADER_BYTES:][: (train + test) * values].reshape(-1, channels, side, side)
    labels = bytes_[HEADER_BYTES + (train + test) * values :].view("<u2").astype(np.int64)
    return [Images(pixels[part], labels[part], 255) for part in (slice(train), slice(train, train + test))]


class BatchOrder:
    """Which images make each batch: epochs laid end to end, each a random order, and cut into batches."""

    def __init__(self, image_count, seed):
        self.image_count, self.seed = image_count, seed
        self._kept = {}

    def indices(self, first, batch_size):
        """Those of a batch of `batch_size` after `first` images."""
        places = np.arange(first, first + batch_size)
        epochs, offsets = places // self.image_count, places % self.image_count
        return np.concatenate([self._epoch(epoch)[offsets[epochs == epoch]] for epoch in np.unique(epochs).tolist()])

    def _epoch(self, epoch):
        order = self._kept.get(epoch)
        if order is None:
            order = draws.Draws(self.seed, draws.BATCH_ORDER, epoch).permutation(self.image_count)
            # Steps may be drawn ahead by several threads, so that two epochs are in use.
            near = {kept: value for kept, value in list(self._kept.items()) if abs(kept - epoch) <= 1}
            self._kept = near | {epoch: order}
        return order


def batch_pixels(images, indices, flips, seed, step):
    """`[batch, channels, side, side]`; with `flips` each image is mirrored with probability one half."""
    pixels = images.pixels(indices)
    if flips:
        mirrored = draws.Draws(seed, draws.FLIPS, step).words(len(indices)) >> np.uint64(31) == 1
        pixels[mirrored] = pixels[mirrored][..., ::-1]
    return pixels


def batch_classes(labels, dropout, none, seed, step):
    """The class of each image of a batch, `none` with probability `dropout`."""
    dropped = draws.Draws(seed, draws.CLASS_DROPOUT, step).uniforms(len(labels)) < dropout
    return np.where(dropped, none, labels)
