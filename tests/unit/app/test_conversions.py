"""A version's model is converted when it is released, once."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from sklearn.datasets import make_classification
from sklearn.svm import SVC

import tidemill
from tidemill.app.conversions import keep_conversion
from tidemill.app.wiring import App
from tidemill.base.hashing import digest_tree, digest_value, hash_folder
from tidemill.record.ports import ModelVersion
from tidemill.release.package import Package, PackageRequest, make_package, split_package

pytestmark = pytest.mark.filterwarnings("ignore")  # SVC says what a later version will ask for


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    x, y = make_classification(100, 4, random_state=0)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(SVC(probability=True).fit(x, y)))
    columns = [{"name": c, "type": "double"} for c in "abcd"]
    about = {"flavors": {"sklearn": {"pickled_model": "model.pkl"}}, "metadata": {"columns": columns}}
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    return cast(
        "ModelVersion",
        SimpleNamespace(name="m", version="1", path=folder, digest=digest_tree(hash_folder(folder))),
    )


def home(folder: Path) -> App:
    return cast("App", SimpleNamespace(home=folder))


def packaged(version: ModelVersion, converted: tuple[Path, ...], work: Path) -> Package:
    (work / f"site-{digest_value([[], '3.11'])[:24]}.ready").touch()  # nothing to install
    request = PackageRequest(
        version.path, "m", "1", version.digest, "python:3.11-slim", (), "3.11", converted=converted
    )
    return make_package(request, runtime=Path(tidemill.__file__).parent, work=work, uv="uv")


def test_it_is_made_once_and_is_a_layer_of_the_image(version: ModelVersion, tmp_path: Path) -> None:
    files, reason = keep_conversion(home(tmp_path), version, Path(sys.executable), {"PYTHONHASHSEED": "2"})
    assert (reason, [f.suffix for f in files]) == ("", [".json", ".onnx"])
    stamps = [f.stat().st_ino for f in files]
    assert keep_conversion(home(tmp_path), version, Path(sys.executable), {}) == (files, "")
    assert [f.stat().st_ino for f in files] == stamps
    again, _ = keep_conversion(home(tmp_path / "again"), version, Path(sys.executable), {"PYTHONHASHSEED": "1"})
    assert [f.read_bytes() for f in again] == [f.read_bytes() for f in files], "another process, the same bytes"
    package = packaged(version, files, tmp_path)
    assert [layer.name for layer in package.layers] == ["serving runtime", "model", "converted model"]
    server, _ = split_package(package)
    assert [layer.name for layer in server.layers] == ["serving runtime"]


def test_a_model_that_cannot_be_converted_is_released_with_the_reason(version: ModelVersion, tmp_path: Path) -> None:
    (version.path / "model.pkl").write_bytes(pickle.dumps(SimpleNamespace(predict=sorted)))
    broken = cast(
        "ModelVersion",
        SimpleNamespace(name="m", version="2", path=version.path, digest=digest_tree(hash_folder(version.path))),
    )
    files, reason = keep_conversion(home(tmp_path), broken, Path(sys.executable), {})
    assert files or reason
    assert all(not json.loads(f.read_text())["agreed"] for f in files)


def test_bytes_that_were_not_registered_are_not_released(version: ModelVersion, tmp_path: Path) -> None:
    (version.path / "model.pkl").write_bytes(b"other")
    files, reason = keep_conversion(home(tmp_path), version, Path(sys.executable), {})
    assert files == ()
    assert "other bytes than were registered" in reason
