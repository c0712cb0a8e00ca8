"""Writes tests/golden/performance_profile.json: the share of grid points at which an arm takes at most a factor r as long as the
fastest, and AlgoPerf's score, which is that share averaged over r from 1 to 4 (Dahl et al. 2023, arXiv 2306.07179).

    pip install rliable==1.2.0 "pandas<3"
    python scripts/golden/performance_profile.py          # from the root of the repository
"""
import json
import pathlib

import numpy as np
from rliable import library

HOPELESS = 4.0


def shares(ratios, factors):
    """rliable's run-score distribution is the share of scores above tau."""
    scores = np.array([np.where(np.isfinite(ratios), ratios, 1e9)])
    above, _ = library.create_performance_profile({"arm": scores}, np.array(factors), reps=2)
    return 1.0 - above["arm"]


def main():
    rng = np.random.default_rng(20261129)
    factors = sorted([1.0, 1.5, 2.0, 4.0, *rng.uniform(1.0, 5.0, 21)])
    times = np.exp(rng.normal(0.0, 0.5, (4, 9)))
    times[2, 3] = np.inf
    times[3, [0, 4, 8]] = np.inf
    arms = []
    for ratios in times / times.min(axis=0):
        # The share is constant between ratios, so that its value in the middle of each piece integrates it exactly.
        ends = np.unique(np.clip(np.concatenate([ratios, [1.0, HOPELESS]]), 1.0, HOPELESS))
        of_pieces = shares(ratios, (ends[1:] + ends[:-1]) / 2)
        score = float(np.sum(of_pieces * np.diff(ends)) / (HOPELESS - 1.0))
        finite = [float(ratio) if np.isfinite(ratio) else None for ratio in ratios]
        arms.append(dict(ratios=finite, shares=[float(share) for share in shares(ratios, factors)], score=score))
    golden = dict(factors=[float(factor) for factor in factors], arms=arms)
    pathlib.Path("tests/golden/performance_profile.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
