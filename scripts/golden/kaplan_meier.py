"""Writes tests/golden/kaplan_meier.json: median times of arms in which some runs never reached the target, and success rates.

    pip install lifelines==0.30.3 statsmodels==0.15.0
    python scripts/golden/kaplan_meier.py          # from the root of the repository
"""
import json
import pathlib

import numpy as np
from lifelines import KaplanMeierFitter
from statsmodels.stats.proportion import proportion_confint


def main():
    generator = np.random.default_rng(20261129)
    medians = []
    for n in (2, 3, 4, 5, 8, 12, 20):
        for _ in range(4):
            # Times on a grid, so that some are equal; some runs are stopped or end before they reach the target.
            times = generator.integers(1, 10, n) * 100.0
            until = np.where(generator.random(n) < 0.3, generator.integers(1, 10, n) * 100.0, 1000.0)
            reached = times <= until
            seen = np.minimum(times, until)
            curve = KaplanMeierFitter().fit(seen, reached).survival_function_["KM_estimate"]
            # `median_survival_time_` takes 0.5000000000000001 for more than a half, which is its rounding.
            below = curve.index[curve <= 0.5 + 1e-9]
            median = float(below[0]) if len(below) else None
            medians.append(dict(times=seen.tolist(), reached=reached.tolist(), median=median))
    rates = []
    for successes, n in ((0, 3), (1, 3), (3, 3), (2, 5), (5, 5), (7, 9), (19, 20)):
        low, high = proportion_confint(successes, n, alpha=0.05, method="wilson")
        rates.append(dict(successes=successes, n=n, low=float(low), high=float(high)))
    text = json.dumps(dict(medians=medians, rates=rates), indent=1)
    pathlib.Path("tests/golden/kaplan_meier.json").write_text(text + "\n")


main()
