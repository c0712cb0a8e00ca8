"""Writes tests/golden/noise_schedules.json: alpha-bar of the noise schedules, in 50 digits by mpmath.

    pip install mpmath torch diffusers
    python scripts/golden/noise_schedules.py

Computed from the papers' formulas (arXiv 2006.11239 section 4, arXiv 2102.09672 equation 17, Stable Diffusion's code, arXiv
2301.10972 algorithm 1) and checked here against diffusers' DDPMScheduler, whose tables are float32, where it has the schedule
with these settings.
"""

import json
from pathlib import Path

from diffusers import DDPMScheduler
from mpmath import cos, exp, mp, mpf, pi, sqrt

mp.dps = 50


def cumulative(betas):
    product, alpha_bar = mpf(1), []
    for beta in betas:
        product *= 1 - beta
        alpha_bar.append(product)
    return alpha_bar


def linear(timesteps, beta_start, beta_end):
    start, end = mpf(beta_start), mpf(beta_end)
    return cumulative(start + (end - start) * t / (timesteps - 1) for t in range(timesteps))


def cosine(timesteps, offset, beta_max):
    f = lambda t: cos((mpf(t) / timesteps + mpf(offset)) / (1 + mpf(offset)) * pi / 2) ** 2
    return cumulative(min(1 - f(t + 1) / f(t), mpf(beta_max)) for t in range(timesteps))


def scaled_linear(timesteps, beta_start, beta_end):
    start, end = sqrt(mpf(beta_start)), sqrt(mpf(beta_end))
    return cumulative((start + (end - start) * t / (timesteps - 1)) ** 2 for t in range(timesteps))


def sigmoid(timesteps, start, end, tau, beta_max):
    logistic = lambda v: 1 / (1 + exp(-v))
    first, last = logistic(mpf(start) / mpf(tau)), logistic(mpf(end) / mpf(tau))
    gamma = lambda u: (last - logistic((mpf(start) + u * (mpf(end) - mpf(start))) / mpf(tau))) / (last - first)
    alpha_bar = cumulative(
        min(1 - gamma(mpf(t + 1) / timesteps) / gamma(mpf(t) / timesteps), mpf(beta_max)) for t in range(timesteps)
    )
    # Where no beta is cut, the product is the paper's function itself.
    assert abs(alpha_bar[timesteps // 2] / gamma(mpf(timesteps // 2 + 1) / timesteps) - 1) < mpf(10) ** -40
    return alpha_bar


cases = []
for timesteps, beta_start, beta_end in [(1000, 1e-4, 0.02), (50, 1e-3, 0.4)]:
    alpha_bar = linear(timesteps, beta_start, beta_end)
    spec = {"kind": "linear", "timesteps": timesteps, "beta_start": beta_start, "beta_end": beta_end}
    theirs = DDPMScheduler(timesteps, beta_start, beta_end, "linear").alphas_cumprod
    cases.append((spec, alpha_bar, theirs))
for timesteps, offset, beta_max in [(1000, 0.008, 0.999), (64, 0.008, 0.999), (100, 0.02, 0.5)]:
    alpha_bar = cosine(timesteps, offset, beta_max)
    spec = {"kind": "cosine", "timesteps": timesteps, "offset": offset, "beta_max": beta_max}
    ours_only = (offset, beta_max) != (0.008, 0.999)
    theirs = None if ours_only else DDPMScheduler(timesteps, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    cases.append((spec, alpha_bar, theirs))
for timesteps, beta_start, beta_end in [(1000, 0.00085, 0.012), (64, 0.01, 0.3)]:
    alpha_bar = scaled_linear(timesteps, beta_start, beta_end)
    spec = {"kind": "scaled_linear", "timesteps": timesteps, "beta_start": beta_start, "beta_end": beta_end}
    theirs = DDPMScheduler(timesteps, beta_start, beta_end, "scaled_linear").alphas_cumprod
    cases.append((spec, alpha_bar, theirs))
for timesteps, start, end, tau, beta_max in [
    (1000, -3.0, 3.0, 1.0, 0.999),
    (1000, 0.0, 3.0, 0.3, 0.999),
    (64, -3.0, 3.0, 1.1, 0.9),
    (1000, -20.0, 20.0, 1.0, 0.999),
]:
    alpha_bar = sigmoid(timesteps, start, end, tau, beta_max)
    spec = {"kind": "sigmoid", "timesteps": timesteps, "start": start, "end": end, "tau": tau, "beta_max": beta_max}
    cases.append((spec, alpha_bar, None))

golden = []
for spec, alpha_bar, theirs in cases:
    if theirs is not None:
        assert len(theirs) == len(alpha_bar)
        # Relative: a beta near 1 costs float32 three digits of 1 - beta.
        assert all(abs(float(a) / float(b) - 1) < 2e-3 for a, b in zip(theirs, alpha_bar)), spec
    chosen = sorted({*range(0, len(alpha_bar), 37), 1, len(alpha_bar) - 2, len(alpha_bar) - 1})
    golden.append({"noise_schedule": spec, "t": chosen, "alpha_bar": [float(alpha_bar[t]) for t in chosen]})

path = Path(__file__).parents[2] / "tests/golden/noise_schedules.json"
path.write_text(json.dumps(golden, indent=1) + "\n")
