"""tests/golden/auxiliary.json: the contrastive and the dispersive loss, and their gradients, by PyTorch in f64.

Needs torch. Made with torch 2.15. From the repository root:

    python scripts/golden/auxiliary.py

`contrastive`: the mean over images of |v - u|^2 - weight |v - u'|^2 (Stoica et al. 2025, arXiv 2506.05350, equation 5), where u' is the target
of the next image of the batch, and squares are means over an image's values; `gradient` is that of the prediction v. `dispersive`: InfoNCE with
squared distances (Wang and He 2025, arXiv 2506.09027, algorithm 1): of all pairs, those of an image with itself included, by torch.pdist, whose distances
are divided by the number of values.
"""

import json
import pathlib

import torch
from rounding import rounded


def values(count, salt):
    return [round(((index * 0.618034 + salt) % 1.0) * 2 - 1, 6) for index in range(count)]


def contrastive(batch, size, weight):
    predicted, target = values(batch * size, 0.1), values(batch * size, 0.37)
    v = torch.tensor(predicted, dtype=torch.float64).reshape(batch, size).requires_grad_()
    u = torch.tensor(target, dtype=torch.float64).reshape(batch, size)
    loss = ((v - u).square() - weight * (v - u.roll(-1, 0)).square()).mean()
    loss.backward()
    return dict(shape=[batch, size], weight=weight, predicted=predicted, target=target, loss=loss.item(), gradient=v.grad.flatten().tolist())


def dispersive(batch, size, temperature):
    seen = values(batch * size, 0.77)
    z = torch.tensor(seen, dtype=torch.float64).reshape(batch, size).requires_grad_()
    distances = torch.pdist(z).square() / size
    pairs = torch.cat([distances, distances, torch.zeros(batch, dtype=torch.float64)])
    loss = (-pairs / temperature).exp().mean().log()
    loss.backward()
    return dict(shape=[batch, size], temperature=temperature, seen=seen, loss=loss.item(), gradient=z.grad.flatten().tolist())


found = dict(
    contrastive=[contrastive(*case) for case in [(4, 6, 0.05), (3, 5, 0.5), (7, 12, 0.9)]],
    dispersive=[dispersive(*case) for case in [(4, 6, 0.5), (3, 5, 1.0), (9, 12, 0.25)]],
)
path = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/auxiliary.json"
path.write_text(json.dumps(rounded(found), indent=1) + "\n")
