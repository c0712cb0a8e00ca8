"""Makes tests/golden/cmmd.json: CMMD as its authors' code estimates it (distance.py of google-research's cmmd), in float64.

    pip install numpy==2.4.6 scipy==1.17.1
    python3 scripts/golden/cmmd.py

Embeddings come from the integer hash of scripts/golden/frechet.py, which tests/integration/evaluate.rs repeats.
"""

import json
import pathlib

import numpy

from frechet import features

# name, dimension, generated set (stream, rows), reference set (stream, rows)
CASES = [
    ("few", 8, (1, 60), (2, 80)),
    ("more than a block of either set", 24, (3, 600), (4, 1100)),
    ("as wide as CLIP's", 768, (5, 40), (6, 30)),
]


def embeddings(dimension, stream, rows):
    values = features(dimension, 0, -0.5, stream, rows)
    return values / numpy.linalg.norm(values, axis=1, keepdims=True)


def mean_kernel(x, y):
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2.0 * x @ y.T
    return numpy.exp(-squares / (2.0 * 10.0**2)).mean()


def cmmd(x, y):
    return 1000.0 * (mean_kernel(x, x) + mean_kernel(y, y) - 2.0 * mean_kernel(x, y))


def main():
    lines = []
    for name, dimension, generated, reference in CASES:
        value = cmmd(embeddings(dimension, *generated), embeddings(dimension, *reference))
        case = {"name": name, "dimension": dimension, "generated": generated, "reference": reference, "cmmd": value}
        lines.append(json.dumps(case))
    path = pathlib.Path(__file__).parents[2] / "tests/golden/cmmd.json"
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
