"""Writes tests/golden/optimizers.json: 20 steps of AdamW and of Muon, with fixed and with moving beta1.

    pip install numpy torch
    python scripts/golden/optimizers.py

The parameters are a vector of 2, a matrix of 2 x 3, a convolution of 3 x 1 x 2 x 2, a matrix of 4 x 2 and a vector of 1, laid
end to end. `fixed` is torch's own code in float64: torch.optim.AdamW on everything; torch.optim.Muon on the matrices (its
Newton-Schulz iteration, which casts to bfloat16, is made to cast to float64) and torch.optim.AdamW on the rest. `bfloat16`
is the last step of torch.optim.Muon as it is. `moving`: Demon's beta1 with MDLRC's learning rate over 20 planned steps, worked
out in numpy without any recursion over steps: the moments are sums over all past gradients, and the iteration is its scalar
polynomial on the singular values.
"""

import json
from pathlib import Path

import numpy
import torch

STEPS = 20
SHAPES = [(2,), (2, 3), (3, 1, 2, 2), (4, 2), (1,)]
ADAMW = dict(lr=2e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.3)
MUON = dict(lr=0.02, momentum=0.95, weight_decay=0.2)
A, B, C = 3.4445, -4.7750, 2.0315

generator = numpy.random.default_rng(4)
sizes = [int(numpy.prod(shape)) for shape in SHAPES]
# Sixteenths, which both sides hold exactly.
gradients = numpy.round(16 * generator.standard_normal((STEPS, sum(sizes)))) / 16
initial = numpy.round(16 * generator.standard_normal(sum(sizes))) / 16
places = [slice(end - size, end) for size, end in zip(sizes, numpy.cumsum(sizes))]
is_matrix = [len(shape) > 1 for shape in SHAPES]


def as_matrix(values, shape):
    return values.reshape(shape[0], -1)


def torch_run(optimizers_of):
    parameters = [
        torch.tensor(as_matrix(initial[place], shape) if len(shape) > 1 else initial[place], requires_grad=True)
        for place, shape in zip(places, SHAPES)
    ]
    optimizers = optimizers_of(parameters)
    trajectory = []
    for gradient in gradients:
        for parameter, place in zip(parameters, places):
            parameter.grad = torch.tensor(gradient[place]).reshape(parameter.shape)
        for optimizer in optimizers:
            optimizer.step()
        trajectory.append(numpy.concatenate([parameter.detach().numpy().ravel() for parameter in parameters]))
    return trajectory


def adamw_of(parameters):
    return [torch.optim.AdamW(parameters, **ADAMW)]


def muon_of(parameters):
    matrices = [parameter for parameter, matrix in zip(parameters, is_matrix) if matrix]
    others = [parameter for parameter, matrix in zip(parameters, is_matrix) if not matrix]
    return [torch.optim.Muon(matrices, adjust_lr_fn=SCALE, **MUON), torch.optim.AdamW(others, **ADAMW)]


def in_float64(run):
    bfloat16, torch.bfloat16 = torch.bfloat16, torch.float64
    try:
        return run()
    finally:
        torch.bfloat16 = bfloat16


def demon(initial, step):
    tau = step / STEPS
    return initial * (1 - tau) / ((1 - initial) + initial * (1 - tau))


def sums(beta1_0, beta2, step, past):
    """Both moments after `step`, bias corrected, as sums over the past gradients; and the plain first one."""
    beta1s = [demon(beta1_0, i) for i in range(step + 1)]
    first = numpy.array([(1 - beta1s[i]) * numpy.prod(beta1s[i + 1 :]) for i in range(step + 1)])
    second = numpy.array([(1 - beta2) * beta2 ** (step - i) for i in range(step + 1)])
    return first @ past / first.sum(), second @ past**2 / second.sum(), first @ past


def orthogonalized(matrix):
    u, s, v = numpy.linalg.svd(matrix, full_matrices=False)
    s = s / numpy.sqrt((s**2).sum())
    for _ in range(5):
        s = A * s + B * s**3 + C * s**5
    return u @ numpy.diag(s) @ v


def moving(with_muon):
    weights, trajectory = initial.copy(), []
    for step in range(STEPS):
        past = gradients[: step + 1]
        lr, beta1 = ADAMW["lr"] * (1 - 0.9) / (1 - demon(0.9, step)), 0.9
        first, second, _ = sums(beta1, ADAMW["betas"][1], step, past)
        new = weights * (1 - lr * ADAMW["weight_decay"]) - lr * first / (numpy.sqrt(second) + ADAMW["eps"])
        if with_muon:
            mu = demon(MUON["momentum"], step)
            lr = MUON["lr"] * (1 - MUON["momentum"]) / (1 - mu)
            momentum = sums(MUON["momentum"], 0.0, step, past)[2]
            update = mu * momentum + (1 - mu) * gradients[step]
            for place, shape in zip(places, SHAPES):
                if len(shape) > 1:
                    matrix = as_matrix(update[place], shape)
                    scale = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                    step_of = lr * scale * orthogonalized(matrix).ravel()
                    new[place] = weights[place] * (1 - lr * MUON["weight_decay"]) - step_of
        weights = new
        trajectory.append(weights)
    return trajectory


def every_fifth(trajectory):
    return [[round(float(value), 9) for value in weights] for weights in trajectory[4::5]]


SCALE = "original"
golden = {
    "shapes": SHAPES,
    "gradients": gradients.tolist(),
    "initial": initial.tolist(),
    "adamw": {"fixed": every_fifth(torch_run(adamw_of)), "moving": every_fifth(moving(False))},
    "muon": {
        "fixed": every_fifth(in_float64(lambda: torch_run(muon_of))),
        "moving": every_fifth(moving(True)),
        "bfloat16": every_fifth(torch_run(muon_of))[-1],
    },
}
SCALE = "match_rms_adamw"
golden["muon"]["match_rms_adamw"] = every_fifth(in_float64(lambda: torch_run(muon_of)))
difference = numpy.abs(numpy.array(golden["muon"]["bfloat16"]) - numpy.array(golden["muon"]["fixed"][-1])).max()
print(f"torch's own bfloat16 moves a weight by up to {difference:.4f} after {STEPS} steps")

path = Path(__file__).parents[2] / "tests/golden/optimizers.json"
path.write_text(json.dumps(golden, separators=(",", ":")).replace("],[", "],\n[") + "\n")
