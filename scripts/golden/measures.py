"""Makes tests/golden/measures.json: KID, precision/recall, density/coverage, Inception score and FID-infinity by others' code.

    pip install numpy==2.4.6 scipy==1.17.1 torch==2.15.0 scikit-learn==1.9.1
    pip install --no-deps torch-fidelity==0.4.0 prdc==0.2
    python3 scripts/golden/measures.py

KID and Inception score are torch-fidelity's, precision, recall, density and coverage those of prdc (of Naeem et al.), the line
of FID-infinity is scipy's. Features come from an integer hash that tests/integration/measures.rs repeats, and go in as f64, so
that only the values are stored.
"""

import contextlib
import io
import json
import pathlib
from importlib.metadata import version

import numpy
import prdc
import scipy.stats
import torch
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd

import frechet

# name, dimension, generated set (stream, rows), reference set (stream, rows), rows of a KID subset
CASES = [
    ("few", 8, (1, 60), (2, 80), 50),
    ("as wide as digits-cnn", 64, (3, 700), (4, 1100), 400),
    ("more values than images", 128, (5, 90), (6, 70), 60),
]


def subset(index, count, rows):
    """Different rows: `count` has no factor in common with 7 or 11."""
    return (7 * numpy.arange(rows) + 11 * index) % count


def kid(generated, reference, rows):
    options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    values = [
        kernel_mmd(generated[subset(index, len(generated), rows)], reference[subset(index, len(reference), rows)], **options)
        for index in range(5)
    ]
    return float(numpy.mean(values))


def overlap(generated, reference):
    with contextlib.redirect_stdout(io.StringIO()):
        three, five = (prdc.compute_prdc(reference, generated, nearest_k=k) for k in (3, 5))
    found = {"precision": three["precision"], "recall": three["recall"],
             "density": five["density"], "coverage": five["coverage"]}
    return {name: float(value) for name, value in found.items()}


def infinity(generated, reference):
    counts = [len(generated) // 2 + len(generated) * point // 14 for point in range(8)]
    by = frechet.by_nuclear_norm
    values = [frechet.distance(generated[:count], reference, by) for count in counts]
    line = scipy.stats.linregress(1 / numpy.array(counts), values)
    return {"counts": counts, "intercept": float(line.intercept), "standard_error": float(line.intercept_stderr)}


def inception_score(stream, images, classes):
    logits = 6 * frechet.features(classes, 0, 0.0, stream, images)
    found = isc_features_to_metric(torch.from_numpy(logits.astype(numpy.float32)), splits=10, shuffle=False)
    return {"stream": stream, "images": images, "classes": classes, "mean": found["inception_score_mean"],
            "standard_deviation": found["inception_score_std"]}


def main():
    cases = []
    for name, dimension, generated_set, reference_set, rows in CASES:
        generated, reference = (frechet.features(dimension, 0, 0.0, *one) for one in (generated_set, reference_set))
        # The streams' means differ so much that nothing would overlap.
        generated = (generated - (generated_set[0] - reference_set[0]) / 8).astype(numpy.float32).astype(numpy.float64)
        cases.append({"name": name, "dimension": dimension, "generated": generated_set, "reference": reference_set,
                      "subset_rows": rows, "kid": kid(generated, reference, rows), "infinity": infinity(generated, reference),
                      **overlap(generated, reference)})
    scores = [inception_score(7, 100, 10), inception_score(8, 537, 12)]
    made_with = {name: version(name) for name in ("numpy", "scipy", "torch", "torch-fidelity", "prdc")}
    target = pathlib.Path(__file__).parents[2] / "tests/golden/measures.json"
    target.write_text(json.dumps({"made_with": made_with, "cases": cases, "inception_scores": scores}, indent=1) + "\n")
    print(target.read_text())


main()
