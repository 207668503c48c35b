"""Package lists out of conda files, requirements and Docker contexts; conda names become PyPI names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.backends.environments.pythons import choose_python
from tidemill.base.errors import SpecError, UsageError
from tidemill.base.findings import Severity, has_errors
from tidemill.base.frozen import frozen
from tidemill.spec.conda import read_conda_file

CONDA_TO_PYPI = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "tensorflow-cpu": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "msgpack-python": "msgpack",
    "python-graphviz": "graphviz",
    "ruamel_yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "pyarrow-core": "pyarrow",
}
# what conda installs below Python: compilers, drivers, libraries that wheels bring along
NOT_PACKAGES = {
    "python",
    "pip",
    "setuptools",
    "wheel",
    "conda",
    "mamba",
    "cudatoolkit",
    "cudnn",
    "cuda",
    "nccl",
    "gcc",
    "gxx",
    "openssl",
    "ca-certificates",
    "certifi-system",
    "cpuonly",
    "pytorch-cuda",
    "pytorch-mutex",
    "mkl",
    "nomkl",
    "blas",
    "openblas",
    "git",
    "make",
    "cmake",
    "nodejs",
    "ffmpeg",
    "gdal",
    "graphviz",
    "python_abi",
}
_NATIVE = re.compile(
    r"^(_|lib(?!rosa$|svm$|cst$|clang$|linear$)[a-z0-9]*$|lib.*-ng$|lib.*-dev$|(gcc|gxx|gfortran|binutils)[_-])"
)
# Azure's wrappers around MLflow and its old SDK have no server to talk to here; MLflow and a stand-in do
REPLACED = {"azureml-mlflow": "mlflow"}
KEPT_OF_AZUREML = {"azureml-inference-server-http", "azureml-fsspec", "azureml-opendatasets", "azureml-evaluate-mlflow"}
INDEX_OPTIONS = {"--extra-index-url", "--index-url", "-i", "--find-links", "-f"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONDA_PIN = re.compile(r"(?<![=<>!~])=(?!=)")
_PIP = re.compile(r"pip3?\s+install\s+([^&;|\n]*)")
_CONDA_ENV = re.compile(r"(?:conda|mamba)\s+env\s+(?:create|update)\b[^\n&]*?(?:-f|--file)[ =](\S+)")
_TAKES_VALUE = {"-c", "--constraint", "--target", "-t", "--timeout", "--retries", "--trusted-host", "--prefix"}
_FROM_PYTHON = re.compile(r"^FROM\s+\S*python:(\d+\.\d+)", re.IGNORECASE | re.MULTILINE)


@frozen
class PackageList:
    """What to install. Where both lists pin a package `pip` has the last word, as on Azure, where it runs second.

    `dropped` were left out because they only make sense on Azure; `options` name further package indexes.
    """

    python: str
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


Read = Callable[[Path], str]


def read_text(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


def read_packages(document: Any, folder: Path, label: str, read: Read = read_text) -> PackageList:  # noqa: ANN401 - an Environment document or None
    """The packages of an environment document; `UsageError` when it lists none."""
    conda_file = getattr(document, "conda_file", None)
    build = getattr(document, "build", None)
    if isinstance(conda_file, dict):
        return _from_conda(conda_file, folder, read)
    if conda_file is not None:
        path = folder / str(conda_file)
        return _from_conda(_read_yaml(path, read), path.parent, read)
    if build is not None:
        return _from_docker(folder / build.path, build.dockerfile_path or "Dockerfile", read)
    raise UsageError(
        f"Environment `{label}` has no package list to build a venv from",
        hint="Map it to `host`, or give it a `conda_file`, in tidemill.yaml.",
    )


def _read_yaml(path: Path, read: Read) -> dict[str, Any]:
    try:
        text = read(path)
    except FileNotFoundError as exc:
        raise SpecError(f"No conda file at {path}", hint="The path is relative to the environment's file.") from exc
    found, findings = read_conda_file(path, text)
    if has_errors(findings):
        first = next(f for f in findings if f.severity is Severity.ERROR)
        raise SpecError(f"No environment can be built from {first.at}: {first.message}", findings=findings)
    return dict(found)


def _from_conda(content: dict[str, Any], folder: Path, read: Read) -> PackageList:
    python = ""
    conda: list[str] = []
    pip: list[str] = []
    for item in content.get("dependencies") or []:
        if isinstance(item, dict):
            pip += [line for text in item.get("pip") or [] for line in _requirement_lines(str(text), folder, read)]
            continue
        spec = str(item).split("::")[-1].strip()
        name, pin = _split(spec)
        if name == "python":
            python = choose_python(pin)
        elif (name == "setuptools" and pin) or (name not in NOT_PACKAGES and not _NATIVE.match(name)):
            conda.append(CONDA_TO_PYPI.get(name, name) + pin)
    return _sorted_out(python, conda, pip)


def _sorted_out(python: str, conda: list[str], lines: list[str]) -> PackageList:
    """Packages, what is dropped, and options, apart."""
    options = [word for line in lines if line.split()[0].split("=")[0] in INDEX_OPTIONS for word in line.split()]
    pip = [line for line in lines if not line.startswith("-")]
    editable = [f"{line.split(maxsplit=1)[1]}" for line in lines if line.startswith(("-e ", "--editable "))]
    both = [(p, _replace(p)) for p in (*conda, *pip)]
    in_pip = {name_of(p) for p in pip}
    kept_conda = [_replace(p) for p in conda if name_of(p) not in in_pip and _replace(p)]
    kept_pip = [_replace(p) for p in pip if _replace(p) and name_of(p) not in {"pip", "wheel"} and p != "setuptools"]
    dropped = [p for p, kept in both if not kept]
    return PackageList(
        python,
        tuple(dict.fromkeys(kept_conda)),
        (*dict.fromkeys(kept_pip), *editable),
        tuple(dict.fromkeys(dropped)),
        tuple(options),
    )


def name_of(requirement: str) -> str:
    """The normalised name of the package a requirement asks for; empty for URLs and paths."""
    found = _NAME.match(requirement)
    if not found or "://" in requirement.split("@", maxsplit=1)[0] or requirement.startswith((".", "/")):
        return ""
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def _split(spec: str) -> tuple[str, str]:
    """`numpy=1.21.2=py38` → (`numpy`, `==1.21.2`); `pytorch 1.9` → (`pytorch`, `==1.9.*`)."""
    found = _NAME.match(spec)
    name = found.group().lower() if found else spec
    rest = re.sub(r"\[.*\]$", "", spec[len(name) :]).strip()
    if rest[:1].isdigit():
        rest = "=" + rest.split()[0]
    rest = rest.replace(" ", "")
    if _CONDA_PIN.match(rest):
        version = rest[1:].split("=")[0]
        return name, f"=={version}" if "*" in version or version.count(".") > 1 else f"=={version}.*"
    return name, "" if rest in {"*", "==*"} else rest


def _replace(requirement: str) -> str:
    """What is installed in its place; empty for what has no use here."""
    name = name_of(requirement)
    if name in REPLACED:
        return REPLACED[name]
    return "" if name.startswith("azureml") and name not in KEPT_OF_AZUREML else requirement


def _requirement_lines(text: str, folder: Path, read: Read) -> list[str]:
    text = text.strip()
    if not text or text.startswith("#"):
        return []
    option, _, rest = text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
    if option in {"-r", "--requirement"}:
        return read_requirements(folder / rest.strip(), read)
    if option in {"-e", "--editable"}:
        return [f"-e {(folder / rest.strip()).resolve()}"]
    if option in INDEX_OPTIONS:
        return [f"{option} {rest.strip()}"]
    return [] if text.startswith("-") else [text]


def read_requirements(path: Path, read: Read = read_text) -> list[str]:
    """The requirements of a file, `-r` followed; of its options those that name package indexes."""
    try:
        lines = read(path).replace("\\\n", " ").splitlines()
    except FileNotFoundError as exc:
        raise SpecError(
            f"No requirements file at {path}", hint="The path is relative to the file that names it."
        ) from exc
    found: list[str] = []
    for line in lines:
        text = re.split(r"\s#|\s--hash", line, maxsplit=1)[0].strip()
        found += _requirement_lines(text, path.parent, read)
    return found


def _from_docker(context: Path, dockerfile: str, read: Read) -> PackageList:
    path = context / dockerfile
    try:
        text = read(path)
    except FileNotFoundError as exc:
        raise SpecError(f"No {dockerfile} in {context}", hint="Check `build.path` and `dockerfile_path`.") from exc
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    commands = "\n".join(lines)
    python = _FROM_PYTHON.search(commands)
    base = PackageList(python.group(1) if python else "")
    for found in _CONDA_ENV.finditer(commands):
        file = _copied(context, found.group(1))
        base = _from_conda(_read_yaml(file, read), file.parent, read)
    pip = [line for found in _PIP.finditer(commands) for line in _pip_arguments(found.group(1), context, read)]
    more = _sorted_out(base.python, list(base.conda), [*base.pip, *pip])
    return replace(more, options=(*base.options, *more.options), dropped=(*base.dropped, *more.dropped))


def _copied(context: Path, name: str) -> Path:
    """Where a file the image was given lies in the context: COPY usually keeps its name."""
    return context / name if (context / name).exists() else context / Path(name).name


def _pip_arguments(text: str, context: Path, read: Read) -> list[str]:
    """Lines of a requirements file that mean the same as the arguments of `pip install`."""
    words = iter(w.strip("'\"") for w in text.split())
    lines: list[str] = []
    for word in words:
        option, _, value = word.partition("=")
        if word in {"-r", "--requirement"}:
            lines += read_requirements(_copied(context, next(words, "")), read)
        elif option in INDEX_OPTIONS:
            lines.append(f"{option} {value or next(words, '')}")
        elif word in _TAKES_VALUE:
            next(words, "")
        elif not word.startswith(("-", "$")) and word not in {".", ">"}:
            lines.append(word)
    return lines
