"""tests/golden/alignment.json: networks of scripts/torch whose tokens are aligned, the pooling of features, EfficientNet-Lite0's planes, and
DINOv2's tokens of patches.

Needs torch, timm 1.0.31, transformers (for vit.py) and the package efficientnet_lite_pytorch 0.1.0, whose network is filled from a formula
(that of inception.py). Made with torch 2.15. From the repository root:

    python scripts/golden/alignment.py

`networks`: the projection is `build_mlp` and the loss `proj_loss` of REPA (Yu et al. 2024, arXiv 2410.06940), written anew here from
torch.nn.functional, in f64. Weights, images and features are filled by formula. `pooling`: adaptive_avg_pool2d, then normalize.
`efficientnet`: every 97th value of the planes after the last block of each stride, of an image of 64 x 64 pixels.
`dinov2`: every 97th value of what `preprocess_raw_image` and `load_encoders` of REPA's code make of that image, written anew here, with timm's
network: the weights of three cases of vit.py, at two sizes.
"""

import importlib.util
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "torch"))
import inception
from rounding import rounded
from transformers import Dit, Uvit

# There is a `networks` in scripts/torch, too.
of_networks = importlib.util.spec_from_file_location("golden_networks", pathlib.Path(__file__).parent / "networks.py")
golden_networks = importlib.util.module_from_spec(of_networks)
of_networks.loader.exec_module(golden_networks)
formula, in_layout = golden_networks.formula, golden_networks.in_layout

FEATURES, GRID, WEIGHT = 64, 4, 0.5
BASE = dict(side=8, patch=2, dim=16, heads=2, mlp_ratio=2, hidden=12)
KEPT = [[0, 3, 5, 6, 9, 15], [1, 2, 3, 8, 13, 14], [0, 4, 7, 10, 11, 12]]
NETWORKS = [
    dict(kind="dit", depth=2, block=1, classes=None, detour=None),
    dict(kind="dit", depth=3, block=1, classes=None, detour=[1, 2]),
    dict(kind="dit", depth=3, block=2, classes=None, detour=[1, 2]),
    dict(kind="uvit", depth=2, block=2, classes=3, detour=None),
    dict(kind="uvit", depth=2, block=2, classes=3, detour=[1, 3]),
]
POOLING = [dict(pixels=4, patches=4), dict(pixels=5, patches=3), dict(pixels=14, patches=8), dict(pixels=3, patches=7)]
STRIDES = {8: 4, 16: 10, 32: 15}
SEEN = 64


def network(case):
    sizes = (case["patch"], case["dim"], case["depth"], case["heads"], case["mlp_ratio"], 0.1)
    if case["kind"] == "dit":
        return Dit(1, case["side"], case["classes"], 1, *sizes, False)
    return Uvit(1, case["side"], case["classes"], 1, *sizes)


