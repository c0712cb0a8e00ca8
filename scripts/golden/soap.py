"""Writes tests/golden/soap.json: 26 steps of SOAP, by the package pytorch_optimizer, in float64.

    pip install numpy torch pytorch_optimizer==4.1.0
    python scripts/golden/soap.py

The parameters are a vector of 2, matrices of 2 x 3, 3 x 4 and 4 x 3, and a vector of 1, laid end to end. `both` has bases on all sides,
`short` on those of at most 3. The package decomposes in float32, whatever the weights are; here it decomposes in float64.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy
import torch
from pytorch_optimizer import SOAP

STEPS = 26
SHAPES = [(2,), (2, 3), (3, 4), (4, 3), (1,)]
SETTINGS = dict(lr=0.01, betas=(0.9, 0.8), weight_decay=0.3, eps=1e-8, precondition_frequency=4)
CASES = {"both": 10000, "short": 3}

generator = numpy.random.default_rng(17)
sizes = [int(numpy.prod(shape)) for shape in SHAPES]
# Sixteenths, which both sides hold exactly.
gradients = numpy.round(16 * generator.standard_normal((STEPS, sum(sizes)))) / 16
initial = numpy.round(16 * generator.standard_normal(sum(sizes))) / 16
places = [slice(end - size, end) for size, end in zip(sizes, numpy.cumsum(sizes))]


def run(largest_side):
    parameters = [
        torch.tensor(initial[place].reshape(shape), requires_grad=True) for place, shape in zip(places, SHAPES)
    ]
    optimizer = SOAP(parameters, max_precondition_dim=largest_side, **SETTINGS)
    trajectory = []
    for gradient in gradients:
        for parameter, place, shape in zip(parameters, places, SHAPES):
            parameter.grad = torch.tensor(gradient[place].reshape(shape))
        optimizer.step()
        trajectory.append(numpy.concatenate([parameter.detach().numpy().ravel() for parameter in parameters]))
    return trajectory


def main():
    float32, torch.float32 = torch.float32, torch.float64
    try:
        cases = {name: [list(map(float, weights)) for weights in run(side)[1::4]] for name, side in CASES.items()}
    finally:
        torch.float32 = float32
    golden = dict(package=f"pytorch_optimizer {version('pytorch_optimizer')}", initial=initial.tolist(), gradients=gradients.tolist())
    Path("tests/golden/soap.json").write_text(json.dumps(golden | cases) + "\n")


main()
