"""Package lists out of conda files, requirements and Docker contexts; conda names become PyPI names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tidemill.base.errors import SpecError, UsageError

CONDA_TO_PYPI = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "tensorflow-cpu": "tensorflow",
    "pillow": "pillow",
}
NOT_PACKAGES = {
    "python",
    "pip",
    "setuptools",
    "wheel",
    "conda",
    "cudatoolkit",
    "cudnn",
    "gcc",
    "gxx",
    "libgcc",
    "openssl",
    "ca-certificates",
}
# Azure's wrappers around MLflow and its old SDK have no server to talk to here; MLflow itself does.
REPLACED = {
    "azureml-mlflow": "mlflow",
    "azureml-core": "",
    "azureml-defaults": "",
    "azureml-dataset-runtime": "",
    "azureml-inference-server-http": "azureml-inference-server-http",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONDA_PIN = re.compile(r"(?<![=<>!~])=(?!=)")
_PIP = re.compile(r"pip3?\s+install\s+(.*)")
_FROM_PYTHON = re.compile(r"^FROM\s+\S*python:(\d+\.\d+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PackageList:
    """`conda` packages are installed before `pip` ones, as Azure does; `dropped` were left out with a reason."""

    python: str
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def read_packages(document: Any, folder: Path, label: str) -> PackageList:  # noqa: ANN401 - an Environment document or None
    """The packages of an environment document; `UsageError` when it lists none."""
    conda_file = getattr(document, "conda_file", None)
    build = getattr(document, "build", None)
    if isinstance(conda_file, dict):
        return _from_conda(conda_file, folder)
    if conda_file is not None:
        path = folder / str(conda_file)
        return _from_conda(_read_yaml(path), path.parent)
    if build is not None:
        return _from_docker(folder / build.path, build.dockerfile_path or "Dockerfile")
    raise UsageError(
        f"Environment `{label}` has no package list to build a venv from",
        hint="Map it to `host`, or give it a `conda_file`, in tidemill.yaml.",
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise SpecError(f"No conda file at {path}", hint="The path is relative to the environment's file.") from exc
    except yaml.YAMLError as exc:
        raise SpecError(f"{path} is not YAML: {exc}") from exc
    return found if isinstance(found, dict) else {}


def _from_conda(content: dict[str, Any], folder: Path) -> PackageList:
    python, conda, pip, dropped = "", [], [], []
    for item in content.get("dependencies") or []:
        if isinstance(item, dict):
            pip += [line for text in item.get("pip") or [] for line in _requirement_lines(str(text), folder)]
            continue
        spec = str(item).split("::")[-1].strip()
        name, pin = _split(spec)
        if name == "python":
            python = ".".join(pin.lstrip("=<>~! ").split(".")[:2])
        elif name not in NOT_PACKAGES:
            conda.append(CONDA_TO_PYPI.get(name, name) + pin)
    kept = [p for p in map(_replace, pip) if p]
    dropped = [p for p in pip if not _replace(p)]
    return PackageList(python, tuple(conda), tuple(kept), tuple(dropped))


def _split(spec: str) -> tuple[str, str]:
    """`numpy=1.21.2=py38` → (`numpy`, `==1.21.2`)."""
    found = _NAME.match(spec)
    name = found.group().lower() if found else spec
    rest = spec[len(name) :].strip().replace(" ", "")
    if _CONDA_PIN.match(rest):
        version = rest[1:].split("=")[0]
        return name, f"=={version}" if "*" in version or version.count(".") > 1 else f"=={version}.*"
    return name, rest


def _replace(requirement: str) -> str:
    found = _NAME.match(requirement)
    name = found.group().lower().replace("_", "-") if found else ""
    return REPLACED.get(name, requirement) if name in REPLACED else requirement


def _requirement_lines(text: str, folder: Path) -> list[str]:
    text = text.strip()
    if text.startswith(("-r ", "--requirement ")):
        path = folder / text.split(maxsplit=1)[1]
        return read_requirements(path)
    return [text] if text and not text.startswith("#") else []


def read_requirements(path: Path) -> list[str]:
    """The requirements of a file, `-r` followed, options of package indexes left out."""
    try:
        lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except FileNotFoundError as exc:
        raise SpecError(
            f"No requirements file at {path}", hint="The path is relative to the file that names it."
        ) from exc
    found: list[str] = []
    for line in lines:
        text = re.split(r"\s#|\s--hash", line, maxsplit=1)[0].strip()
        if text.startswith(("-r", "--requirement")) or (text and not text.startswith(("-", "#"))):
            found += _requirement_lines(text, path.parent)
    return found


def _from_docker(context: Path, dockerfile: str) -> PackageList:
    path = context / dockerfile
    try:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    except FileNotFoundError as exc:
        raise SpecError(f"No {dockerfile} in {context}", hint="Check `build.path` and `dockerfile_path`.") from exc
    python = _FROM_PYTHON.search(text)
    pip: list[str] = []
    for found in _PIP.finditer(text):
        words = found.group(1).split("&&")[0].split(";")[0].split()
        files = [words[i + 1] for i, w in enumerate(words[:-1]) if w in {"-r", "--requirement"}]
        for name in files:
            pip += read_requirements(context / Path(name).name if not (context / name).exists() else context / name)
        pip += [
            w.strip("'\"")
            for i, w in enumerate(words)
            if not w.startswith("-") and (i == 0 or words[i - 1] not in {"-r", "--requirement", "-i", "--index-url"})
        ]
    kept = [p for p in map(_replace, pip) if p and p not in {"pip", "setuptools", "wheel"}]
    return PackageList(python.group(1) if python else "", (), tuple(kept), tuple(p for p in pip if not _replace(p)))
