"""Writes tests/golden/schedule_free.json: 40 steps of schedule-free AdamW, by the package of its authors, in float64.

    pip install numpy torch schedulefree==1.4.1
    python scripts/golden/schedule_free.py

The gradient at y is curvature (y - target) + noise of the step. `x` and `y` are the weights in the optimizer's modes of
evaluation and of training, after every fifth step. The package's own reference, which keeps x, y and z, must agree.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy
import schedulefree
import torch

STEPS, PARAMETERS = 40, 8
CASES = [
    dict(warmup_steps=0, betas=(0.9, 0.999), weight_decay=0.0),
    dict(warmup_steps=10, betas=(0.9, 0.99), weight_decay=0.3),
    dict(warmup_steps=100, betas=(0.98, 0.95), weight_decay=0.1),
]
LEARNING_RATE, EPSILON = 0.02, 1e-8

generator = numpy.random.default_rng(11)


def sixteenths(shape):
    """Numbers that both sides hold exactly."""
    return numpy.round(16 * generator.standard_normal(shape)) / 16


curvature, target = numpy.abs(sixteenths(PARAMETERS)) + 0.25, sixteenths(PARAMETERS)
initial, noise = sixteenths(PARAMETERS), sixteenths((STEPS, PARAMETERS))


def run(kind, case):
    weights = torch.tensor(initial, requires_grad=True)
    optimizer = kind([weights], lr=LEARNING_RATE, eps=EPSILON, **case)
    trajectory = {"x": [], "y": []}
    optimizer.train()
    for step in range(STEPS):
        weights.grad = torch.tensor(curvature * (weights.detach().numpy() - target) + noise[step])
        optimizer.step()
        if step % 5 == 4:
            trajectory["y"].append(weights.detach().numpy().copy())
            optimizer.eval()
            trajectory["x"].append(weights.detach().numpy().copy())
            optimizer.train()
    return trajectory


golden = dict(curvature=curvature.tolist(), target=target.tolist(), initial=initial.tolist(), noise=noise.tolist(), cases=[])
for case in CASES:
    found = run(schedulefree.AdamWScheduleFree, case)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = run(schedulefree.AdamWScheduleFreeReference, case)
    difference = max(numpy.abs(numpy.array(found[key]) - numpy.array(reference[key])).max() for key in found)
    assert difference < 1e-12, difference
    rounded = {key: [[round(float(value), 9) for value in weights] for weights in found[key]] for key in found}
    golden["cases"].append(dict(learning_rate=LEARNING_RATE, **case, **rounded))

path = Path(__file__).parents[2] / "tests/golden/schedule_free.json"
path.write_text(json.dumps(golden, separators=(",", ":")).replace("],[", "],\n[") + "\n")
