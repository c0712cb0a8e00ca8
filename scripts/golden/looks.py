"""Writes tests/golden/looks.json: the constant level at which all looks at paired seeds together err in 5 % of studies.

    pip install numpy==2.4.6 scipy==1.17.1
    python scripts/golden/looks.py          # from the root of the repository

Two million studies without any effect a case, by numpy's generator and scipy's t.
"""
import json
import pathlib

import numpy as np
from scipy import stats

STUDIES = 2_000_000
CASES = ([3, 5, 8, 12, 20], list(range(3, 21)), list(range(5, 13)), [4, 8])


def smallest(looks, generator, studies):
    values = generator.standard_normal((studies, looks[-1]))
    least = np.ones(studies)
    for look in looks:
        part = values[:, :look]
        t = part.mean(axis=1) / (part.std(axis=1, ddof=1) / np.sqrt(look))
        least = np.minimum(least, 2 * stats.t.sf(np.abs(t), look - 1))
    return least


def main():
    generator = np.random.default_rng(20261129)
    cases = []
    for looks in CASES:
        least = np.concatenate([smallest(looks, generator, STUDIES // 20) for _ in range(20)])
        levels = [float(np.quantile(least, 0.05 / comparisons)) for comparisons in range(1, 5)]
        cases.append(dict(looks=looks, levels=levels))
    pathlib.Path("tests/golden/looks.json").write_text(json.dumps(dict(cases=cases), indent=1) + "\n")


main()
