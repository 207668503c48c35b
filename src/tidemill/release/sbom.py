"""What is inside an image: a CycloneDX 1.5 bill of materials of the installed packages and the model."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def make_sbom(site: Path, *, name: str, version: str, model_digest: str) -> dict[str, Any]:
    """Every distribution below `site`, by name and version, and the model by digest; no dates, so equal inputs give equal bytes."""
    found = {(d.metadata["Name"], d.version) for d in distributions(path=[str(site)]) if d.metadata["Name"]}
    packages = [
        {
            "type": "library",
            "name": n,
            "version": v,
            "purl": f"pkg:pypi/{n.lower().replace('_', '-')}@{v}",
            "bom-ref": f"pypi:{n}@{v}",
        }
        for n, v in sorted(found)
    ]
    model = {
        "type": "machine-learning-model",
        "name": name,
        "version": version,
        "bom-ref": f"model:{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": model_digest}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": model},
        "components": packages,
    }
