"""What a validator of JSON Schema says of the shipped sweeps, and of the mistaken ones of the tests.

    pip install jsonschema==4.26.0 pyyaml==6.0.4
    cargo run --release -- schema > sweeps/schema.json
    python scripts/golden/schema.py          # from the root of the repository; writes tests/golden/plan/schema.json

The schema itself is checked against the meta-schema of draft 2020-12. Cases of the tests that are no YAML, or that are about the
command line, are left out.
"""
import hashlib
import importlib.metadata
import json
import pathlib
import re

import jsonschema
import yaml

FRACTION = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


SAID = [
    {"event": "started", "from_step": 40, "seed": 3, "device": "NVIDIA H100"},
    {"event": "progress", "step": 7, "loss": "nan", "gradient_norm": 0.5},
    {"event": "measured", "step": 8, "measures": {"fid": 2.5, "kid": 0.1}, "protocol": "mine"},
    {"event": "measured", "step": 8, "metric": "fid", "value": 2.5, "train_seconds": 1.5},
    {"event": "samples", "step": 1, "path": "samples.npz", "as_asked": True},
    {"event": "checkpointed", "step": 9},
    {"event": "ended", "outcome": "diverged", "reason": "loss"},
]
NOT_SAID = [
    {},
    {"event": "dance"},
    {"event": "progress"},
    {"event": "progress", "step": -1},
    {"event": "measured", "step": 1},
    {"event": "measured", "step": 1, "metric": "a b", "value": 1},
    {"event": "samples", "step": 1},
    {"event": "ended"},
]


def plain(value):
    """Numbers such as 1e-3 are text in YAML 1.1, and numbers in 1.2."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and FRACTION.fullmatch(value):
        return float(value)
    return value


def main():
    root = pathlib.Path(".")
    path = root / "sweeps" / "schema.json"
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    # That of the lines which a trainer writes.
    said = json.loads((root / "src/external/schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(said)
    for line in SAID:
        jsonschema.validate(line, said)
    for line in NOT_SAID:
        assert not jsonschema.Draft202012Validator(said).is_valid(line), line
    files = {str(path): {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "objection": None}}
    sweeps = sorted(root.glob("sweeps/**/*.yaml")) + [root / "tests/golden/plan/everything.yaml"]
    cases = sorted(root.glob("tests/golden/plan/errors/*.case"))
    for path in sweeps + cases:
        text = path.read_text()
        if path.suffix == ".case":
            text = text.split("\n====\n")[0]
            if path.name.startswith("yaml_") or text.startswith("$ --set"):
                continue
        try:
            sweep = plain(yaml.safe_load(text))
        except yaml.YAMLError:
            continue
        error = next(iter(validator.iter_errors(sweep)), None)
        objection = None if error is None else error.json_path + ": " + error.message[:100]
        files[str(path)] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "objection": objection}
    made = {"jsonschema": importlib.metadata.version("jsonschema"), "files": files}
    (root / "tests/golden/plan/schema.json").write_text(json.dumps(made, indent=1) + "\n")


main()
