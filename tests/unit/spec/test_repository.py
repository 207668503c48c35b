from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.kinds import COMPONENTS, Kind
from tidemill.spec.repository import Repository, scan

COMPONENT = "name: {name}\n{version}type: command\ncommand: ls\nenvironment: azureml:e@latest\nis_deterministic: true\n"


def write(root: Path, file: str, name: str, version: str = "") -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMPONENT.format(name=name, version=f"version: {version}\n" if version else ""))
    return path


def file_of(repository: Repository, name: str, version: str | None = None) -> str | None:
    found = repository.find(COMPONENTS, name, version)
    return found.path.name if found is not None else None


def test_a_component_is_found_by_name_and_version(tmp_path: Path) -> None:
    write(tmp_path, "a/one.yml", "prep", "1")
    write(tmp_path, "b/two.yaml", "prep", "2")
    repository = scan(tmp_path)
    assert file_of(repository, "prep", "1") == "one.yml"
    assert file_of(repository, "prep", "3") is None
    assert file_of(repository, "other") is None


def test_without_a_version_the_highest_number_wins(tmp_path: Path) -> None:
    for number in ("0.0.9", "0.0.10", "0.0.2"):
        write(tmp_path, f"{number}.yml", "prep", number)
    assert file_of(scan(tmp_path), "prep") == "0.0.10.yml"


def test_a_document_without_a_version_stands_for_any(tmp_path: Path) -> None:
    write(tmp_path, "any.yml", "prep")
    write(tmp_path, "two.yml", "prep", "2")
    repository = scan(tmp_path)
    assert file_of(repository, "prep", "2") == "two.yml"
    assert file_of(repository, "prep", "7") == "any.yml"


@pytest.mark.parametrize("folder", [".git", ".tidemill", ".venv", "node_modules"])
def test_folders_of_tools_are_not_read(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}/a.yml", "prep")
    assert scan(tmp_path).entries == ()


def test_files_of_other_tools_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ci.yml").write_text("name: ci\non: push\njobs: {a: {runs-on: x, steps: []}}\n")
    (tmp_path / "conda.yml").write_text("name: env\ndependencies: [python=3.11]\n")
    (tmp_path / "k8s.yml").write_text("kind: Deployment\nmetadata: {name: a}\nspec: {image: x}\n---\nkind: Service\n")
    (tmp_path / "broken.yml").write_text("name: [azureml\n")
    assert scan(tmp_path).entries == ()


def test_twins_that_differ_are_reported_and_copies_are_not(tmp_path: Path) -> None:
    write(tmp_path, "a.yml", "prep", "1")
    write(tmp_path, "copy.yml", "prep", "1")
    assert scan(tmp_path).duplicates() == []
    other = write(tmp_path, "other.yml", "prep", "1")
    other.write_text(other.read_text() + "description: another\n")
    (group,) = scan(tmp_path).duplicates()
    assert sorted(d.path.name for d in group) == ["a.yml", "copy.yml", "other.yml"]


def test_names_are_listed_with_their_versions(tmp_path: Path) -> None:
    write(tmp_path, "a.yml", "prep", "1")
    write(tmp_path, "b.yml", "train")
    (tmp_path / "d.yml").write_text("name: cats\nversion: 1\ntype: uri_folder\npath: .\n")
    repository = scan(tmp_path)
    assert repository.names(COMPONENTS) == ["prep:1", "train"]
    assert repository.names((Kind.DATA,)) == ["cats:1"]
