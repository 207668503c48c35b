"""Microsoft's own loader accepts what we call valid. Needs TIDEMILL_PEER_PYTHON, an interpreter with `azure-ai-ml`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tidemill.base import proc
from tidemill.spec.load import load

DOCUMENTS = Path(__file__).parents[1] / "documents"
JUDGE = Path(__file__).parent / "azure_ai_ml_verdicts.py"
REJECTED = "# peer: rejects"
pytestmark = [pytest.mark.needs_peer, pytest.mark.slow]


@pytest.fixture(scope="module")
def verdicts() -> dict[Path, str]:
    """What the peer says of every valid document; an empty text is acceptance."""
    python = os.environ.get("TIDEMILL_PEER_PYTHON")
    if not python:
        pytest.skip("TIDEMILL_PEER_PYTHON names no interpreter with azure-ai-ml")
    documents = sorted((DOCUMENTS / "valid").glob("*/*.yml")) + sorted((DOCUMENTS / "shared/components").glob("*.yml"))
    lines = "".join(f"{load(path).kind}\t{path}\n" for path in documents)
    done = proc.run([python, str(JUDGE)], stdin=lines, timeout_s=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return {Path(path): found for path, found in map(json.loads, done.stdout.splitlines())}


def test_the_peer_accepts_every_valid_document_not_marked_otherwise(verdicts: dict[Path, str]) -> None:
    unmarked = {p: found for p, found in verdicts.items() if not p.read_text().startswith(REJECTED)}
    assert {f"{p.parent.name}/{p.name}": found[:300] for p, found in unmarked.items() if found} == {}


def test_the_marks_of_what_the_peer_rejects_are_still_true(verdicts: dict[Path, str]) -> None:
    marked = [p for p in verdicts if p.read_text().startswith(REJECTED)]
    assert [f"{p.parent.name}/{p.name}" for p in marked if not verdicts[p]] == []
