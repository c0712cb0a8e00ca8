"""Images of every kind that is read, and how many of each file's first bytes Pillow needs.

    pip install pillow==13.0.0 numpy==2.4.6
    python scripts/golden/truncated_images.py tests/golden/truncated

truncated.json names for each file the shortest beginning that Pillow decodes, which is then the whole image. Pillow refuses every
shorter one; so must we.
"""
import io
import json
import pathlib
import sys
import warnings

import numpy
import PIL
from PIL import Image

KINDS = {
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "plain.tif": ("TIFF", {}),
    "lossy.webp": ("WEBP", {"quality": 80}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "plain.bmp": ("BMP", {}),
    "plain.ppm": ("PPM", {}),
    "plain.png": ("PNG", {}),
    "baseline.jpg": ("JPEG", {}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
}


def main(folder):
    warnings.simplefilter("ignore")
    draw = numpy.random.default_rng(5)
    picture = Image.fromarray(draw.integers(0, 255, (9, 11, 3)).astype("uint8"))
    needed = {}
    for name, (kind, settings) in KINDS.items():
        file = io.BytesIO()
        picture.save(file, kind, **settings)
        whole = file.getvalue()
        (folder / name).write_bytes(whole)
        pixels = numpy.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
        accepted = []
        for length in range(len(whole) + 1):
            try:
                found = numpy.asarray(Image.open(io.BytesIO(whole[:length])).convert("RGB"))
            except Exception:  # Pillow raises a dozen kinds
                continue
            assert (found == pixels).all(), (name, length)
            accepted.append(length)
        assert accepted == list(range(accepted[0], len(whole) + 1)), name
        needed[name] = accepted[0]
    made = {"pillow": PIL.__version__, "needed": needed}
    (folder / "truncated.json").write_text(json.dumps(made, indent=1) + "\n")


main(pathlib.Path(sys.argv[1]))
