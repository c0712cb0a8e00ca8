"""tests/golden/adm.json: ADM's UNet as diffusers builds it: outputs, gradients, parameters and operations, in f64.

    python scripts/golden/adm.py

needs torch and diffusers (0.42.1 here). Parameters are filled with the formula of unet.py, in the order of the network in
src/model/adm.rs.
"""

import json
import math
import pathlib

import torch
from diffusers import UNet2DModel
from torch.utils.flop_counter import FlopCounterMode

from rounding import rounded


def formula(shape, start=0):
    """sin(1), sin(4), sin(9), ...: not periodic, so that matrices of it have full rank."""
    return torch.sin(torch.arange(start + 1, start + math.prod(shape) + 1).double() ** 2).reshape(shape)


def build(model, images, side, classes):
    """The network of our `model` keys, for images of `images` channels and, where it is told them, so many classes."""
    levels = len(model["channel_multipliers"])
    channels = [model["channels"] * multiplier for multiplier in model["channel_multipliers"]]
    attends = [side >> level in model["attention_resolutions"] for level in range(levels)]
    blocks = model["resblock_updown"]
    plain = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if blocks else ("DownBlock2D", "UpBlock2D")
    return UNet2DModel(
        sample_size=side,
        in_channels=images,
        out_channels=images * (2 if model["learned_sigma"] else 1),
        down_block_types=["AttnDownBlock2D" if attend else plain[0] for attend in attends],
        up_block_types=["AttnUpBlock2D" if attend else plain[1] for attend in reversed(attends)],
        block_out_channels=channels,
        layers_per_block=model["blocks_per_level"],
        downsample_type="resnet" if blocks else "conv",
        upsample_type="resnet" if blocks else "conv",
        attention_head_dim=model["head_channels"] or channels[-1] // model["attention_heads"],
        norm_num_groups=model["norm_groups"],
        attn_norm_num_groups=model["norm_groups"],
        norm_eps=1e-5,
        resnet_time_scale_shift="scale_shift" if model["scale_shift_norm"] else "default",
        flip_sin_to_cos=True,
        freq_shift=0,
        downsample_padding=1,
        num_class_embeds=classes if model["class_conditional"] else None,
    )


def slots(net):
    """Its parameters in our order; queries, keys and values are one of ours."""

    def layer(*modules):
        yield [module.weight for module in modules]
        yield [module.bias for module in modules]

    def residual(block):
        for name in ["norm1", "conv1", "time_emb_proj", "norm2", "conv2"]:
            yield from layer(getattr(block, name))
        if block.conv_shortcut is not None:
            yield from layer(block.conv_shortcut)

    def attention(block):
        yield from layer(block.group_norm)
        yield from layer(block.to_q, block.to_k, block.to_v)
        yield from layer(block.to_out[0])

    def level(block, resamplers):
        attentions = getattr(block, "attentions", [None] * len(block.resnets))
        for resnet, attending in zip(block.resnets, attentions):
            yield from residual(resnet)
            if attending is not None:
                yield from attention(attending)
        for resampler in resamplers or []:
            yield from residual(resampler) if hasattr(resampler, "norm1") else layer(resampler.conv)

    yield from layer(net.time_embedding.linear_1)
    yield from layer(net.time_embedding.linear_2)
    if net.class_embedding is not None:
        yield [net.class_embedding.weight]
    yield from layer(net.conv_in)
    for block in net.down_blocks:
        yield from level(block, block.downsamplers)
    yield from residual(net.mid_block.resnets[0])
    yield from attention(net.mid_block.attentions[0])
    yield from residual(net.mid_block.resnets[1])
    for block in net.up_blocks:
        yield from level(block, block.upsamplers)
    yield from layer(net.conv_norm_out)
    yield from layer(net.conv_out)


def settings(**changes):
    return dict(
        kind="adm",
        channels=8,
        channel_multipliers=[1, 2],
        blocks_per_level=1,
        attention_resolutions=[],
        attention_heads=1,
        head_channels=None,
        scale_shift_norm=True,
        resblock_updown=True,
        learned_sigma=False,
        norm_groups=4,
        class_conditional=False,
        class_dropout=0.0,
    ) | changes


