"""Speedlab's transformers in PyTorch. Modules are registered in the order of Speedlab's layout (src/model/dit.rs, uvit.rs)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from layers import ClassEmbedding, Modulation, Sinusoids, conv, linear, small, torch_default, variance_scaling, zeros


def square_positions(side, length):
    """`[side * side, length]`: sines and cosines of the column, then of the row."""
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(length // 4, dtype=torch.float64) / (length // 4))
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies[None] for place in (column, row)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], 1).to(torch.get_default_dtype())


class TokenAttention(nn.Module):
    def __init__(self, dim, heads, weight, has_bias):
        super().__init__()
        self.heads = heads
        self.qkv = linear(dim, 3 * dim, weight, has_bias=has_bias)
        self.output = linear(dim, dim, weight)

    def forward(self, x):
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        return self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, dim))


class FeedForward(nn.Module):
    def __init__(self, dim, hidden, approximate, weight):
        super().__init__()
        self.approximate = approximate
        self.linear1 = linear(dim, hidden, weight)
        self.linear2 = linear(hidden, dim, weight)

    def forward(self, x):
        return self.linear2(F.gelu(self.linear1(x), approximate=self.approximate))


def join_patches(h, side, patch, channels):
    """Images of patches whose numbers are (row, column, channel)."""
    h = h.reshape(-1, side, side, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(-1, channels, side * patch, side * patch)


class Transformer(nn.Module):
    """What training may do with the tokens of a network (src/model/token_route.rs)."""

    # The first and the last block that patches go around where a pass is told which do not; 1 is the first block.
    detour = None
    # Whether patches that go around do not come back.
    masked = False
    # The block after which all tokens are kept as `tapped`.
    tapped_block, tapped = None, None
    # The same of those that are aligned with a frozen network.
    aligned_block, aligned = None, None


class TokenRoute:
    """The way of one batch's tokens through the blocks of `network`: the patches `kept` `[n, kept]` do not go around its detour."""

    def __init__(self, network, kept, masks=None):
        self.network, self.kept, self.masks = network, kept, masks
        self.passed, self.around, self.places = 0, None, None

    def through(self, h, others, block):
        """The tokens after the next block; `others` of them, such as that of the time, come before the patches."""
        self.passed += 1
        first, last = (0, 0) if self.kept is None else self.network.detour
        if self.passed == first:
            front = torch.arange(others, device=h.device).expand(len(h), others)
            places = torch.cat([front, self.kept + others], 1)
            self.places = places[:, :, None].expand(-1, -1, h.shape[2])
            self.around = h if self.masks is None else self.masks.expand_as(h)
            h = h.gather(1, self.places)
        h = block(h)
        if self.passed == last:
            h = self.around.scatter(1, self.places, h.to(self.around.dtype))
        if self.passed == self.network.tapped_block:
            self.network.tapped = h
        if self.passed == self.network.aligned_block:
            self.network.aligned = h[:, others:]
        return h


class DitBlock(nn.Module):
    def __init__(self, dim, heads, mlp_ratio):
        super().__init__()
        self.attention = TokenAttention(dim, heads, variance_scaling, True)
        self.feed_forward = FeedForward(dim, mlp_ratio * dim, "tanh", variance_scaling)
        self.modulation = Modulation(dim, 6)

    def forward(self, x, condition):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, 2)
        x = x + gate1 * self.attention(modulated(x, shift1, scale1))
        return x + gate2 * self.feed_forward(modulated(x, shift2, scale2))


