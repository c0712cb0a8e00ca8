"""Writes tests/golden/hessian.json: the Hessian of a small UNet's loss by automatic differentiation, in float64.

The network and its formulas are those of unet.py. Run from the repository root in an environment with torch and numpy:
python scripts/golden/hessian.py
"""

import json
import pathlib

import torch
from torch import nn
from unet import Unet, formula

CASE = dict(images=1, side=8, channels=4, multipliers=[1], blocks=1, attention=[], heads=1, groups=2)


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    net = Unet(**CASE)
    start = 0
    with torch.no_grad():
        for module in net.modules():
            for name, parameter in module.named_parameters(recurse=False):
                norm_scale = isinstance(module, nn.GroupNorm) and name == "weight"
                parameter.copy_(0.1 * formula(parameter.shape, start) + norm_scale)
                start += parameter.numel()
    timesteps = torch.tensor([0.0, 7.0, 500.0])
    shape = (3, CASE["images"], CASE["side"], CASE["side"])
    loss = ((net(formula(shape), timesteps) - formula(shape).flip(0)) ** 2).mean()
    parameters = list(net.parameters())
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters, create_graph=True)])
    rows = []
    for value in gradient:
        row = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        row = [torch.zeros_like(parameter) if part is None else part for part, parameter in zip(row, parameters)]
        rows.append(torch.cat([part.flatten() for part in row]))
    hessian = torch.stack(rows)
    assert (hessian - hessian.T).abs().max() < 1e-10
    eigenvalues = torch.linalg.eigvalsh(hessian).flip(0)
    golden = dict(
        **CASE,
        parameters=start,
        timesteps=timesteps.tolist(),
        loss=loss.item(),
        largest=eigenvalues[:5].tolist(),
        smallest=eigenvalues.flip(0)[:2].tolist(),
        trace=hessian.trace().item(),
    )
    pathlib.Path("tests/golden/hessian.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
