"""Speedlab's networks in PyTorch. Modules are registered in the order of Speedlab's layout (src/model/).

Every network is called with noisy images, float timesteps, classes (or None) and dropout masks (or None).
"""

import torch
import torch.nn.functional as F
from torch import nn

import draws
from aligned_tokens import Projection
from layers import ClassEmbedding, PixelAttention, Sinusoids, conv, initialize, linear, torch_default, variance_scaling, zeros
from transformers import Dit, Uvit

# The first parts of the names of hidden layers, whose matrices are Muon's.
HIDDEN = ("down", "middle", "up", "blocks", "first", "second")


def build(model, image_shape, seed, aligned_hidden=None):
    """The network of the spec's `model` for images of (channels, side, classes), its first weights drawn from `seed`.

    With `aligned_hidden` also the small network of so many hidden numbers by which tokens are aligned, in training alone.
    """
    channels, side, classes = image_shape
    model = dict(model)
    kind, learned_sigma = model.pop("kind"), model.pop("learned_sigma", False)
    is_told = model.pop("class_conditional")
    network = dict(unet=Unet, adm=Adm, dit=Dit, uvit=Uvit)[kind]
    net = network(channels, side, classes if is_told else None, channels * (2 if learned_sigma else 1), **model)
    if aligned_hidden is not None:
        net.projection = Projection(model["dim"], aligned_hidden)
    initialize(net, seed)
    return net


class UnetBlock(nn.Module):
    """DDPM's residual block."""

    COUNTS_RESAMPLING = False

    def __init__(self, inputs, outputs, embedding, groups, side):
        super().__init__()
        self.mask_shape = outputs, side, side
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = conv(inputs, outputs, 3, variance_scaling)
        self.time = linear(embedding, outputs, variance_scaling)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = conv(outputs, outputs, 3, zeros)
        self.shortcut = conv(inputs, outputs, 1, variance_scaling) if inputs != outputs else None

    def forward(self, x, time, mask=None):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        h = F.silu(self.norm2(h))
        h = self.conv2(h if mask is None else h * mask)
        return h + (x if self.shortcut is None else self.shortcut(x))


class AdmBlock(nn.Module):
    """ADM's residual block, which may halve or double the side; `side` is that of its output."""

    COUNTS_RESAMPLING = True

    def __init__(self, inputs, outputs, embedding, groups, side, scale_shift_norm, resample=None):
        super().__init__()
        self.scale_shift_norm, self.resample = scale_shift_norm, resample
        self.mask_shape = outputs, side, side
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = conv(inputs, outputs, 3, torch_default, torch_default)
        self.embedding = linear(embedding, 2 * outputs if scale_shift_norm else outputs, torch_default, torch_default)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = conv(outputs, outputs, 3, zeros)
        self.shortcut = conv(inputs, outputs, 1, torch_default, torch_default) if inputs != outputs else None

    def resampled(self, x):
        if self.resample == "halve":
            return F.avg_pool2d(x, 2)
        return double(x) if self.resample == "double" else x

    def forward(self, x, embedding, mask=None):
        h = self.conv1(self.resampled(F.silu(self.norm1(x))))
        x = self.resampled(x)
        embedded = self.embedding(embedding)[:, :, None, None]
        if self.scale_shift_norm:
            scale, shift = embedded.chunk(2, 1)
            h = F.silu(self.norm2(h) * (1 + scale) + shift)
        else:
            h = F.silu(self.norm2(h + embedded))
        h = self.conv2(h if mask is None else h * mask)
        return h + (x if self.shortcut is None else self.shortcut(x))


