"""Makes tests/golden/pooling.json: images averaged to smaller sides by PyTorch.

    pip install torch==2.15.0 numpy
    python3 scripts/golden/pooling.py

The images come from a formula that tests/integration/schedules.rs repeats: sin(1), sin(4), sin(9), .., in float32. Both
`avg_pool2d` and `adaptive_avg_pool2d` are asked, in float64, and must agree.
"""

import json
import pathlib

import numpy
import torch

# planes, side, smaller side
CASES = [(2, 8, 4), (3, 8, 2), (1, 8, 1), (2, 12, 4), (1, 28, 14), (3, 6, 2)]


def main():
    cases = []
    for planes, side, smaller in CASES:
        count = planes * side * side
        values = numpy.sin(numpy.arange(1, count + 1, dtype=numpy.float64) ** 2).astype(numpy.float32)
        images = torch.from_numpy(values).double().reshape(1, planes, side, side)
        pooled = torch.nn.functional.avg_pool2d(images, side // smaller)
        adaptive = torch.nn.functional.adaptive_avg_pool2d(images, smaller)
        assert torch.allclose(pooled, adaptive, rtol=0, atol=1e-15)
        rounded = [round(value, 9) for value in pooled.flatten().tolist()]
        cases.append({"planes": planes, "side": side, "smaller": smaller, "pooled": rounded})
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "pooling.json"
    path.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
