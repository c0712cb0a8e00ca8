"""Makes tests/golden/images/: small PNG and JPEG files of every kind, and in images.json the pixels they stand for.

    pip install pillow==13.0.0 pypng==0.20220715.0 numpy==2.4.6
    python3 scripts/golden/images.py

PNG files are written by pypng, which writes exactly the samples it is given (grey, alpha, palette, 1 and 16 bits), so
that the expected pixels are arithmetic on these samples. JPEG files are decoded by Pillow (libjpeg-turbo). Images that
are not as large as asked for are cropped to their central square and resized by Pillow's LANCZOS.
"""

import json
import pathlib

import numpy
import PIL
import PIL.Image
import png

FOLDER = pathlib.Path(__file__).parents[2] / "tests/golden/images"
SIDE = 12


def samples(height, width, channels, largest, seed):
    """Smooth enough that JPEG and resizing are not all noise."""
    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    waves = [numpy.sin(0.31 * (c + 1) * x + 0.17 * y + seed) * numpy.cos(0.23 * y * (c + 1) - seed) for c in range(channels)]
    return numpy.rint((numpy.stack(waves, -1) * 0.5 + 0.5) * largest).astype(int)


def eight_bits(values, largest):
    """To the nearest."""
    return (values * 255 + largest // 2) // largest


def over_white(values, alpha):
    """value * alpha + white * (1 - alpha), to the nearest."""
    return (values * alpha + 255 * (255 - alpha) + 127) // 255


def grey_of(rgb):
    """Pillow's convert("L")."""
    return numpy.asarray(PIL.Image.fromarray(rgb.astype(numpy.uint8), "RGB").convert("L")).astype(int)


def finished(pixels):
    """[channels, SIDE, SIDE] of [height, width, channels] in 8 bits, for colour and for grey."""
    height, width = pixels.shape[:2]
    crop = min(height, width)
    top, left = (height - crop) // 2, (width - crop) // 2
    square = pixels[top : top + crop, left : left + crop].astype(numpy.uint8)

    def resized(image):
        return numpy.asarray(image if crop == SIDE else image.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS))

    if square.shape[2] == 1:
        grey = resized(PIL.Image.fromarray(square[:, :, 0], "L"))
        colour = numpy.stack([grey] * 3)
    else:
        colour = resized(PIL.Image.fromarray(square, "RGB")).transpose(2, 0, 1)
        grey = resized(PIL.Image.fromarray(grey_of(square).astype(numpy.uint8), "L"))
    return {"colour": colour.flatten().tolist(), "grey": grey.flatten().tolist()}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = []

    def case(name, pixels, tolerance):
        cases.append({"file": name, "tolerance": tolerance, **finished(pixels)})

    def write_png(name, values, writer):
        with open(FOLDER / name, "wb") as file:
            writer.write(file, values.reshape(values.shape[0], -1).tolist())

    # As large as asked for: what is tested is how samples become bytes.
    n = SIDE
    for name, grey, alpha, bits in [
        ("grey8.png", True, False, 8), ("rgb8.png", False, False, 8), ("grey-alpha8.png", True, True, 8),
        ("rgba8.png", False, True, 8), ("grey16.png", True, False, 16), ("rgb16.png", False, False, 16),
        ("rgba16.png", False, True, 16), ("grey1.png", True, False, 1),
    ]:
        largest = 2**bits - 1
        channels = (1 if grey else 3) + alpha
        values = samples(n, n, channels, largest, len(cases))
        write_png(name, values, png.Writer(n, n, greyscale=grey, alpha=alpha, bitdepth=bits, compression=9))
        pixels = eight_bits(values, largest)
        if alpha:
            pixels = over_white(pixels[:, :, :-1], pixels[:, :, -1:])
        case(name, pixels, 0)
    palette = [(250, 10, 30), (0, 200, 90), (20, 40, 255), (128, 128, 0)]
    indices = samples(n, n, 1, 3, 7)
    write_png("palette.png", indices, png.Writer(n, n, palette=palette, bitdepth=2))
    case("palette.png", numpy.array(palette)[indices[:, :, 0]], 0)
    transparent = [(*colour, alpha) for colour, alpha in zip(palette, [255, 0, 100, 255])]
    write_png("palette-alpha.png", indices, png.Writer(n, n, palette=transparent, bitdepth=2))
    rgba = numpy.array(transparent)[indices[:, :, 0]]
    case("palette-alpha.png", over_white(rgba[:, :, :3], rgba[:, :, 3:]), 0)

    # Cropped and resized, down and up. Both round fixed-point sums, each in its own way.
    for name, height, width, channels in [
        ("wide-rgb.png", 31, 47, 3), ("tall-grey.png", 64, 40, 1), ("small-rgb.png", 7, 9, 3),
    ]:
        values = samples(height, width, channels, 255, len(cases))
        write_png(name, values, png.Writer(width, height, greyscale=channels == 1, compression=9))
        case(name, values, 1)

    # Decoders of JPEG may differ by rounding, and in how they enlarge the colours of 4:2:0.
    for name, mode, options, tolerance in [
        ("grey.jpg", "L", {}, 2), ("rgb444.jpg", "RGB", {"subsampling": 0}, 4), ("rgb420.jpg", "RGB", {"subsampling": 2}, 6),
        ("progressive.jpeg", "RGB", {"progressive": True, "subsampling": 0}, 4),
    ]:
        values = samples(24, 30, 1 if mode == "L" else 3, 255, len(cases)).astype(numpy.uint8)
        image = PIL.Image.fromarray(values[:, :, 0] if mode == "L" else values, mode)
        image.save(FOLDER / name, quality=92, **options)
        decoded = numpy.asarray(PIL.Image.open(FOLDER / name))
        case(name, decoded.reshape(24, 30, -1).astype(int), tolerance)

    made_with = {"pillow": PIL.__version__, "numpy": numpy.__version__, "side": SIDE}
    text = json.dumps({"made_with": made_with, "cases": cases}).replace('{"file"', '\n {"file"')
    (FOLDER / "images.json").write_text(text + "\n")


main()
