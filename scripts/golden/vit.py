"""tests/golden/vit.json: encoders of images at a small size, with weights from a formula; and tests/golden/weights/dinov2.pth: the
smallest of them, as torch.save writes it.

Needs torch 2.15, transformers 5.24 (Dinov2Model, Dinov2WithRegistersModel, CLIPVisionModelWithProjection) and timm 1.0.31 (its
VisionTransformer has the names of DINOv2's own files, and it reads those with registers). No weights are downloaded: the networks are filled from the formula of scripts/golden/inception.py, which
tests/integration/features.rs has too, by the names that files have. They compute in float64.

    python scripts/golden/vit.py
"""

import json
import math
import pathlib
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from inception import uniform, weights

DIM, DEPTH, PATCH, SIDE, IMAGES = 128, 2, 14, 56, 2
GOLDEN = pathlib.Path(__file__).parents[2] / "tests/golden"
# Positions of a training with larger images.
GRID = 6
REGISTERS = 3
# Of the patches' tokens, every so many numbers.
STEP = 97


def images():
    """[IMAGES, 3, SIDE, SIDE], as normalised colours are."""
    values = 2.0 * uniform("images", IMAGES * 3 * SIDE * SIDE)
    return torch.from_numpy(values).float().double().reshape(IMAGES, 3, SIDE, SIDE)


def from_file(network_class, config):
    """A network that transformers reads from a file of weights, and the tensors of that file."""
    with tempfile.TemporaryDirectory() as folder:
        network_class(config).save_pretrained(folder)
        path = pathlib.Path(folder) / "model.safetensors"
        with safe_open(path, "pt") as file:
            shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}
        save_file({name: weights(name, tuple(shape)) for name, shape in shapes.items()}, path, {"format": "pt"})
        network = network_class.from_pretrained(folder)
    return network.double().eval(), shapes


def numbers(tensor, step=1):
    return [float(f"{x:.9g}") for x in tensor.flatten()[::step].tolist()]


def case(name, shapes, features, patches, side=SIDE, step=STEP):
    return {
        "name": name,
        "tensors": shapes,
        "side": side,
        "step": step,
        "features": numbers(features),
        "patches": numbers(patches, step),
    }


def dinov2_of_hugging_face():
    config = Dinov2Config(
        hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=DIM // 64, patch_size=PATCH, image_size=SIDE
    )
    network, shapes = from_file(Dinov2Model, config)
    output = network(images())
    return [case("dinov2 of hugging face", shapes, output.pooler_output, output.last_hidden_state[:, 1:])]


def registers_of_hugging_face():
    """Its positions are moved, too."""
    config = Dinov2WithRegistersConfig(
        hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=DIM // 64, patch_size=PATCH,
        image_size=GRID * PATCH, num_register_tokens=REGISTERS,
    )
    network, shapes = from_file(Dinov2WithRegistersModel, config)
    output = network(images())
    patches = output.last_hidden_state[:, 1 + REGISTERS :]
    return [case("dinov2 with registers of hugging face", shapes, output.pooler_output, patches)]


def registers_of_timm():
    """timm's network, with a file of its own names; and with one as DINOv2's authors name tensors, which timm converts."""
    def network():
        return VisionTransformer(
            img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=DIM // 64, num_classes=0,
            init_values=1.0, reg_tokens=REGISTERS, no_embed_class=True,
            norm_layer=lambda dim, **_: torch.nn.LayerNorm(dim, eps=1e-6),
        )

    timm = network()
    shapes = {name: list(tensor.shape) for name, tensor in timm.state_dict().items()}
    timm.load_state_dict({name: weights(name, tuple(shape)) for name, shape in shapes.items()})
    authors = network()
    own = {**shapes, "register_tokens": shapes["reg_token"], "mask_token": [1, DIM]}
    del own["reg_token"]
    own["pos_embed"] = [1, 1 + (SIDE // PATCH) ** 2, DIM]
    file = {name: weights(name, tuple(shape)) for name, shape in own.items()}
    authors.load_state_dict(checkpoint_filter_fn(file, authors))
    found = []
    for name, network, tensors in [
        ("dinov2 with registers of timm", timm, shapes),
        ("dinov2 with registers of its authors", authors, own),
    ]:
        tokens = network.double().eval().forward_features(images())
        found.append(case(name, tensors, tokens[:, 0], tokens[:, 1 + REGISTERS :]))
    return found


def own_positions(positions, grid):
    """As interpolate_pos_encoding of DINOv2's vision_transformer.py moves them."""
    inputs = math.isqrt(positions.shape[1] - 1)
    planes = positions[:, 1:].reshape(1, inputs, inputs, -1).permute(0, 3, 1, 2)
    factor = (grid + 0.1) / inputs
    moved = torch.nn.functional.interpolate(planes, scale_factor=(factor, factor), mode="bicubic")
    assert moved.shape[-2:] == (grid, grid)
    return torch.cat([positions[:, :1], moved.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def dinov2_of_its_authors():
    network = VisionTransformer(
        img_size=GRID * PATCH, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=DIM // 64, num_classes=0,
        init_values=1.0, norm_layer=lambda dim, **_: torch.nn.LayerNorm(dim, eps=1e-6),
    )
    network.load_state_dict({name: weights(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()})
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    # In the files, and for training alone.
    shapes["mask_token"] = [1, DIM]
    network = network.double().eval()
    trained, grid = network.pos_embed.data, SIDE // PATCH
    network.patch_embed.img_size = (SIDE, SIDE)
    cases = []
    for name, positions in [
        ("dinov2 of its authors", own_positions(trained, grid)),
        ("dinov2 with antialiased positions", resample_abs_pos_embed(trained, [grid, grid])),
    ]:
        network.pos_embed.data = positions
        tokens = network.forward_features(images())
        cases.append(case(name, shapes, tokens[:, 0], tokens[:, 1:]))
    return cases


def dinov2_in_a_file_of_pytorch():
    """Half as precise numbers, to be small; what is computed with them is not."""
    dim, patch, side = 64, 2, 8
    network = VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=dim, depth=1, num_heads=1, num_classes=0, mlp_ratio=1.0,
        init_values=1.0, norm_layer=lambda dim, **_: torch.nn.LayerNorm(dim, eps=1e-6),
    )
    state = {name: weights(name, tuple(tensor.shape)).half() for name, tensor in network.state_dict().items()}
    torch.save({**state, "mask_token": torch.zeros(1, dim).half()}, GOLDEN / "weights/dinov2.pth")
    network.load_state_dict(state)
    tokens = network.double().eval().forward_features(images()[:, :, :side, :side])
    return [case("dinov2 in a file of pytorch", {}, tokens[:, 0], tokens[:, 1:], side, 11)]


def clip():
    config = CLIPVisionConfig(
        hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=DIM // 64, patch_size=PATCH, image_size=SIDE,
        intermediate_size=3 * DIM, projection_dim=48,
    )
    network, shapes = from_file(CLIPVisionModelWithProjection, config)
    output = network(images())
    patches = network.vision_model.post_layernorm(output.last_hidden_state)[:, 1:]
    return [case("clip", shapes, output.image_embeds, patches)]


def main():
    with torch.no_grad():
        cases = dinov2_of_hugging_face() + dinov2_of_its_authors() + clip() + dinov2_in_a_file_of_pytorch()
        cases += registers_of_hugging_face() + registers_of_timm()
    (GOLDEN / "vit.json").write_text("".join(json.dumps(case) + "\n" for case in cases))
    for found in cases:
        print(found["name"], found["features"][:3], found["patches"][:3])


if __name__ == "__main__":
    main()
