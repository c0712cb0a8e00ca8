"""Makes tests/golden/frechet.json: Fréchet distances computed with numpy and scipy.

    pip install numpy==2.4.6 scipy==1.17.1
    python3 scripts/golden/frechet.py

Features come from an integer hash that tests/integration/evaluate.rs repeats, so that only the distances are stored.
Sets of full rank go through scipy.linalg.sqrtm, as pytorch-fid does. Where a covariance is singular sqrtm is
unreliable; there tr sqrt(S1 S2) is the nuclear norm of X1 X2^T / sqrt((n1 - 1)(n2 - 1)) for centred features X, which
needs no root of a matrix (and agrees with sqrtm where both work: checked below).
"""

import json
import pathlib

import numpy
import scipy.linalg

CASES = [
    # name, dimension, dead (constant) features, offset, first set (stream, rows), second set (stream, rows)
    ("full rank", 8, 0, 0.0, (1, 500), (2, 300)),
    ("as wide as digits-cnn", 64, 0, 0.0, (3, 1000), (4, 1442)),
    ("a mean far from zero", 16, 0, 4096.0, (5, 400), (6, 400)),
    ("fewer images than features", 64, 0, 0.0, (7, 20), (8, 25)),
    ("one set with fewer images than features", 64, 0, 0.0, (9, 30), (10, 700)),
    ("dead features", 24, 9, 0.0, (11, 300), (12, 200)),
]


def uniform(stream, row, column):
    """A multiple of 2^-16 in [0, 1): murmur3's finaliser over the indices."""
    mask = numpy.uint64(0xFFFFFFFF)
    value = (stream * 0x9E3779B9 + row * 0x85EBCA6B + column * 0xC2B2AE35) & 0xFFFFFFFF
    value = value.astype(numpy.uint64)
    for shift, factor in [(16, 0x85EBCA6B), (13, 0xC2B2AE35)]:
        value ^= value >> numpy.uint64(shift)
        value = (value * numpy.uint64(factor)) & mask
    value ^= value >> numpy.uint64(16)
    return (value >> numpy.uint64(16)).astype(numpy.float64) / 65536


def features(dimension, dead, offset, stream, rows):
    """Neighbours correlate, scales differ by column, the mean depends on the stream; f32, as the program's are."""
    row = numpy.arange(rows, dtype=numpy.int64)[:, None]
    column = numpy.arange(dimension, dtype=numpy.int64)[None, :]
    values = uniform(stream, row, column) + uniform(stream, row, column + 1)
    values = values * 2.0 ** (column % 5 - 2) + stream / 8 + offset
    return numpy.where(column < dead, 0.0, values).astype(numpy.float32).astype(numpy.float64)


def distance(first, second, trace_of_root):
    shift = first.mean(0) - second.mean(0)
    covariances = [numpy.cov(values, rowvar=False) for values in (first, second)]
    return float(shift @ shift + sum(map(numpy.trace, covariances)) - 2 * trace_of_root(first, second))


def by_sqrtm(first, second):
    return numpy.trace(scipy.linalg.sqrtm(numpy.cov(first, rowvar=False) @ numpy.cov(second, rowvar=False)).real)


def by_nuclear_norm(first, second):
    roots = [(values - values.mean(0)) / numpy.sqrt(len(values) - 1) for values in (first, second)]
    return numpy.linalg.norm(roots[0] @ roots[1].T, "nuc")


def main():
    cases = []
    for name, dimension, dead, offset, first_set, second_set in CASES:
        first, second = (features(dimension, dead, offset, *one) for one in (first_set, second_set))
        singular = dead > 0 or min(len(first), len(second)) <= dimension
        value = distance(first, second, by_nuclear_norm if singular else by_sqrtm)
        if not singular:
            assert abs(value / distance(first, second, by_nuclear_norm) - 1) < 1e-9, name
        cases.append(
            {"name": name, "dimension": dimension, "dead": dead, "offset": offset, "first": first_set,
             "second": second_set, "by": "nuclear norm" if singular else "scipy.linalg.sqrtm", "distance": value}
        )
    made_with = {"numpy": numpy.__version__, "scipy": scipy.__version__}
    target = pathlib.Path(__file__).parents[2] / "tests/golden/frechet.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"made_with": made_with, "cases": cases}, indent=1) + "\n")
    print(target.read_text())


if __name__ == "__main__":
    main()
