"""Makes tests/golden/width.json: what the authors' package `mup` does to the parameters of an MLP of other widths than its base.

    pip install mup==1.0.0 torch==2.15.0
    python3 scripts/golden/width.py

For each parameter: the factor of its deviation at initialization and of Adam's learning rate, both relative to the MLP of the
base width. The former is PyTorch's default, 1 / sqrt(fan in), times what `set_base_shapes` multiplied the values with, measured. The
package also divides the last layer's output by the ratio of the widths; for Adam that is the same as dividing the last layer's
weights and their learning rate by it, which is what is stored.
"""

import json
import pathlib

import torch
from mup.layer import MuReadout
from mup.optim import MuAdam
from mup.shape import set_base_shapes

BASE, INPUTS, OUTPUTS = 64, 9, 3
RATE = 1e-3


class Mlp(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.input = torch.nn.Linear(INPUTS, width)
        self.first = torch.nn.Linear(width, 4 * width)
        self.second = torch.nn.Linear(4 * width, width)
        self.norm = torch.nn.LayerNorm(width)
        self.output = MuReadout(width, OUTPUTS)


def fan_in(net, name):
    return getattr(net, name.split(".")[0]).weight.shape[-1]


def main():
    torch.manual_seed(0)
    cases = []
    for width in (32, 64, 128, 256):
        net, base = Mlp(width), Mlp(BASE)
        before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
        set_base_shapes(net, base, delta=Mlp(2 * BASE))
        rates = {}
        for group in MuAdam(net.parameters(), lr=RATE).param_groups:
            rates |= {id(parameter): group["lr"] / RATE for parameter in group["params"]}
        for name, parameter in net.named_parameters():
            deviation, rate = 1.0, rates[id(parameter)]
            if not name.startswith("norm"):
                multiplied = (parameter.detach() / before[name]).mean().item()
                deviation = multiplied * (fan_in(net, name) / fan_in(base, name)) ** -0.5
            if name == "output.weight":
                deviation, rate = deviation / net.output.width_mult(), rate / net.output.width_mult()
            base_shape = list(dict(base.named_parameters())[name].shape)
            case = {"name": name, "shape": list(parameter.shape), "base_shape": base_shape}
            cases.append(case | {"deviation": round(deviation, 7), "learning_rate": round(rate, 9)})
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "width.json"
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