def aligned(case):
    """What a case is compared by."""
    case = BASE | case
    net = network(case)
    dim, hidden = case["dim"], case["hidden"]
    layers = [nn.Linear(dim, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, FEATURES)]
    net.projection = nn.ModuleList(layers)
    start = 0
    with torch.no_grad():
        for parameter in in_layout(net, net.parameters()):
            parameter.copy_(0.2 * formula(parameter.shape, start))
            start += parameter.numel()
        for module in net.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight += 1
    seen = {}
    # The tokens as the block gives them out, before others come back.
    blocks = list(net.blocks) if case["kind"] == "dit" else [*net.first, net.middle, *net.second]
    is_last = case["detour"] is not None and case["detour"][1] == case["block"]
    if is_last:
        net.tapped_block = case["block"]
    else:
        blocks[case["block"] - 1].register_forward_hook(lambda module, given, output: seen.update(tokens=output))
    kept = None
    if case["detour"] is not None:
        net.detour, kept = tuple(case["detour"]), torch.tensor(KEPT)
    classes = None if case["classes"] is None else torch.tensor([0, 2, 3])
    images = formula((3, 1, case["side"], case["side"]))
    output = net(images, torch.tensor([0.0, 7.0, 500.0]), classes, kept=kept)
    tokens = net.tapped if is_last else seen["tokens"]
    patches = (case["side"] // case["patch"]) ** 2
    there = patches if kept is None or is_last else kept.shape[1]
    tokens = tokens[:, -there:]
    planes = formula((3, GRID, GRID, FEATURES), 7).permute(0, 3, 1, 2)
    side = case["side"] // case["patch"]
    features = F.adaptive_avg_pool2d(planes, side).flatten(2).transpose(1, 2)
    if there < patches:
        features = features.gather(1, kept[:, :, None].expand(-1, -1, FEATURES))
    first, second, third = layers
    projected = third(F.silu(second(F.silu(first(tokens)))))
    alignment = -(F.normalize(projected, dim=-1) * F.normalize(features, dim=-1)).sum(-1).mean()
    loss = ((output - images) ** 2).mean() + WEIGHT * alignment
    loss.backward()
    gradients = [gradient.flatten() for gradient in in_layout(net, [parameter.grad for parameter in net.parameters()])]
    return dict(
        **case,
        kept=None if kept is None else kept.flatten().tolist(),
        told=None if classes is None else classes.tolist(),
        parameters=start,
        alignment=alignment.item(),
        loss=loss.item(),
        gradient_norms_and_projections=[[g.norm().item(), (g @ formula(g.shape)).item()] for g in gradients],
    )


def pooled(case):
    """The features of one image with three channels: `[patches * patches, 3]`, each of length 1."""
    planes = formula((1, case["pixels"], case["pixels"], 3)).permute(0, 3, 1, 2)
    found = F.normalize(F.adaptive_avg_pool2d(planes, case["patches"]), dim=1)
    return case | dict(features=found.permute(0, 2, 3, 1).flatten().tolist())


def efficientnet():
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0").eval().float()
    state = net.state_dict()
    state = {
        name: tensor if name.endswith("num_batches_tracked") else inception.weights(name, tuple(tensor.shape)).float()
        for name, tensor in state.items()
    }
    net.load_state_dict(state)
    net = net.double()
    seen = {}
    for stride, block in STRIDES.items():
        net._blocks[block].register_forward_hook(lambda module, given, output, stride=stride: seen.update({stride: output}))
    pixels = torch.from_numpy(inception.image("alignment", SEEN, SEEN)).double()
    with torch.no_grad():
        net.extract_features(((pixels - 127.0) / 128.0).permute(2, 0, 1)[None])
    planes = lambda stride: seen[stride][0].permute(1, 2, 0)
    return [
        dict(stride=stride, shape=list(planes(stride).shape), planes=planes(stride).flatten()[::97].tolist())
        for stride in STRIDES
    ]


def dinov2(name, side, grid, registers):
    """By a network that was trained with `grid` patches of 14 pixels in a row; the image is resized to `side`."""
    dim, patch = 128, 14
    net = VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=dim, depth=2, num_heads=2, num_classes=0, init_values=1.0,
        reg_tokens=registers, no_embed_class=registers > 0, norm_layer=lambda dim, **_: nn.LayerNorm(dim, eps=1e-6),
    )
    of_class = 0 if registers > 0 else 1
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    shapes["pos_embed"] = (1, of_class + grid**2, dim)
    state = {name: inception.weights(name, shape).double() for name, shape in shapes.items()}
    state["pos_embed"] = resample_abs_pos_embed(
        state["pos_embed"], [side // patch] * 2, num_prefix_tokens=of_class, old_size=[grid] * 2
    )
    net.load_state_dict(state)
    pixels = torch.from_numpy(inception.image("alignment", SEEN, SEEN)).double().permute(2, 0, 1)[None] / 255.0
    means, deviations = (torch.tensor(values)[:, None, None] for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    seen = F.interpolate((pixels - means) / deviations, side, mode="bicubic")
    with torch.no_grad():
        tokens = net.double().eval().forward_features(seen)[:, 1 + registers :]
    return dict(name=name, side=side, planes=tokens.flatten()[::97].tolist())


def main():
    torch.set_default_dtype(torch.float64)
    found = dict(
        networks=[aligned(case) for case in NETWORKS],
        pooling=[pooled(case) for case in POOLING],
        efficientnet=efficientnet(),
        dinov2=[
            dinov2("dinov2 of its authors", 56, 6, 0),
            dinov2("dinov2 of its authors", 112, 6, 0),
            dinov2("dinov2 with registers of timm", 42, 4, 3),
        ],
    )
    line = lambda cases: ",\n".join(json.dumps(rounded(case)) for case in cases)
    parts = ",\n".join(f'"{name}": [\n{line(cases)}\n]' for name, cases in found.items())
    pathlib.Path("tests/golden/alignment.json").write_text(f"{{{parts}}}\n")


if __name__ == "__main__":
    main()
