"""Makes tests/golden/resize.json: small pictures resized by Pillow's bicubic filter, and squares cut out of their middle first.

    pip install numpy==2.4.6 pillow==13.0.0
    python3 scripts/golden/resize.py

Pixels come from a formula that the unit tests of src/evaluate/features/resize.rs repeat.
"""

import json
import pathlib

import numpy
from PIL import Image

# height, width, side
CASES = [(5, 7, 12), (8, 8, 14), (33, 33, 12), (40, 28, 16), (9, 31, 9)]


def picture(height, width):
    y, x, channel = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing="ij")
    return ((x * x * 7 + y * 31 * (channel + 1) + x * y * 5 + channel * 90) % 256).astype(numpy.uint8)


def main():
    lines = []
    for height, width, side in CASES:
        image = Image.fromarray(picture(height, width))
        short = min(height, width)
        left, top = (width - short) // 2, (height - short) // 2
        square = image.crop((left, top, left + short, top + short))
        resized = [numpy.asarray(it.resize((side, side), Image.BICUBIC)).flatten().tolist() for it in (image, square)]
        case = {"height": height, "width": width, "side": side, "squeezed": resized[0], "cut": resized[1]}
        lines.append(json.dumps(case, separators=(",", ":")))
    path = pathlib.Path(__file__).parents[2] / "tests/golden/resize.json"
    path.write_text("\n".join(lines) + "\n")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
