"""Makes tests/golden/report/squares.otf: a font with PostScript outlines (CFF) whose letters are squares, all of one width.

It has the digits, the Latin letters without accents and a few signs, so that tests of figures know each width and which letters
are missing. Needs fonttools.

    python scripts/golden/square_font.py tests/golden/report/squares.otf
"""

import string
import sys

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen

UNITS = 1000
CHARACTERS = string.digits + string.ascii_letters + " .,:;()[]+-=/%…×–−"
names = {character: f"u{ord(character):04X}" for character in CHARACTERS}


def outline(side):
    pen = T2CharStringPen(UNITS, None)
    if side:
        pen.moveTo((100, 0))
        for corner in [(100 + side, 0), (100 + side, side), (100, side)]:
            pen.lineTo(corner)
        pen.closePath()
    return pen.getCharString()


builder = FontBuilder(UNITS, isTTF=False)
order = [".notdef", *names.values()]
builder.setupGlyphOrder(order)
builder.setupCharacterMap({ord(character): name for character, name in names.items()})
sides = {".notdef": 300, **{name: 0 if character == " " else 800 for character, name in names.items()}}
builder.setupCFF("SpeedlabSquares", {}, {name: outline(side) for name, side in sides.items()}, {})
builder.setupHorizontalMetrics({name: (UNITS, 100 if sides[name] else 0) for name in order})
builder.setupHorizontalHeader(ascent=900, descent=-300)
builder.setupNameTable({"familyName": "Speedlab Squares", "styleName": "Regular"})
builder.setupOS2(sTypoAscender=900, sTypoDescender=-300, sCapHeight=800)
builder.setupPost()
builder.font["head"].created = builder.font["head"].modified = 0
builder.font.recalcTimestamp = False
builder.save(sys.argv[1])
