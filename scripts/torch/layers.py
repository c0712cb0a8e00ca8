"""Parts of networks, and how Speedlab draws their first weights (src/model/architecture.rs, parameters.rs)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import draws


def variance_scaling(inputs, outputs, area):
    """DDPM's: uniform of variance 1 / mean(fan in, fan out)."""
    return ("uniform", math.sqrt(6.0 / (area * (inputs + outputs))))


def torch_default(inputs, outputs, area):
    """PyTorch's own: uniform within 1 / sqrt(fan in)."""
    return ("uniform", 1.0 / math.sqrt(inputs * area))


def small(inputs, outputs, area):
    return ("normal", 0.02)


def zeros(inputs, outputs, area):
    return ("zeros", None)


def drawn(module, weight, bias=zeros):
    """`module` with its parameters marked by how they start."""
    outputs, inputs, *kernel = module.weight.shape
    shape = inputs, outputs, math.prod(kernel)
    module.weight.initial = weight(*shape)
    if module.bias is not None:
        module.bias.initial = bias(*shape)
    return module


def conv(inputs, outputs, kernel, weight, bias=zeros, stride=1):
    return drawn(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2), weight, bias)


def linear(inputs, outputs, weight, bias=zeros, has_bias=True):
    return drawn(nn.Linear(inputs, outputs, bias=has_bias), weight, bias)


class Modulation(nn.Linear):
    """Several linear maps of one vector in one. In Speedlab's layout each is a layer of its own; all start at zero."""

    def __init__(self, dim, parts):
        super().__init__(dim, parts * dim)
        self.parts = parts
        drawn(self, zeros)


class ClassEmbedding(nn.Embedding):
    """A vector for each class, and one for "no class" where classes are dropped."""

    def __init__(self, classes, dropout, length, initial):
        super().__init__(classes + (dropout > 0.0), length)
        self.weight.initial = initial


def initialize(net, seed):
    """Draws the first weights: each parameter is a function of (seed, its place in Speedlab's layout)."""
    index = 0
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            kind, size = getattr(parameter, "initial", ("ones" if name == "weight" else "zeros", None))
            stream = draws.Draws(seed, draws.WEIGHTS, index)
            if kind == "uniform":
                values = (size * (2.0 * stream.uniforms(parameter.numel()) - 1.0)).astype(np.float32)
            elif kind == "normal":
                values = stream.normals(parameter.numel()) * np.float32(size)
            else:
                values = np.full(parameter.numel(), kind == "ones", np.float32)
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))
            index += getattr(module, "parts", 1)


class Sinusoids(nn.Module):
    """A time as sines and cosines with frequencies from 1 down to 1/10000."""

    def __init__(self, length, sines_first=False):
        super().__init__()
        self.sines_first, self.is_odd, half = sines_first, length % 2, length // 2
        last = max(half - 1, 1) if sines_first else max(half, 1)
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, dtype=torch.float64) / last)
        self.register_buffer("frequencies", frequencies.to(torch.get_default_dtype()), persistent=False)

    def forward(self, t):
        angles = t[:, None] * self.frequencies[None]
        parts = [angles.sin(), angles.cos()] if self.sines_first else [angles.cos(), angles.sin()]
        return torch.cat(parts + [torch.zeros_like(t[:, None])] * self.is_odd, 1)


class PixelAttention(nn.Module):
    """x + output(attention(qkv(norm(x)))) between the pixels of an image."""

    def __init__(self, channels, groups, heads, weight, bias=zeros):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = conv(channels, 3 * channels, 1, weight, bias)
        self.output = conv(channels, channels, 1, zeros)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(n, c, h, w)
        return x + self.output(attended)
