"""Validates tests/golden/cluster/job.json, the Indexed Job that `speedlab submit --engine kubernetes` writes, by the schemas of Kubernetes
that the package kubernetes-validate brings. Run from the top folder; needs `pip install kubernetes-validate`.

The test `kubernetes_is_handed_an_indexed_job_whose_command_does_its_tasks` compares what the program writes with that file.
"""

import json
import pathlib

import kubernetes_validate

job = json.loads(pathlib.Path("tests/golden/cluster/job.json").read_text())
for version in ["1.29", "1.31", kubernetes_validate.latest_version()]:
    kubernetes_validate.validate(job, version, strict=True)
    print(f"valid by Kubernetes {version}")
