"""Writes tests/golden/unet.json: the UNet of speedlab::model, written again in PyTorch and run in float64.

Weights, images and targets are filled by formula, so that only the results are stored. Run from the repository root
in an environment with torch: python scripts/golden/unet.py
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, inputs, outputs, time, groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Attention(nn.Module):
    def __init__(self, channels, groups, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(n, c, h, w)
        return x + self.output(attended)


class Block(nn.Module):
    def __init__(self, inputs, outputs, time, groups, heads, attends):
        super().__init__()
        self.residual = Residual(inputs, outputs, time, groups)
        self.attention = Attention(outputs, groups, heads) if attends else None

    def forward(self, x, time):
        h = self.residual(x, time)
        return h if self.attention is None else self.attention(h)


class Unet(nn.Module):
    """Modules are registered in the order of speedlab's layout."""

    def __init__(self, images, side, channels, multipliers, blocks, attention, heads, groups):
        super().__init__()
        self.channels = channels
        time = 4 * channels
        self.time1 = nn.Linear(channels, time)
        self.time2 = nn.Linear(time, time)
        self.input = nn.Conv2d(images, channels, 3, padding=1)
        self.down, self.middle, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        now, kept = channels, [channels]
        for level, multiplier in enumerate(multipliers):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(Block(now, channels * multiplier, time, groups, heads, side in attention))
                now = channels * multiplier
                kept.append(now)
            if level + 1 < len(multipliers):
                stage.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                side //= 2
                kept.append(now)
            self.down.append(stage)
        self.middle.append(Residual(now, now, time, groups))
        self.middle.append(Attention(now, groups, heads))
        self.middle.append(Residual(now, now, time, groups))
        for level, multiplier in reversed(list(enumerate(multipliers))):
            stage = nn.ModuleList()
            for _ in range(blocks + 1):
                stage.append(Block(now + kept.pop(), channels * multiplier, time, groups, heads, side in attention))
                now = channels * multiplier
            if level > 0:
                stage.append(nn.Conv2d(now, now, 3, padding=1))
                side *= 2
            self.up.append(stage)
        self.norm = nn.GroupNorm(groups, now)
        self.output = nn.Conv2d(now, images, 3, padding=1)

    def forward(self, x, t):
        half = self.channels // 2
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=t.device) / (half - 1))
        angles = t[:, None] * frequencies[None]
        time = self.time1(torch.cat([angles.sin(), angles.cos()], 1))
        time = F.silu(self.time2(F.silu(time)))
        h = self.input(x)
        kept = [h]
        for stage in self.down:
            for layer in stage:
                h = layer(h, time) if isinstance(layer, Block) else layer(h)
                kept.append(h)
        h = self.middle[2](self.middle[1](self.middle[0](h, time)), time)
        for stage in self.up:
            for layer in stage:
                if isinstance(layer, Block):
                    h = layer(torch.cat([h, kept.pop()], 1), time)
                else:
                    h = layer(F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.output(F.silu(self.norm(h)))


def formula(shape, start=0):
    """sin(1), sin(4), sin(9), ...: not periodic, so that matrices of it have full rank."""
    return torch.sin(torch.arange(start + 1, start + math.prod(shape) + 1).double() ** 2).reshape(shape)


CASES = [
    dict(images=1, side=8, channels=16, multipliers=[1, 2], blocks=1, attention=[], heads=1, groups=8),
    dict(images=3, side=8, channels=8, multipliers=[1, 2, 3], blocks=2, attention=[4, 8], heads=2, groups=4),
]


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def main():
    torch.set_default_dtype(torch.float64)
    cases = []
    for case in CASES:
        net = Unet(**case)
        start = 0
        with torch.no_grad():
            for module in net.modules():
                for name, parameter in module.named_parameters(recurse=False):
                    norm_scale = isinstance(module, nn.GroupNorm) and name == "weight"
                    parameter.copy_(0.1 * formula(parameter.shape, start) + norm_scale)
                    start += parameter.numel()
        timesteps = torch.tensor([0.0, 7.0, 500.0])
        shape = (3, case["images"], case["side"], case["side"])
        output = net(formula(shape), timesteps)
        loss = ((output - formula(shape).flip(0)) ** 2).mean()
        loss.backward()
        gradients = []
        for parameter in net.parameters():
            gradient = parameter.grad.flatten()
            gradients.append([gradient.norm().item(), (gradient @ formula(gradient.shape)).item()])
        cases.append(
            dict(
                **case,
                parameters=start,
                timesteps=timesteps.tolist(),
                output=output.flatten().tolist(),
                loss=loss.item(),
                gradient_norms_and_projections=gradients,
            )
        )
    lines = ",\n".join(json.dumps(rounded(case)) for case in cases)
    pathlib.Path("tests/golden/unet.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
