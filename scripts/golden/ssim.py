"""Makes tests/golden/ssim.json: structural similarity computed by scikit-image.

    pip install scikit-image==0.25.2 numpy==2.2.6
    python3 scripts/golden/ssim.py

The images come from a formula that the test in src/report/consistency/ssim.rs repeats, so that only the values are stored.
scikit-image is asked for what Wang et al. (2004) use: a Gaussian window and the biased covariance. Its window is 11 x 11 for
the paper's deviation of 1.5 pixels; for images smaller than that the deviation is reduced in proportion to the largest odd
window that fits, and scikit-image's rule for the radius gives just this window, which is checked here.
"""

import json
import math
import pathlib

import numpy
from skimage.metrics import structural_similarity

# channels, side, first and second seed, share of the first that is mixed into the second
CASES = [
    (1, 28, 1, 2, 0.0),
    (1, 28, 3, 4, 0.7),
    (3, 32, 5, 6, 0.4),
    (1, 11, 7, 8, 0.5),
    (1, 10, 9, 10, 0.5),
    (1, 8, 11, 12, 0.8),
    (3, 3, 13, 14, 0.3),
]


def levels(seed, count):
    def level(index):
        share = (index + 1) * (2 * seed + 1) * 40503 % 65536 / 65536
        return math.floor(127.5 + 60 * math.sin(0.35 * index + seed) + 67.5 * (2 * share - 1) + 0.5)

    return numpy.array([level(index) for index in range(count)], dtype=numpy.float64)


def main():
    cases = []
    for channels, side, first, second, share in CASES:
        window = min(11, side - 1 + side % 2)
        deviation = 1.5 * window / 11
        assert 2 * int(3.5 * deviation + 0.5) + 1 == window
        count = channels * side * side
        one = levels(first, count)
        other = numpy.floor(share * one + (1 - share) * levels(second, count) + 0.5)
        ssim = structural_similarity(
            one.reshape(channels, side, side),
            other.reshape(channels, side, side),
            gaussian_weights=True,
            sigma=deviation,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=0,
        )
        cases.append(
            {"channels": channels, "side": side, "window": window, "first": first, "second": second, "share": share, "ssim": ssim}
        )
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "ssim.json"
    path.write_text(json.dumps({"cases": cases}, indent=1) + "\n")


main()
