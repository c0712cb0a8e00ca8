"""Makes tests/golden/band.json: speedups over a band of qualities from fitted curves, by numpy, scipy and statsmodels.

    python scripts/golden/band.py > tests/golden/band.json     (numpy, scipy 1.12 or later, statsmodels)

The estimator is src/report/band/: a local linear fit of ln(metric) on ln(images), made non-increasing, crossed at 12 qualities.
"""

import json

import numpy as np
import scipy
import statsmodels
from scipy import stats
from scipy.optimize import isotonic_regression
from statsmodels.stats.multitest import multipletests

generator = np.random.default_rng(20261127)
BANDWIDTH, REACH, TARGETS, FROM, TO = 0.35, 0.6, 12, 0.30, 0.75


def fitted(images, values):
    x, y = np.log(images), np.log(values)
    smooth = []
    for center in x:
        bandwidth = max(BANDWIDTH, REACH * np.sort(np.abs(x - center))[2])
        weight = np.exp(-0.5 * ((x - center) / bandwidth) ** 2)
        # polyfit weighs residuals, not squares.
        smooth.append(np.polyval(np.polyfit(x - center, y, 1, w=np.sqrt(weight)), 0.0))
    return x, isotonic_regression(smooth, increasing=False).x


def fitted_for_the_end(images, values):
    """By parabolas, for the last quality that both arms reach (src/report/band/end_fit.rs)."""
    x, y = np.log(images), np.log(values)
    smooth = []
    for center in x:
        bandwidth = max(0.5, 0.6 * np.sort(np.abs(x - center))[3])
        weight = np.exp(-0.5 * ((x - center) / bandwidth) ** 2)
        smooth.append(np.polyval(np.polyfit(x - center, y, 2, w=np.sqrt(weight)), 0.0))
    return x, isotonic_regression(smooth, increasing=False).x


def crossing(curve, target):
    x, y = curve
    index = int(np.argmax(y <= target))
    assert index > 0 and y[index] <= target, "made so that every run passes the band"
    return float(np.interp(-target, -y[index - 1 : index + 1], x[index - 1 : index + 1]))


def run(speed, images, seed_shift):
    progress = speed * images / images[-1] * np.exp(seed_shift)
    fid = 1.0 + 0.3 / progress
    return [float(f"{value:.6g}") for value in fid * np.exp(0.02 * generator.standard_normal(len(images)))]


studies = []
for seeds, evaluations, speed in [(3, 20, 1.0), (3, 20, 1.3), (5, 12, 2.0), (8, 30, 0.8), (2, 8, 1.1)]:
    images = 1000.0 * np.arange(1, evaluations + 1)
    shifts = 0.08 * generator.standard_normal(seeds)
    shifts_of = lambda: shifts + 0.04 * generator.standard_normal(seeds)
    arms = {name: [run(of, images, shift) for shift in shifts_of()] for name, of in [("baseline", 1.0), ("candidate", speed)]}
    curves = {name: [fitted(images, values) for values in runs] for name, runs in arms.items()}
    at = lambda share: np.median([np.interp(np.log(share * images[-1]), *curve) for curve in curves["baseline"]])
    targets = np.linspace(at(FROM), at(TO), TARGETS)
    times = {
        name: np.array([np.mean([crossing(curve, target) for target in targets]) for curve in of])
        for name, of in curves.items()
    }
    ends = {name: [fitted_for_the_end(images, values) for values in runs] for name, runs in arms.items()}
    last = {name: np.array([y[-1] for _, y in of]) for name, of in ends.items()}
    own = np.maximum(last["baseline"], last["candidate"])
    worst = np.full(seeds, own.max())
    expected = {}
    for kind, to in [("paired", own), ("welch", worst)]:
        first, second = [np.array([crossing(*pair) for pair in zip(ends[name], to)]) for name in ("baseline", "candidate")]
        test = stats.ttest_rel if kind == "paired" else lambda one, other: stats.ttest_ind(one, other, equal_var=False)
        interval = np.exp(test(first, second).confidence_interval(0.95))
        ratio = np.exp(np.mean(first) - np.mean(second))
        expected["last_" + kind] = dict(value=np.exp(np.median(to)), speedup=ratio, low=interval[0], high=interval[1])
    for kind, result in [
        ("paired", stats.ttest_rel(times["baseline"], times["candidate"])),
        ("welch", stats.ttest_ind(times["baseline"], times["candidate"], equal_var=False)),
    ]:
        interval = np.exp(result.confidence_interval(0.95))
        ratio = np.exp(np.mean(times["baseline"]) - np.mean(times["candidate"]))
        expected[kind] = dict(speedup=ratio, low=interval[0], high=interval[1], p=result.pvalue)
    studies.append(dict(images=list(images), **arms, targets=list(np.exp(targets)), **expected))

p_values = [0.0006, 0.0148, 0.31, 0.8, 0.0148, 1e-9]
holm = [dict(p=p_values[:count], adjusted=list(multipletests(p_values[:count], method="holm")[1])) for count in (1, 2, 4, 6)]
versions = dict(numpy=np.__version__, scipy=scipy.__version__, statsmodels=statsmodels.__version__)
print(json.dumps(dict(versions=versions, studies=studies, holm=holm), indent=1, default=float))
