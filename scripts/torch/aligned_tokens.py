"""Tokens that are aligned with what a frozen network sees in the patches of images (src/train/alignment.rs, src/model/projection.rs)."""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from layers import linear, variance_scaling

HERE = pathlib.Path(__file__).resolve().parent
# Beside this file where Speedlab has unpacked it, else in its sources.
WEIGHTS = "digits-cnn.safetensors"
WEIGHTS = HERE / WEIGHTS if (HERE / WEIGHTS).is_file() else HERE.parents[1] / "src/evaluate" / WEIGHTS
CHANNELS, GROUPS, STRIDES = 64, 8, (1, 2, 1)


def safetensors(path):
    """The float32 tensors of a file, by name."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    found = {}
    for name, tensor in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, end = (start + offset for offset in tensor["data_offsets"])
            values = np.frombuffer(content[first:end], "<f4").reshape(tensor["shape"])
            found[name] = torch.from_numpy(values.copy())
    return found


class DigitsCnn:
    """The classifier of 8x8 digits that comes with Speedlab (src/model/small_cnn.rs): its last planes, on the CPU."""

    def __init__(self):
        self.weights = safetensors(WEIGHTS)

    @torch.no_grad()
    def features(self, images, side):
        """`[n, side * side, CHANNELS]` of length 1, of images `[n, 1, 8, 8]` in [-1, 1]: the mean over the pixels of each patch."""
        h = torch.from_numpy(np.ascontiguousarray(images))
        for number, stride in enumerate(STRIDES, 1):
            part = lambda layer, kind: self.weights[f"{layer}{number}.{kind}"]
            h = F.conv2d(h, part("conv", "weight"), part("conv", "bias"), stride=stride, padding=1)
            h = F.silu(F.group_norm(h, GROUPS, part("norm", "weight"), part("norm", "bias")))
        h = F.adaptive_avg_pool2d(h, side).flatten(2).transpose(1, 2)
        return F.normalize(h, dim=-1)


class Projection(nn.Module):
    """What is made of tokens before they are compared."""

    def __init__(self, dim, hidden):
        super().__init__()
        widths = [dim, hidden, hidden, CHANNELS]
        layers = [linear(inputs, outputs, variance_scaling) for inputs, outputs in zip(widths, widths[1:])]
        self.linear1, self.linear2, self.linear3 = layers

    def forward(self, tokens):
        return self.linear3(F.silu(self.linear2(F.silu(self.linear1(tokens)))))


def misalignment(projected, features):
    """Minus the mean cosine of what is made of tokens and features of length 1, both `[n, tokens, CHANNELS]`."""
    return -(F.normalize(projected, dim=-1) * features).sum(-1).mean()
