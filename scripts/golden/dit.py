"""Writes tests/golden/dit.json: the transformers of speedlab::model, written again in PyTorch and run in float64.

`Dit` follows the code of Peebles and Xie 2023 (its blocks are timm's), `Uvit` that of Bao et al. 2023; what is checked is the
output, every gradient, and the number of parameters of the published sizes. Weights, images and targets are filled by
formula, so that only the results are stored. Run from the repository root in an environment with torch:
python scripts/golden/dit.py
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn


def time_features(t, length):
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(length // 2, device=t.device) / (length // 2))
    angles = t[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], 1)


def positions(side, dim):
    """[side * side, dim], rows first: sines and cosines of the column, then of the row."""
    frequencies = 10000.0 ** (-torch.arange(dim // 4).double() / (dim // 4))
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    parts = []
    for place in (column, row):
        angles = place.reshape(-1, 1) * frequencies[None]
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, 1).to(torch.get_default_dtype())


class Attention(nn.Module):
    def __init__(self, dim, heads, bias):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.output = nn.Linear(dim, dim)

    def forward(self, x):
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        return self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, dim))


class FeedForward(nn.Module):
    def __init__(self, dim, hidden, approximate):
        super().__init__()
        self.approximate = approximate
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.linear2(F.gelu(self.linear1(x), approximate=self.approximate))


class DitBlock(nn.Module):
    """The modulation is one linear map here, as in the authors' code; speedlab has a layer for each of its six parts."""

    def __init__(self, dim, heads, mlp_ratio):
        super().__init__()
        self.attention = Attention(dim, heads, True)
        self.feed_forward = FeedForward(dim, mlp_ratio * dim, "tanh")
        self.modulation = nn.Linear(dim, 6 * dim)

    def forward(self, x, condition):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, 2)
        norm = lambda x, scale, shift: F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift
        x = x + gate1 * self.attention(norm(x, scale1, shift1))
        return x + gate2 * self.feed_forward(norm(x, scale2, shift2))


