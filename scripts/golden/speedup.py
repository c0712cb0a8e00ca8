"""Makes tests/golden/speedup.json: Student's t quantiles and log-scale intervals of ratios, by scipy.

    python scripts/golden/speedup.py > tests/golden/speedup.json     (numpy and scipy; written with scipy 1.17)
"""

import json

import numpy as np
import scipy
from scipy import stats

generator = np.random.default_rng(20240411)


def times(center, spread, count):
    return [float(f"{value:.6g}") for value in center * np.exp(spread * generator.standard_normal(count))]


paired, welch = [], []
for count, true_ratio in [(2, 1.3), (3, 2.0), (3, 1.0), (5, 2.6), (10, 0.5), (40, 1.1)]:
    baseline = times(1e5, 0.10, count)
    candidate = times(1e5 / true_ratio, 0.10, count)
    result = stats.ttest_rel(np.log(baseline), np.log(candidate))
    low, high = np.exp(result.confidence_interval(0.95))
    ratio = np.exp(np.mean(np.log(baseline) - np.log(candidate)))
    paired.append(dict(baseline=baseline, candidate=candidate, ratio=ratio, low=low, high=high))
for (n, m), true_ratio in [((2, 2), 1.5), ((3, 2), 2.0), ((3, 3), 1.0), ((5, 8), 2.6), ((10, 3), 0.5), ((30, 40), 1.1)]:
    baseline = times(1e5, 0.05, n)
    candidate = times(1e5 / true_ratio, 0.20, m)
    result = stats.ttest_ind(np.log(baseline), np.log(candidate), equal_var=False)
    low, high = np.exp(result.confidence_interval(0.95))
    ratio = np.exp(np.mean(np.log(baseline)) - np.mean(np.log(candidate)))
    welch.append(dict(baseline=baseline, candidate=candidate, ratio=ratio, low=low, high=high))

freedoms = [1, 1.0001, 1.37, 2, 2.5, 3, 4, 5.123, 9, 17.7, 30, 99, 1000.5, 1e4]
quantiles = [dict(freedom=freedom, t=stats.t.ppf(0.975, freedom)) for freedom in freedoms]
print(json.dumps(dict(scipy=scipy.__version__, quantiles=quantiles, paired=paired, welch=welch), indent=1))