def modulated(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Dit(Transformer):
    """The diffusion transformer with adaLN-Zero blocks (src/model/dit.rs)."""

    def __init__(self, images, side, classes, outputs, patch, dim, depth, heads, mlp_ratio, class_dropout, mask_token):
        super().__init__()
        self.patch, self.side, self.outputs = patch, side // patch, outputs
        self.patches = conv_patches(images, dim, patch, variance_scaling, zeros)
        self.time1, self.time2 = linear(256, dim, small), linear(dim, dim, small)
        self.classes = None if classes is None else ClassEmbedding(classes, class_dropout, dim, ("normal", 0.02))
        self.blocks = nn.ModuleList(DitBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.output_modulation = Modulation(dim, 2)
        self.output = linear(dim, patch * patch * outputs, zeros)
        # In a list, so that it comes after the modules above.
        self.mask_token = nn.ParameterList([nn.Parameter(torch.zeros(dim))] * mask_token)
        for token in self.mask_token:
            token.initial = ("normal", 0.02)
        self.sinusoids = Sinusoids(256)
        self.register_buffer("positions", square_positions(self.side, dim), persistent=False)

    def forward(self, x, t, classes=None, masks=None, kept=None):
        condition = self.time2(F.silu(self.time1(self.sinusoids(t))))
        if self.classes is not None:
            condition = condition + self.classes(classes)
        condition = F.silu(condition)
        side = x.shape[2] // self.patch
        positions = self.positions.reshape(self.side, self.side, -1)
        positions = positions[:: self.side // side, :: self.side // side].flatten(0, 1)
        h = self.patches(x).flatten(2).transpose(1, 2) + positions
        masks = positions + self.mask_token[0] if kept is not None and self.masked else None
        route = TokenRoute(self, kept, masks)
        for block in self.blocks:
            h = route.through(h, 0, lambda h: block(h, condition))
        h = self.output(modulated(h, *self.output_modulation(condition)[:, None].chunk(2, 2)))
        return join_patches(h, side, self.patch, self.outputs)


def conv_patches(images, dim, patch, weight, bias):
    """The linear map of patches; its fans are those of a map of images * patch^2 numbers."""
    layer = nn.Conv2d(images, dim, patch, stride=patch)
    shape = images * patch * patch, dim, 1
    layer.weight.initial, layer.bias.initial = weight(*shape), bias(*shape)
    return layer


class UvitBlock(nn.Module):
    def __init__(self, dim, heads, mlp_ratio, has_skip):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = TokenAttention(dim, heads, small, False)
        self.feed_forward = FeedForward(dim, mlp_ratio * dim, "none", small)
        self.skip = linear(2 * dim, dim, small) if has_skip else None

    def forward(self, x, kept=None):
        if self.skip is not None:
            x = self.skip(torch.cat([x, kept], 2))
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Uvit(Transformer):
    """U-ViT (src/model/uvit.rs)."""

    def __init__(self, images, side, classes, outputs, patch, dim, depth, heads, mlp_ratio, class_dropout):
        super().__init__()
        self.patch, self.side, self.outputs = patch, side // patch, outputs
        self.patches = conv_patches(images, dim, patch, torch_default, torch_default)
        self.classes = None if classes is None else ClassEmbedding(classes, class_dropout, dim, ("normal", 1.0))
        tokens = self.side**2 + (1 if classes is None else 2)
        # In a list, so that it comes after the modules above.
        self.positions = nn.ParameterList([nn.Parameter(torch.zeros(tokens, dim))])
        self.positions[0].initial = ("normal", 0.02)
        self.first = nn.ModuleList(UvitBlock(dim, heads, mlp_ratio, False) for _ in range(depth // 2))
        self.middle = UvitBlock(dim, heads, mlp_ratio, False)
        self.second = nn.ModuleList(UvitBlock(dim, heads, mlp_ratio, True) for _ in range(depth // 2))
        self.norm = nn.LayerNorm(dim)
        self.output = linear(dim, patch * patch * outputs, small)
        self.smoothing = conv(outputs, outputs, 3, torch_default, torch_default)
        self.sinusoids = Sinusoids(dim)

    def forward(self, x, t, classes=None, masks=None, kept=None):
        h = [self.sinusoids(t)[:, None], self.patches(x).flatten(2).transpose(1, 2)]
        if self.classes is not None:
            h.insert(0, self.classes(classes)[:, None])
        h = torch.cat(h, 1) + self.positions[0]
        route, others, skips = TokenRoute(self, kept), h.shape[1] - self.side**2, []
        for block in self.first:
            h = route.through(h, others, block)
            skips.append(h)
        h = route.through(h, others, self.middle)
        for block in self.second:
            h = route.through(h, others, lambda h: block(h, skips.pop()))
        h = self.output(self.norm(h))[:, -self.side**2 :]
        return self.smoothing(join_patches(h, self.side, self.patch, self.outputs))