class Dit(nn.Module):
    """Modules are registered in the order of speedlab's layout."""

    def __init__(self, images, side, patch, dim, depth, heads, mlp_ratio=4, classes=None, outputs=None):
        super().__init__()
        self.patch, self.outputs = patch, outputs or images
        self.patches = nn.Conv2d(images, dim, patch, stride=patch)
        self.time1, self.time2 = nn.Linear(256, dim), nn.Linear(dim, dim)
        self.classes = None if classes is None else nn.Embedding(classes + 1, dim)
        self.blocks = nn.ModuleList(DitBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.modulation = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(dim, patch * patch * self.outputs)
        self.register_buffer("positions", positions(side // patch, dim), persistent=False)

    def forward(self, x, t, classes=None):
        condition = self.time2(F.silu(self.time1(time_features(t, 256))))
        if self.classes is not None:
            condition = condition + self.classes(classes)
        condition = F.silu(condition)
        h = self.patches(x)
        n, _, height, width = h.shape
        h = h.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            h = block(h, condition)
        shift, scale = self.modulation(condition)[:, None].chunk(2, 2)
        h = self.output(F.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift)
        return join(h, height, width, self.patch, self.outputs)


def join(h, height, width, patch, channels):
    h = h.reshape(-1, height, width, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(-1, channels, height * patch, width * patch)


class UvitBlock(nn.Module):
    def __init__(self, dim, heads, mlp_ratio, skip):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, False)
        self.feed_forward = FeedForward(dim, mlp_ratio * dim, "none")
        self.skip = nn.Linear(2 * dim, dim) if skip else None

    def forward(self, x, kept=None):
        if self.skip is not None:
            x = self.skip(torch.cat([x, kept], 2))
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Uvit(nn.Module):
    """Modules are registered in the order of speedlab's layout."""

    def __init__(self, images, side, patch, dim, depth, heads, mlp_ratio=4, classes=None):
        super().__init__()
        self.patch, self.images, self.dim = patch, images, dim
        self.patches = nn.Conv2d(images, dim, patch, stride=patch)
        self.classes = None if classes is None else nn.Embedding(classes + 1, dim)
        tokens = (side // patch) ** 2 + (1 if classes is None else 2)
        self.positions = nn.ParameterList([nn.Parameter(torch.zeros(tokens, dim))])
        self.first = nn.ModuleList(UvitBlock(dim, heads, mlp_ratio, False) for _ in range(depth // 2))
        self.middle = UvitBlock(dim, heads, mlp_ratio, False)
        self.second = nn.ModuleList(UvitBlock(dim, heads, mlp_ratio, True) for _ in range(depth // 2))
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, patch * patch * images)
        self.smoothing = nn.Conv2d(images, images, 3, padding=1)

    def forward(self, x, t, classes=None):
        h = self.patches(x)
        n, _, height, width = h.shape
        h = torch.cat([time_features(t, self.dim)[:, None], h.flatten(2).transpose(1, 2)], 1)
        if self.classes is not None:
            h = torch.cat([self.classes(classes)[:, None], h], 1)
        h = h + self.positions[0]
        kept = []
        for block in self.first:
            h = block(h)
            kept.append(h)
        h = self.middle(h)
        for block in self.second:
            h = block(h, kept.pop())
        h = self.output(self.norm(h))[:, -height * width :]
        return self.smoothing(join(h, height, width, self.patch, self.images))


def formula(shape, start=0):
    """sin(1), sin(4), sin(9), ...: not periodic, so that matrices of it have full rank."""
    return torch.sin(torch.arange(start + 1, start + math.prod(shape) + 1).double() ** 2).reshape(shape)


def in_layout(net, tensors):
    """`tensors`, one for each parameter of `net`, cut and ordered as speedlab's layout is."""
    found = []
    for name, tensor in zip([name for name, _ in net.named_parameters()], tensors):
        if "modulation" in name and name.endswith("weight"):
            weights = tensor
        elif "modulation" in name:
            parts = weights.shape[0] // weights.shape[1]
            for weight, bias in zip(weights.chunk(parts), tensor.chunk(parts)):
                found += [weight, bias]
        else:
            found.append(tensor)
    return found


CASES = [
    ("dit", dict(images=1, side=8, patch=2, dim=16, depth=2, heads=2, mlp_ratio=4, classes=None)),
    ("dit", dict(images=3, side=12, patch=4, dim=24, depth=2, heads=3, mlp_ratio=2, classes=3)),
    ("dit", dict(images=2, side=8, patch=2, dim=16, depth=1, heads=2, mlp_ratio=2, classes=None, outputs=4)),
    ("uvit", dict(images=1, side=8, patch=2, dim=16, depth=2, heads=2, mlp_ratio=4, classes=None)),
    ("uvit", dict(images=3, side=12, patch=4, dim=18, depth=4, heads=3, mlp_ratio=2, classes=3)),
]

# (name, published settings): latents of 32x32x4 with learned variances for DiT, CIFAR-10 for U-ViT.
SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "xl": (1152, 28, 16)}


def parameter_counts():
    counts = {}
    for size, (dim, depth, heads) in SIZES.items():
        for patch in (2, 4, 8):
            with torch.device("meta"):
                net = Dit(4, 32, patch, dim, depth, heads, classes=1000, outputs=8)
            # The authors' code counts the fixed positions too.
            count = sum(p.numel() for p in net.parameters()) + net.positions.numel()
            counts[f"dit-{size}/{patch}"] = dict(with_positions=count, positions=net.positions.numel())
    with torch.device("meta"):
        net = Uvit(3, 32, 2, 512, 12, 8)
    counts["uvit-s/2"] = dict(with_positions=sum(p.numel() for p in net.parameters()), positions=0)
    return counts


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def main():
    torch.set_default_dtype(torch.float64)
    cases = []
    for kind, case in CASES:
        net = (Dit if kind == "dit" else Uvit)(**case)
        start = 0
        with torch.no_grad():
            for parameter in in_layout(net, net.parameters()):
                parameter.copy_(0.2 * formula(parameter.shape, start))
                start += parameter.numel()
            for module in net.modules():
                if isinstance(module, nn.LayerNorm):
                    module.weight += 1
        timesteps = torch.tensor([0.0, 7.0, 500.0])
        classes = None if case["classes"] is None else torch.tensor([0, 2, 3])
        shape = (3, case["images"], case["side"], case["side"])
        output = net(formula(shape), timesteps, classes)
        loss = ((output - formula(output.shape).flip(0)) ** 2).mean()
        loss.backward()
        gradients = []
        for gradient in in_layout(net, [parameter.grad for parameter in net.parameters()]):
            gradient = gradient.flatten()
            gradients.append([gradient.norm().item(), (gradient @ formula(gradient.shape)).item()])
        cases.append(
            dict(
                kind=kind,
                **case,
                parameters=start,
                timesteps=timesteps.tolist(),
                told=None if classes is None else classes.tolist(),
                output=output.flatten().tolist(),
                loss=loss.item(),
                gradient_norms_and_projections=gradients,
            )
        )
    lines = ",\n".join(json.dumps(rounded(case)) for case in cases)
    counts = ",\n".join(f"{json.dumps(name)}: {json.dumps(count)}" for name, count in parameter_counts().items())
    text = f'{{"cases": [\n{lines}\n],\n"published_sizes": {{\n{counts}\n}}}}\n'
    pathlib.Path("tests/golden/dit.json").write_text(text)


if __name__ == "__main__":
    main()
