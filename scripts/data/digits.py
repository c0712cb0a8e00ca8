"""Makes src/data/digits.bin, the digits that ship with the program, from scikit-learn's copy of the UCI set.

    pip download --no-deps scikit-learn
    unzip scikit_learn-*.whl sklearn/datasets/data/digits.csv.gz
    python3 scripts/data/digits.py sklearn/datasets/data/digits.csv.gz

One record of 65 bytes per image, in the order of the source: 64 pixels (row by row, 0 = paper .. 16 = ink), then the
label 0..9. Nothing but Python's standard library is needed; both ends are checked by hash.
"""

import gzip
import hashlib
import pathlib
import sys

CSV_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
BINARY_SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def check(name, content, expected):
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"{name}: sha256 is {found}, expected {expected}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    csv = gzip.decompress(pathlib.Path(sys.argv[1]).read_bytes())
    check("digits.csv", csv, CSV_SHA256)
    binary = bytes(int(value) for line in csv.split() for value in line.split(b","))
    check("digits.bin", binary, BINARY_SHA256)
    target = pathlib.Path(__file__).parents[2] / "src/data/digits.bin"
    target.write_bytes(binary)
    print(f"{target}: {len(binary)} bytes")


main()
