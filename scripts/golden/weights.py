"""tests/golden/weights/: small files of weights as torch.save writes them, in the form of today and in that before 1.6.

    python scripts/golden/weights.py
"""

import pathlib

import torch

folder = pathlib.Path(__file__).parents[2] / "tests/golden/weights"
folder.mkdir(exist_ok=True)
state = {
    "layer.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    # Not in the order of memory.
    "layer.turned": (torch.arange(6, dtype=torch.float32).reshape(2, 3)).t(),
    "layer.num_batches_tracked": torch.tensor(7),
}
torch.save(state, folder / "today.pth")
torch.save(state, folder / "before-1.6.pth", _use_new_zipfile_serialization=False)
