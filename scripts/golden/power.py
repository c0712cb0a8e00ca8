"""Writes tests/golden/power.json: the least number of pairs at which a paired t test has a power of 80 %.

    pip install statsmodels==0.14.6 scipy==1.17.0
    python scripts/golden/power.py          # from the root of the repository

By the noncentral t, in scipy; statsmodels' TTestPower agrees where its quadrature converges.
"""
import json
import math
import pathlib

from scipy import stats
from statsmodels.stats.power import TTestPower


def power(effect, n, level):
    bound = stats.t.ppf(1 - level / 2, n - 1)
    shift = effect * math.sqrt(n)
    return stats.nct.sf(bound, n - 1, shift) + stats.nct.cdf(-bound, n - 1, shift)


def main():
    cases = []
    for level in (0.05, 0.05 / 4):
        for effect in (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0):
            seeds = next(n for n in range(2, 1000) if power(effect, n, level) >= 0.8)
            assert abs(TTestPower().power(effect, seeds, level) - power(effect, seeds, level)) < 1e-3
            cases.append(dict(effect=effect, level=level, seeds=seeds))
    pathlib.Path("tests/golden/power.json").write_text(json.dumps(dict(cases=cases), indent=1) + "\n")


main()
