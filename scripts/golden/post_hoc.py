"""Writes tests/golden/post_hoc.json: factors of post-hoc averages, by numpy, from the equations of arXiv 2312.02696.

    pip install numpy
    python scripts/golden/post_hoc.py

Profiles of sigma_rel 0.05 and 0.1 are kept every so many steps. gamma is the largest root of the paper's cubic. The inner products of profiles are
integrals over time, here by Gauss-Legendre quadrature and not by their closed form.
"""

import json
from pathlib import Path

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
CASES = [(100, 800, 800, 0.03), (100, 800, 800, 0.15), (100, 800, 650, 0.08), (250, 1000, 1000, 0.2)]


def gamma(sigma_rel):
    precision = sigma_rel**-2
    return np.roots([1, 7, 16 - precision, 12 - precision]).real.max()


def inner_product(one, other):
    (t, s), (u, r) = one, other
    end = min(t, u)
    time = end * (NODES + 1) / 2
    profile = lambda step, sigma_rel: (gamma(sigma_rel) + 1) / step * (time / step) ** gamma(sigma_rel)
    return end / 2 * (WEIGHTS * profile(t, s) * profile(u, r)).sum()


def factors(every, last, step, sigma_rel):
    kept = [(t, s) for t in range(every, last + 1, every) for s in (0.05, 0.1)]
    products = np.array([[inner_product(one, other) for other in kept] for one in kept])
    found = np.linalg.solve(products, [inner_product(one, (step, sigma_rel)) for one in kept])
    return (found / found.sum()).tolist()


golden = [
    dict(every=every, last=last, step=step, sigma_rel=sigma_rel, factors=[round(f, 12) for f in factors(every, last, step, sigma_rel)])
    for every, last, step, sigma_rel in CASES
]
path = Path(__file__).parents[2] / "tests/golden/post_hoc.json"
path.write_text(json.dumps(golden, separators=(",", ":")).replace("},{", "},\n{") + "\n")
