"""Makes tests/golden/patches.json: coordinates of crops by the formula of Patch Diffusion's code, in PyTorch.

    pip install torch==2.15.0
    python3 scripts/golden/patches.py

The formula is that of `pachify` in the authors' training/patch_loss.py (Wang et al. 2023, arXiv 2304.12526): positions from 0 to
the image's side minus 1, divided by the latter, minus a half, times two; columns are the first channel, rows the second.
"""

import json
import pathlib

import torch

# side of the image, side of the crop, row and column of its first pixel
CASES = [(8, 8, 0, 0), (8, 4, 1, 3), (8, 2, 6, 0), (32, 8, 24, 11), (28, 14, 0, 14)]


def places(image_side, side, row, column):
    across = (torch.arange(side, dtype=torch.float64) + column).expand(side, side)
    down = (torch.arange(side, dtype=torch.float64) + row).unsqueeze(1).expand(side, side)
    return torch.stack([(axis / (image_side - 1) - 0.5) * 2.0 for axis in (across, down)])


def main():
    cases = []
    for image_side, side, row, column in CASES:
        values = places(image_side, side, row, column)
        rounded = [round(value, 8) for value in values.flatten().tolist()]
        cases.append({"image_side": image_side, "side": side, "row": row, "column": column, "coordinates": rounded})
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "patches.json"
    path.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