def double(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Upsample(nn.Module):
    def __init__(self, convolution):
        super().__init__()
        self.conv = convolution

    def forward(self, x):
        return self.conv(double(x))


class LevelBlock(nn.Module):
    """A residual block and, where there is one, the attention after it."""

    def __init__(self, residual, attention):
        super().__init__()
        self.residual, self.attention = residual, attention

    def forward(self, x, embedding, mask=None):
        x = self.residual(x, embedding, mask)
        return x if self.attention is None else self.attention(x)


class LeveledNet(nn.Module):
    """What the UNets of DDPM and of ADM share."""

    def assemble(self, images, side, classes, outputs, model, width, sinusoids, weight, bias, block, attention, resample):
        channels, multipliers = model["channels"], model["channel_multipliers"]
        count, groups, attends = model["blocks_per_level"], model["norm_groups"], model["attention_resolutions"]
        self.dropout = model["dropout"]
        length = 4 * channels
        self.sinusoids = sinusoids
        self.time1 = linear(channels, length, weight, bias)
        self.time2 = linear(length, length, weight, bias)
        self.classes = None
        if classes is not None:
            self.classes = ClassEmbedding(classes, model["class_dropout"], length, ("normal", 1.0))
        self.input = conv(images, width, 3, weight, bias)
        level_block = lambda inputs, outputs: LevelBlock(
            block(inputs, outputs, side), attention(outputs) if side in attends else None
        )
        now, kept = width, [width]
        self.down, self.middle, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, multiplier in enumerate(multipliers):
            for _ in range(count):
                self.down.append(level_block(now, channels * multiplier))
                now = channels * multiplier
                kept.append(now)
            if level + 1 < len(multipliers):
                side //= 2
                self.down.append(resample(now, "halve", side))
                kept.append(now)
        self.middle.extend([block(now, now, side), attention(now), block(now, now, side)])
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(count + 1):
                self.up.append(level_block(now + kept.pop(), channels * multiplier))
                now = channels * multiplier
            if level > 0:
                side *= 2
                self.up.append(resample(now, "double", side))
        self.norm = nn.GroupNorm(groups, now)
        self.output = conv(now, outputs, 3, zeros)

    def dropping_layers(self):
        """(number, shape of an image's mask) of each layer that drops activations."""
        number, found = 0, []
        counts = next(block for block in self.modules() if isinstance(block, (UnetBlock, AdmBlock))).COUNTS_RESAMPLING
        for layer in [*self.down, *self.middle, *self.up]:
            block = layer.residual if isinstance(layer, LevelBlock) else layer
            is_block = isinstance(block, (UnetBlock, AdmBlock))
            is_resampling = not is_block and not isinstance(block, PixelAttention)
            number += is_block or (counts and is_resampling)
            if is_block and self.dropout > 0.0:
                found.append((number, block.mask_shape))
        return found

    def forward(self, x, t, classes=None, masks=None):
        masks = iter(masks or [])
        embedding = self.time2(F.silu(self.time1(self.sinusoids(t))))
        if self.classes is not None:
            embedding = embedding + self.classes(classes)
        embedding = F.silu(embedding)
        # The residual blocks, each given the next mask.
        apply = lambda layer, h: (
            layer(h, embedding, next(masks, None)) if isinstance(layer, (LevelBlock, UnetBlock, AdmBlock)) else layer(h)
        )
        h = self.input(x)
        kept = [h]
        for layer in self.down:
            h = apply(layer, h)
            kept.append(h)
        for layer in self.middle:
            h = apply(layer, h)
        for layer in self.up:
            h = apply(layer, torch.cat([h, kept.pop()], 1) if isinstance(layer, LevelBlock) else h)
        return self.output(F.silu(self.norm(h)))


class Unet(LeveledNet):
    """The UNet of DDPM (src/model/unet.rs)."""

    def __init__(self, images, side, classes, outputs, **model):
        super().__init__()
        channels, groups = model["channels"], model["norm_groups"]
        block = lambda inputs, outputs, side: UnetBlock(inputs, outputs, 4 * channels, groups, side)
        attention = lambda channels: PixelAttention(channels, groups, model["attention_heads"], variance_scaling)

        def resample(channels, way, side):
            if way == "halve":
                return conv(channels, channels, 3, variance_scaling, stride=2)
            return Upsample(conv(channels, channels, 3, variance_scaling))

        sinusoids = Sinusoids(channels, sines_first=True)
        parts = block, attention, resample
        self.assemble(images, side, classes, outputs, model, channels, sinusoids, variance_scaling, zeros, *parts)


class Adm(LeveledNet):
    """The UNet of ADM and of Improved DDPM (src/model/adm.rs)."""

    def __init__(self, images, side, classes, outputs, **model):
        super().__init__()
        channels, groups, shifts = model["channels"], model["norm_groups"], model["scale_shift_norm"]
        block = lambda inputs, outputs, side, way=None: AdmBlock(inputs, outputs, 4 * channels, groups, side, shifts, way)

        def attention(channels):
            size = model["head_channels"]
            heads = model["attention_heads"] if size is None else channels // size
            return PixelAttention(channels, groups, heads, torch_default, torch_default)

        def resample(channels, way, side):
            if model["resblock_updown"]:
                return block(channels, channels, side, way)
            if way == "halve":
                return conv(channels, channels, 3, torch_default, torch_default, stride=2)
            return Upsample(conv(channels, channels, 3, torch_default, torch_default))

        width, parts = channels * model["channel_multipliers"][0], (block, attention, resample)
        init = torch_default, torch_default
        self.assemble(images, side, classes, outputs, model, width, Sinusoids(channels), *init, *parts)


def dropout_masks(net, batch_size, seed, step, factor):
    """The masks of a step on images of 1 / factor of their side, one for each layer that drops; drawn as src/model/dropout.rs draws them."""
    rate = getattr(net, "dropout", 0.0)
    if rate <= 0.0:
        return []
    masks = []
    for number, (channels, height, width) in net.dropping_layers():
        shape = channels, height // factor, width // factor
        words = draws.Draws(seed, draws.DROPOUT, (step << 16) + number).words(batch_size * shape[0] * shape[1] * shape[2])
        kept = torch.from_numpy(words >= int(rate * 2.0**32)).float() * torch.tensor(1.0 / (1.0 - rate)).float()
        masks.append(kept.reshape(batch_size, *shape))
    return masks