CASES = [
    (settings(), 1, 8),
    (
        settings(
            channel_multipliers=[1, 2, 3],
            blocks_per_level=2,
            attention_resolutions=[4, 2],
            head_channels=4,
            learned_sigma=True,
            class_conditional=True,
        ),
        3,
        8,
    ),
    (
        settings(
            channel_multipliers=[1, 1],
            attention_resolutions=[8, 4],
            attention_heads=2,
            scale_shift_norm=False,
            resblock_updown=False,
        ),
        3,
        8,
    ),
]

# Published settings, for images of 3 channels; heads have no parameters.
COUNTED = {
    "iddpm-cifar10": (
        settings(
            channels=128,
            channel_multipliers=[1, 2, 2, 2],
            blocks_per_level=3,
            attention_resolutions=[16, 8],
            attention_heads=4,
            resblock_updown=False,
            learned_sigma=True,
            norm_groups=32,
        ),
        32,
    ),
    "adm-imagenet64": (
        settings(
            channels=192,
            channel_multipliers=[1, 2, 3, 4],
            blocks_per_level=3,
            attention_resolutions=[32, 16, 8],
            head_channels=64,
            learned_sigma=True,
            norm_groups=32,
            class_conditional=True,
        ),
        64,
    ),
    "adm-imagenet128": (
        settings(
            channels=256,
            channel_multipliers=[1, 1, 2, 3, 4],
            blocks_per_level=2,
            attention_resolutions=[32, 16, 8],
            attention_heads=4,
            learned_sigma=True,
            norm_groups=32,
            class_conditional=True,
        ),
        128,
    ),
    "adm-imagenet256": (
        settings(
            channels=256,
            channel_multipliers=[1, 1, 2, 2, 4, 4],
            blocks_per_level=2,
            attention_resolutions=[32, 16, 8],
            head_channels=64,
            learned_sigma=True,
            norm_groups=32,
            class_conditional=True,
        ),
        256,
    ),
}


def case(model, images, side):
    classes = [2, 0, 4] if model["class_conditional"] else None
    net = build(model, images, side, 5).double()
    ours = list(slots(net))
    assert sum(p.numel() for slot in ours for p in slot) == sum(p.numel() for p in net.parameters())
    norms = {id(module.weight) for module in net.modules() if isinstance(module, torch.nn.GroupNorm)}
    start = 0
    with torch.no_grad():
        for slot in ours:
            for parameter in slot:
                parameter.copy_(0.1 * formula(parameter.shape, start) + (id(parameter) in norms))
                start += parameter.numel()
    timesteps = torch.tensor([0.0, 7.0, 100.0])
    noisy = formula((3, images, side, side))
    output = net(noisy, timesteps, classes and torch.tensor(classes)).sample
    loss = ((output - formula(output.shape).flip(0)) ** 2).mean()
    loss.backward()
    gradients = []
    for slot in ours:
        gradient = torch.cat([parameter.grad.flatten() for parameter in slot])
        gradients.append([gradient.norm().item(), (gradient @ formula(gradient.shape)).item()])
    told = dict(classes=classes, class_count=5) if classes else {}
    return dict(
        model=model,
        **told,
        images=images,
        side=side,
        parameters=start,
        timesteps=timesteps.tolist(),
        output=output.flatten().tolist(),
        loss=loss.item(),
        gradient_norms_and_projections=gradients,
    )


def count(model, side):
    """Parameters, and floating-point operations of one image's forward pass."""
    with torch.device("meta"):
        net = build(model, 3, side, 1000)
        with FlopCounterMode(display=False) as counter:
            classes = torch.zeros(1, dtype=torch.int64) if model["class_conditional"] else None
            net(torch.zeros(1, 3, side, side), torch.zeros(1), classes)
    return dict(parameters=sum(p.numel() for p in net.parameters()), flops=counter.get_total_flops())


def main():
    cases = ",\n".join(json.dumps(rounded(case(*arguments))) for arguments in CASES)
    counts = json.dumps({name: count(*arguments) for name, arguments in COUNTED.items()})
    pathlib.Path("tests/golden/adm.json").write_text(f'{{"presets": {counts}, "cases": [\n{cases}\n]}}\n')
    print(counts)


if __name__ == "__main__":
    main()
