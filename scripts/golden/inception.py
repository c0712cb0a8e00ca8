"""tests/golden/inception.json: features of InceptionV3 with weights from a formula.

Needs torch, torchvision, pytorch-fid 0.3.0, torch-fidelity 0.4.0 and clean-fid 0.1.35. No weights are downloaded: the
packages' networks are filled from a formula, which tests/integration/features.rs has too.

    python scripts/golden/inception.py
    python scripts/golden/inception.py --weights FILE.pth     # only those weights, as torch.save writes them
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import torch

MASK = np.uint64(0xFFFFFFFF)


def name_hash(name):
    """FNV-1a of the name's bytes, 32 bits."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def uniform(name, count):
    """Numbers in [-1, 1), a function of the name and the index."""
    x = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(name_hash(name))) & MASK
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x45D9F3B)) & MASK
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 2.0**31 - 1.0


def weights(name, shape):
    """He-scaled weights; statistics of norms near those of standard normals."""
    count = int(np.prod(shape))
    values = uniform(name, count)
    if name.endswith("running_var"):
        values = 1.0 + 0.25 * values
    elif name.endswith("running_mean") or name.endswith("bias"):
        values = 0.1 * values
    elif len(shape) == 1:
        values = 1.0 + 0.1 * values
    else:
        values = values * np.sqrt(6.0 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def image(name, height, width):
    """Bytes [height, width, 3]: smooth waves and noise."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = uniform(name, height * width * 3).reshape(height, width, 3)
    waves = np.sin(x * (c + 1) * 0.37 + y * 0.21)
    return np.clip(np.round(127.5 + 80.0 * waves + 40.0 * noise), 0, 255).astype(np.uint8)


def state_dict():
    """All weights of the network, under pytorch-fid's names."""
    import pytorch_fid.inception as pytorch_fid

    # pytorch-fid downloads its weights while it builds the network: here it gets those of the formula instead.
    found = {}

    def fill(module, state, strict=True):
        del state, strict
        for name, tensor in module.state_dict().items():
            if not name.startswith("AuxLogits"):
                found[name] = tensor if name.endswith("num_batches_tracked") else weights(name, tuple(tensor.shape))

    inception = pytorch_fid.torchvision.models.Inception3
    original, inception.load_state_dict = inception.load_state_dict, fill
    pytorch_fid.load_state_dict_from_url = lambda *_, **__: {}
    pytorch_fid.fid_inception_v3()
    inception.load_state_dict = original
    return found


def values(layers):
    """Every value of the first two layers, every eighth of the others."""
    step = {64: 1, 192: 1, 768: 8, 2048: 8, 1008: 8, 2023: 8}
    return {str(len(layer)): [float(x) for x in layer[:: step[len(layer)]]] for layer in layers}


def keep_spatial(block, kept):
    """Appends the spatial features of every forward pass to `kept`, as ADM's evaluator has them.

    That reads the tensor `mixed_6/conv:0` of TensorFlow's graph, `[..., :7]`, pixel by pixel (evaluations/evaluator.py of
    openai/guided-diffusion). It is the output of `Mixed_6d.branch1x1`: see `map_tf_to_pt` in convert_inception_weights.py of
    toshas/torch-fidelity.
    """

    def hook(module, inputs, output):
        del module, inputs
        kept.append(output.permute(0, 2, 3, 1)[..., :7].reshape(len(output), -1)[0])

    block.branch1x1.register_forward_hook(hook)


def main():
    state = state_dict()
    if len(sys.argv) == 3 and sys.argv[1] == "--weights":
        torch.save(state, sys.argv[2])
        print(f"{len(state)} tensors: {sys.argv[2]}")
        return

    import pytorch_fid.inception as pytorch_fid
    from cleanfid.resize import build_resizer
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    pytorch_fid.load_state_dict_from_url = lambda *_, **__: state
    resizing = pytorch_fid.InceptionV3([0, 1, 2, 3]).eval()
    plain = pytorch_fid.InceptionV3([0, 1, 2, 3], resize_input=False, normalize_input=False).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/weights.pth"
        torch.save(state, path)
        names = ["64", "192", "768", "2048", "logits_unbiased"]
        fidelity = FeatureExtractorInceptionV3("inception-v3-compat", names, feature_extractor_weights_path=path)

    # The third part of pytorch-fid's network goes from Mixed_5b to Mixed_6e; its seventh block is Mixed_6d.
    spatial = []
    for block in (resizing.blocks[2][6], fidelity.Mixed_6d, plain.blocks[2][6]):
        keep_spatial(block, spatial)

    cases = []
    for name, height, width in [("first", 32, 32), ("second", 400, 310)]:
        spatial.clear()
        pixels = image(name, height, width)
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        clean = torch.from_numpy(build_resizer("clean")(pixels)).permute(2, 0, 1)[None]
        with torch.no_grad():
            found = {
                "pytorch-fid": [layer.mean(dim=(2, 3))[0] for layer in resizing(batch.float() / 255.0)],
                "torch-fidelity": [layer[0] for layer in fidelity(batch)],
                "clean": [layer.mean(dim=(2, 3))[0] for layer in plain((clean - 128.0) / 128.0)],
            }
        # In the order of the passes above, which is that of their names.
        for (resize, layers), own in zip(found.items(), spatial, strict=True):
            layers.append(own)
            cases.append({"image": name, "height": height, "width": width, "resize": resize, "features": values(layers)})
    out = pathlib.Path(__file__).parents[2] / "tests/golden/inception.json"
    out.write_text("".join(json.dumps(case) + "\n" for case in cases))
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
