"""tests/golden/vae.json: Stable Diffusion's autoencoder at a small size, with weights from a formula.

Needs torch and diffusers 0.42. No weights are downloaded: diffusers' AutoencoderKL is filled from the formula of
scripts/golden/inception.py, which tests/integration/autoencoder.rs has too. It computes in float64.

    python scripts/golden/vae.py
    python scripts/golden/vae.py --weights FOLDER     # only those weights, as diffusers saves them, in float32
"""

import json
import pathlib
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL

from inception import uniform, weights

SIDE = 32
# Of the decoded pixels, every so many.
STEP = 7


def autoencoder():
    """Four levels, as Stable Diffusion's, of few channels."""
    network = AutoencoderKL(
        block_out_channels=[32, 32, 64, 64],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=SIDE,
    )
    network.load_state_dict({name: weights(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()})
    return network.eval()


def image(name):
    """[1, 3, SIDE, SIDE] in [-1, 1]."""
    return torch.from_numpy(uniform(name, 3 * SIDE * SIDE)).reshape(1, 3, SIDE, SIDE)


def latent(name):
    """[1, 4, SIDE / 8, SIDE / 8] in [-3, 3)."""
    side = SIDE // 8
    return torch.from_numpy(3.0 * uniform(name, 4 * side * side)).reshape(1, 4, side, side)


def main():
    network = autoencoder()
    if len(sys.argv) == 3 and sys.argv[1] == "--weights":
        network.save_pretrained(sys.argv[2])
        print(sys.argv[2])
        return
    tensors = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    network = network.double()
    numbers = lambda tensor: [float(np.float64(f"{x:.12g}")) for x in tensor.flatten().tolist()]
    with torch.no_grad():
        moments = {name: numbers(network.encode(image(name)).latent_dist.parameters) for name in ["first", "second"]}
        decoded = {name: numbers(network.decode(latent(name)).sample.flatten()[::STEP]) for name in ["third", "fourth"]}
    golden = {"side": SIDE, "step": STEP, "tensors": tensors, "moments": moments, "decoded": decoded}
    path = pathlib.Path(__file__).parents[2] / "tests/golden/vae.json"
    path.write_text(json.dumps(golden) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
