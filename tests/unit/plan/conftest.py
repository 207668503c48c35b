"""Pipelines as text, planned against assets a test lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.plan.graph import DataRef, EnvironmentRef, Plan, Resources
from tidemill.plan.make import make_plan
from tidemill.spec.load import Loaded, load
from tidemill.spec.overrides import parse_override


class ListedAssets:
    """An `AssetLookup` that knows what it was told."""

    def __init__(self, data: dict[str, Path] | None = None, components: dict[str, Path] | None = None) -> None:
        self._data = data or {}
        self._components = components or {}

    def find_data(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        path = self._data.get(name)
        return DataRef(str(path), "uri_folder", None, f"{name}:{version or label}") if path else None

    def reserve(self, compute: str | None) -> Resources:
        return Resources(gpus=1.0) if compute == "with-gpu" else Resources()

    def of_registry(self, name: str) -> None:
        del name

    def find_model(self, name: str, version: str | None, label: str | None) -> DataRef | None:
        return self.find_data(name, version, label)

    def find_component(self, name: str, version: str | None, label: str | None) -> Loaded | None:
        path = self._components.get(name)
        return load(path) if path else None

    def find_environment(self, name: str, version: str | None, label: str | None) -> EnvironmentRef | None:
        return None

    def known(self, kind: str) -> list[str]:
        return {"data": list(self._data), "component": list(self._components)}.get(kind, [])


Planner = Callable[..., Plan]

PREP = """\
name: prep
type: command
inputs:
  data: {type: uri_folder}
  size: {type: integer, default: 28}
  rate: {type: number, default: "1e-3"}
  note: {type: string, optional: true}
outputs:
  clean: {type: uri_folder}
command: python prep.py ${{inputs.data}} ${{inputs.size}} $[[--note ${{inputs.note}}]] ${{outputs.clean}}
environment: azureml:cpu-env:1
"""


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Plans `pipeline.yml` with this text, beside the component `prep.yml` and a folder `data`."""
    (tmp_path / "prep.yml").write_text(PREP)
    (tmp_path / "data").mkdir()

    def make(text: str, *sets: str, **assets: dict[str, Path]) -> Plan:
        path = tmp_path / "pipeline.yml"
        path.write_text(text)
        loaded = load(path, overrides=[parse_override(s) for s in sets])
        assert loaded.valid, loaded.findings
        return make_plan(loaded, assets=ListedAssets(**assets))

    return make
