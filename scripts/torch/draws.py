"""Speedlab's random draws (src/random.rs) in numpy: Philox4x32-10, a function of (seed, stream, step).

The bits, and so all uniforms and permutations, are the same. Normals are made in float64 by numpy's logarithm, sine and cosine,
whose last bit may differ from the C library's; rounded to float32 that shows about once in a hundred million numbers.
"""

import math

import numpy as np

# src/random.rs: Stream.
WEIGHTS, BATCH_ORDER, NOISE, TIMESTEPS, FLIPS, DROPOUT = 1, 2, 3, 4, 5, 6
EVALUATION_NOISE, VALIDATION, PATCHES, GENERATION_NOISE, CLASS_DROPOUT = 7, 8, 9, 16, 20

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85


def philox(blocks, seed, stream, step):
    """The words of `blocks` (uint64) as uint64 below 2^32, four in a new last dimension. `step` may be an array beside `blocks`."""
    key = [seed & 0xFFFFFFFF, seed >> 32]
    step = np.asarray(step, np.uint64)
    a, b, c, d = np.broadcast_arrays(np.asarray(blocks, np.uint64), np.uint64(stream), step & LOW, step >> SHIFT)
    for _ in range(10):
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (
            (second >> SHIFT) ^ b ^ np.uint64(key[0]),
            second & LOW,
            (first >> SHIFT) ^ d ^ np.uint64(key[1]),
            first & LOW,
        )
        key = [(part + more) & 0xFFFFFFFF for part, more in zip(key, KEY_STEPS)]
    return np.stack([a, b, c, d], -1)


def to_uniforms(words):
    """Pairs of words as numbers in [0, 1), multiples of 2^-53."""
    return (((words[..., 0::2] << SHIFT) | words[..., 1::2]) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def to_normals(words, count):
    """Standard normals in float32, two of each four words."""
    uniforms = to_uniforms(words)
    radius = np.sqrt(-2.0 * np.log(1.0 - uniforms[..., 0::2]))
    angle = 2.0 * math.pi * uniforms[..., 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return pairs.reshape(*pairs.shape[:-2], -1)[..., :count].astype(np.float32)


class Draws:
    """The draws of one (seed, stream, step), in order."""

    def __init__(self, seed, stream, step):
        self._origin = seed, stream, step
        self._used = 0

    def words(self, count):
        """`count` numbers of 32 uniform bits, as uint64."""
        first, last = self._used // 4, -(-(self._used + count) // 4)
        words = philox(np.arange(first, last, dtype=np.uint64), *self._origin).reshape(-1)
        start = self._used - 4 * first
        self._used += count
        return words[start : start + count]

    def uniforms(self, count):
        """`count` numbers in [0, 1)."""
        return to_uniforms(self.words(2 * count))

    def normals(self, count):
        """`count` standard normals in float32 (Box-Muller)."""
        return to_normals(self.words(4 * -(-count // 2)), count)

    def below(self, bound):
        """A number below `bound` without bias (Lemire 2019, by rejection)."""
        threshold = (2**32 - bound) % bound
        while True:
            product = int(self.words(1)[0]) * bound
            if product & 0xFFFFFFFF >= threshold:
                return product >> 32

    def subsets(self, sets, count, size):
        """For each of `sets` sets the places of the `size` smallest of `count` random words, in increasing order, as int64."""
        words = self.words(sets * count).reshape(sets, count)
        return np.sort(np.argsort(words, 1, kind="stable")[:, :size], 1)

    def permutation(self, count):
        """A random order of 0..count (Fisher-Yates), as int64."""
        if count < 2:
            return np.arange(count)
        bounds = np.arange(count, 1, -1, dtype=np.uint64)
        start = self._used
        products = self.words(count - 1) * bounds
        others = (products >> SHIFT).tolist()
        if np.any((products & LOW) < (np.uint64(2**32) - bounds) % bounds):
            self._used = start  # one of them is drawn again, and so are all that follow
            others = [self.below(int(bound)) for bound in bounds]
        order = list(range(count))
        for last, other in zip(range(count - 1, 0, -1), others):
            order[last], order[other] = order[other], order[last]
        return np.array(order)


def image_normals(seed, stream, steps, values):
    """Standard normals `[len(steps), values]` in float32: an image for each step of a stream."""
    blocks = np.arange(-(-values // 2), dtype=np.uint64)
    words = philox(blocks[None], seed, stream, np.asarray(steps, np.uint64)[:, None])
    return to_normals(words.reshape(len(steps), -1), values)
