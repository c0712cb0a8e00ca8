"""Makes src/report/font/Inter.ttf, the one font of every figure and of the report page.

Source: Inter 4.0's roman variable font (https://rsms.me/inter, SIL Open Font License 1.1; in Debian the package
fonts-inter-variable). Needs fonttools. Kept: Latin-1, Greek, the signs of mathematics and typography that a report uses;
weights 400 to 650.

    python scripts/golden/font.py /usr/share/fonts/truetype/inter-vf/Inter-roman.var.ttf src/report/font/Inter.ttf
"""

import sys

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

CHARACTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "".join(map(chr, range(0xA0, 0x100)))
    + "".join(chr(code) for code in range(0x391, 0x3CA) if code != 0x3A2)
    + "ıŁłŒœŠšŽžČčĆćŚśŞşĞğŘřŹźŻżĄąĘęŃńŐőŰű"
    + "–—‘’“”„…•′″‰−×÷±≤≥≈≠∞√∑∂∆·→←↑↓⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂\u2009\u202f"
)

source, target = sys.argv[1:]
font = TTFont(source)
print("axes:", [(axis.axisTag, axis.minValue, axis.defaultValue, axis.maxValue) for axis in font["fvar"].axes])
limits = {"wght": (400, 400, 650)}
if any(axis.axisTag == "opsz" for axis in font["fvar"].axes):
    limits["opsz"] = 14
if any(axis.axisTag == "slnt" for axis in font["fvar"].axes):
    limits["slnt"] = 0
font = instancer.instantiateVariableFont(font, limits)

options = subset.Options()
options.layout_features = ["kern", "tnum"]
options.hinting = False
options.notdef_outline = True
options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
subsetter = subset.Subsetter(options)
subsetter.populate(text=CHARACTERS)
subsetter.subset(font)

# plotters takes a size of 1.24 units for one em: with ascent + descent = 1.24 em its SVG and its bitmaps agree.
units = font["head"].unitsPerEm
font["hhea"].ascent = round(0.97 * units)
font["hhea"].descent = font["hhea"].ascent - round(1.24 * units)
font["hhea"].lineGap = 0
font["head"].modified = font["head"].created
font.recalcTimestamp = False
font.save(target)
missing = [character for character in CHARACTERS if ord(character) not in font.getBestCmap()]
print("glyphs:", len(font.getGlyphOrder()), "missing:", missing, "cmap formats:", [(t.platformID, t.format) for t in font["cmap"].tables])
