"""The sizes of a run's steps (src/spec/schedules.rs): images of a batch, and their side."""

import math

import numpy as np


class Sizes:
    """Of the `train` of a spec, on images of `full_side` pixels."""

    def __init__(self, train, full_side):
        self.full_side, self._last = full_side, train["batch_size"]
        end = lambda stage: min(math.floor(stage["until"] * train["steps"] + 0.5), max(train["steps"] - 1, 0))
        self._batches = [(end(stage), stage["batch_size"]) for stage in train["batch_schedule"]]
        self._sides = [(end(stage), stage["side"]) for stage in train["resolution_schedule"]]

    def batch(self, step):
        """Images of the step after `step` steps."""
        return next((size for end, size in self._batches if step < end), self._last)

    def images(self, steps):
        """Images of the first `steps` steps together."""
        total, start = 0, 0
        for end, size in [*self._batches, (steps, self._last)]:
            stop = max(min(end, steps), start)
            total, start = total + (stop - start) * size, stop
        return total

    def side(self, step):
        """The side of the images of the step after `step` steps."""
        return next((side for end, side in self._sides if step < end), self.full_side)

    def starts(self, step):
        """`step`, and the later steps from which on steps are of another size."""
        return sorted({step} | {end for end, _ in self._batches + self._sides if end > step})


def smaller(images, side):
    """Images `[n, channels, full side, full side]` whose pixels are means of squares of pixels."""
    n, channels, full, _ = images.shape
    if side == full:
        return images
    squares = images.reshape(n, channels, side, full // side, side, full // side)
    return squares.astype(np.float64).mean((3, 5)).astype(np.float32)
