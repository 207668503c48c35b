"""What `doctor` looks at."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tidemill.app.doctor import EXTRAS

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
ELSEWHERE = {"local", "env"}  # the sum of others; uv, which is looked for as a program


def test_everything_that_can_be_added_is_looked_for() -> None:
    declared = set(tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"])
    assert {extra for _, _, extra in EXTRAS.values()} == declared - ELSEWHERE
