"""Writes tests/golden/unet.json and tests/golden/dit.json: the networks of scripts/torch, run in float64 with their gradients.

What is checked is the output, every gradient, and the number of parameters of the published sizes. Weights, images and targets
are filled by formula, so that only the results are stored. ADM is compared with diffusers' network (adm.py). Run from the
repository root in an environment with torch: python scripts/golden/networks.py
"""

import json
import math
import pathlib
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "torch"))
from layers import Modulation
from networks import Unet
from rounding import rounded
from transformers import Dit, Uvit

UNETS = [
    dict(images=1, side=8, channels=16, multipliers=[1, 2], blocks=1, attention=[], heads=1, groups=8),
    dict(images=3, side=8, channels=8, multipliers=[1, 2, 3], blocks=2, attention=[4, 8], heads=2, groups=4),
]
TRANSFORMERS = [
    dict(kind="dit", images=1, side=8, patch=2, dim=16, depth=2, heads=2, mlp_ratio=4, classes=None),
    dict(kind="dit", images=3, side=12, patch=4, dim=24, depth=2, heads=3, mlp_ratio=2, classes=3),
    dict(kind="dit", images=2, side=8, patch=2, dim=16, depth=1, heads=2, mlp_ratio=2, classes=None, outputs=4),
    dict(kind="uvit", images=1, side=8, patch=2, dim=16, depth=2, heads=2, mlp_ratio=4, classes=None),
    dict(kind="uvit", images=3, side=12, patch=4, dim=18, depth=4, heads=3, mlp_ratio=2, classes=3),
]
# (dim, depth, heads), Peebles and Xie 2023, table 1.
SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "xl": (1152, 28, 16)}


def unet(images, side, channels, multipliers, blocks, attention, heads, groups):
    return Unet(
        images,
        side,
        None,
        images,
        channels=channels,
        channel_multipliers=multipliers,
        blocks_per_level=blocks,
        attention_resolutions=attention,
        attention_heads=heads,
        norm_groups=groups,
        dropout=0.0,
    )


def transformer(kind, images, side, patch, dim, depth, heads, mlp_ratio=4, classes=None, outputs=None):
    network = dict(dit=Dit, uvit=Uvit)[kind]
    # One vector more than classes, for "no class".
    more = dict(mask_token=False) if kind == "dit" else {}
    return network(images, side, classes, outputs or images, patch, dim, depth, heads, mlp_ratio, class_dropout=0.1, **more)


def formula(shape, start=0):
    """sin(1), sin(4), sin(9), ...: not periodic, so that matrices of it have full rank."""
    return torch.sin(torch.arange(start + 1, start + math.prod(shape) + 1).double() ** 2).reshape(shape)


def in_layout(net, tensors):
    """`tensors`, one for each parameter of `net`, cut and ordered as Speedlab's layout is: it has a layer for each part of a modulation."""
    parts = {f"{name}.{of}": module.parts for name, module in net.named_modules() if isinstance(module, Modulation) for of in ("weight", "bias")}
    found, weights = [], []
    for (name, _), tensor in zip(net.named_parameters(), tensors):
        if name not in parts:
            found.append(tensor)
        elif name.endswith("weight"):
            weights = tensor.chunk(parts[name])
        else:
            found += [part for pair in zip(weights, tensor.chunk(parts[name])) for part in pair]
    return found


def results(net, case, size, classes):
    """What a case is compared by. Weights are `size` times the formula; the scales of norms are 1 more."""
    start = 0
    with torch.no_grad():
        for parameter in in_layout(net, net.parameters()):
            parameter.copy_(size * formula(parameter.shape, start))
            start += parameter.numel()
        for module in net.modules():
            if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
                module.weight += 1
    timesteps = torch.tensor([0.0, 7.0, 500.0])
    output = net(formula((3, case["images"], case["side"], case["side"])), timesteps, classes)
    loss = ((output - formula(output.shape).flip(0)) ** 2).mean()
    loss.backward()
    gradients = [gradient.flatten() for gradient in in_layout(net, [parameter.grad for parameter in net.parameters()])]
    told = {} if "kind" not in case else dict(told=None if classes is None else classes.tolist())
    return dict(
        **case,
        parameters=start,
        timesteps=timesteps.tolist(),
        **told,
        output=output.flatten().tolist(),
        loss=loss.item(),
        gradient_norms_and_projections=[[g.norm().item(), (g @ formula(g.shape)).item()] for g in gradients],
    )


def parameter_counts():
    """Latents of 32x32x4 with learned variances for DiT, CIFAR-10 for U-ViT."""
    counts = {}
    for size, (dim, depth, heads) in SIZES.items():
        for patch in (2, 4, 8):
            with torch.device("meta"):
                net = transformer("dit", 4, 32, patch, dim, depth, heads, classes=1000, outputs=8)
            # The authors' code counts the fixed positions too.
            count = sum(p.numel() for p in net.parameters()) + net.positions.numel()
            counts[f"dit-{size}/{patch}"] = dict(with_positions=count, positions=net.positions.numel())
    with torch.device("meta"):
        net = transformer("uvit", 3, 32, 2, 512, 12, 8)
    counts["uvit-s/2"] = dict(with_positions=sum(p.numel() for p in net.parameters()), positions=0)
    return counts


def lines(cases):
    return ",\n".join(json.dumps(rounded(case)) for case in cases)


def main():
    torch.set_default_dtype(torch.float64)
    golden = pathlib.Path("tests/golden")
    (golden / "unet.json").write_text(f"[\n{lines(results(unet(**case), case, 0.1, None) for case in UNETS)}\n]\n")
    told = lambda case: None if case["classes"] is None else torch.tensor([0, 2, 3])
    cases = lines(results(transformer(**case), case, 0.2, told(case)) for case in TRANSFORMERS)
    counts = ",\n".join(f"{json.dumps(name)}: {json.dumps(count)}" for name, count in parameter_counts().items())
    (golden / "dit.json").write_text(f'{{"cases": [\n{cases}\n],\n"published_sizes": {{\n{counts}\n}}}}\n')


if __name__ == "__main__":
    main()
