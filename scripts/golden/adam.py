"""Writes tests/golden/adam.json: 50 steps of Adam, with fixed and with moving beta1.

    pip install numpy torch
    python scripts/golden/adam.py

`fixed`: torch.optim.Adam in float64. `moving`: Demon's beta1 with MDLRC's learning rate over 50 planned steps, worked out in
numpy without Adam's recursions: the moments are sums over all past gradients, the bias correction is the sum of their factors.
"""

import json
from pathlib import Path

import numpy
import torch

STEPS, PARAMETERS, LR, BETA1, BETA2, EPSILON = 50, 6, 1e-3, 0.9, 0.999, 1e-8

generator = numpy.random.default_rng(1)
# float32 values, so that both sides start from the same numbers; of very different size, one of them sparse.
scales = numpy.array([1.0, 1e-3, 1e2, 1e-6, 0.1, 1.0])
gradients = (generator.standard_normal((STEPS, PARAMETERS)) * scales).astype(numpy.float32)
gradients[:, 5] *= numpy.arange(STEPS) % 10 == 3
initial = (0.1 * generator.standard_normal(PARAMETERS)).astype(numpy.float32)

weights = torch.tensor(initial, dtype=torch.float64, requires_grad=True)
adam = torch.optim.Adam([weights], lr=LR, betas=(BETA1, BETA2), eps=EPSILON)
fixed = []
for gradient in gradients:
    weights.grad = torch.tensor(gradient, dtype=torch.float64)
    adam.step()
    fixed.append(weights.detach().tolist())

moving, beta1s, learning_rates = [], [], []
w = initial.astype(numpy.float64)
for step in range(STEPS):
    tau = step / STEPS
    beta1s.append(BETA1 * (1 - tau) / ((1 - BETA1) + BETA1 * (1 - tau)))
    learning_rates.append(LR * (1 - BETA1) / (1 - beta1s[-1]))
    first_factors = numpy.array([(1 - beta1s[i]) * numpy.prod(beta1s[i + 1 :]) for i in range(step + 1)])
    second_factors = numpy.array([(1 - BETA2) * BETA2 ** (step - i) for i in range(step + 1)])
    past = gradients[: step + 1].astype(numpy.float64)
    first = first_factors @ past / first_factors.sum()
    second = second_factors @ past**2 / second_factors.sum()
    w = w - learning_rates[-1] * first / (numpy.sqrt(second) + EPSILON)
    moving.append(w.tolist())

golden = {
    "gradients": gradients.astype(float).tolist(),
    "initial": initial.astype(float).tolist(),
    "fixed": fixed,
    "moving": {"beta1": beta1s, "learning_rate": learning_rates, "weights": moving},
}
path = Path(__file__).parents[2] / "tests/golden/adam.json"
path.write_text(json.dumps(golden, separators=(",", ":")).replace("],[", "],\n[") + "\n")
