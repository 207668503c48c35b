"""What stands for an environment here, as tidemill.yaml says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.assets import WorkspaceAssets
from tidemill.app.project import read_project
from tidemill.app.settings import read_settings
from tidemill.backends.environments.packages import read_packages
from tidemill.plan.graph import EnvironmentRef


class NoRows:
    """A workspace in which nothing is registered."""

    def find(self, *_: object) -> None: ...
    def names(self, _: str) -> list[str]:
        return []


def find(folder: Path, mapping: str, document: str = "") -> EnvironmentRef:
    (folder / "tidemill.yaml").write_text(f"name: x\nenvironments: {{train: {mapping}}}\n")
    if document:
        (folder / "environment.yml").write_text(document)
    settings = read_settings(folder)
    project = read_project(settings, [])
    assert project is not None
    assets = WorkspaceAssets(folder, project, NoRows(), NoRows, lambda path: path)  # type: ignore[arg-type]
    found = assets.find_environment("train", "1", None)
    assert found is not None
    return found


def test_a_mapping_brings_a_package_list_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.11, pandas=2.2, {pip: [six==1.16.0]}]\n")
    (tmp_path / "r.txt").write_text("six==1.16.0\n")
    by_conda = find(tmp_path, "{conda_file: conda.yml}")
    assert by_conda.kind == "venv"
    assert read_packages(by_conda.document, by_conda.folder, "x").conda == ("pandas==2.2.*",)
    by_requirements = find(tmp_path, "{requirements: r.txt}")
    assert read_packages(by_requirements.document, by_requirements.folder, "x").pip == ("six==1.16.0",)


@pytest.mark.parametrize(
    ("mapping", "kind"),
    [
        ("{image: python:3.11}", "container"),
        ("{python: host, image: python:3.11}", "host"),
        ("{python: container}", "container"),
        ("{python: venv}", "venv"),
    ],
)
def test_an_image_alone_means_a_container(tmp_path: Path, mapping: str, kind: str) -> None:
    assert find(tmp_path, mapping.replace("python:3.11", "'python:3.11'")).kind == kind


def test_what_a_mapping_does_not_say_stays_as_the_document_has_it(tmp_path: Path) -> None:
    document = "name: train\nversion: 1\nimage: old:1\nconda_file: {dependencies: [{pip: [six==1.16.0]}]}\n"
    found = find(tmp_path, "{python: container, image: 'new:2'}", document)
    assert (found.document.image, found.kind) == ("new:2", "container")
    assert read_packages(found.document, found.folder, "x").pip == ("six==1.16.0",)
