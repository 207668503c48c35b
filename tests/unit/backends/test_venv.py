"""Virtual environments, built by a real uv."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tidemill.backends.environments.packages import PackageList
from tidemill.backends.environments.provider import Environments
from tidemill.backends.environments.venv import Venv, build_venv, find_python
from tidemill.base import proc
from tidemill.base.errors import UsageError
from tidemill.plan.graph import HOST_ENVIRONMENT, EnvironmentRef
from tidemill.run.command import own_packages
from tidemill.spec.environment import Environment


def build(root: Path, packages: PackageList, *, relax: bool = False) -> Venv:
    return build_venv(packages, root, relax=relax, label="e", say=lambda _: None)


def test_ten_steps_that_ask_at_once_build_one_environment(tmp_path: Path) -> None:
    said: list[str] = []
    packages = PackageList("", (), ("six==1.16.0",))
    threads = [
        threading.Thread(target=build_venv, args=(packages, tmp_path), kwargs={"relax": False, "label": "e", "say": said.append})
        for _ in range(10)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("building environment e") == 1
    venv = build(tmp_path, packages)
    assert proc.run([str(venv.python), "-c", "import six; print(six.__version__)"]).stdout == "1.16.0\n"


def test_what_a_command_installs_with_pip_is_the_steps_own(tmp_path: Path) -> None:
    venv = build(tmp_path / "envs", PackageList("", (), ()))
    env = {**os.environ, **own_packages(tmp_path / "step")}
    done = proc.run([str(venv.python), "-m", "pip", "install", "-q", "six==1.16.0"], env=env)
    assert done.returncode == 0, done.stderr
    asked = [str(venv.python), "-c", "import six; print(six.__version__)"]
    assert proc.run(asked, env=env).stdout == "1.16.0\n"
    assert proc.run(asked).returncode != 0, "the environment that all steps share has it, too"


def test_a_half_built_environment_is_built_anew(tmp_path: Path) -> None:
    packages = PackageList("", (), ())
    venv = build(tmp_path, packages)
    (venv.folder / "tidemill-ready.json").unlink()
    venv.python.unlink()
    assert build(tmp_path, packages).python.exists()


def test_every_pin_that_cannot_be_had_is_listed_in_one_error(tmp_path: Path) -> None:
    packages = PackageList("", ("six==0.0.77.*",), ("idna==999.1", "certifi>=2020"))
    with pytest.raises(UsageError) as caught:
        build(tmp_path, packages)
    assert "six==0.0.77.*, idna==999.1" in caught.value.message
    assert "certifi" not in caught.value.message
    assert "--relax-pins" in caught.value.hint
    assert "environments: {e: {python: host}}" in caught.value.hint
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []  # nobody would ever use, or collect, what was begun


def test_relaxing_loosens_just_those_and_says_which(tmp_path: Path) -> None:
    packages = PackageList("", (), ("six==0.0.77", "idna==3.7"))
    venv = build(tmp_path, packages, relax=True)
    assert venv.relaxed == ("six==0.0.77 -> six",)
    assert build(tmp_path, packages, relax=True).relaxed == venv.relaxed
    assert proc.run([str(venv.python), "-c", "import idna; print(idna.__version__)"]).stdout == "3.7\n"


def test_a_python_that_is_not_here_is_an_error_or_recorded(tmp_path: Path) -> None:
    packages = PackageList("3.2")
    with pytest.raises(UsageError, match=r"Python 3\.2"):
        build(tmp_path, packages)
    assert build(tmp_path, packages, relax=True).relaxed[0].startswith("python=3.2 -> 3.")


def test_a_python_of_a_version_manager_is_found() -> None:
    assert find_python("9.9") == "9.9"
    for place in Path.home().glob(".pyenv/versions/3.10.*/bin/python"):
        assert find_python("3.10").startswith(str(place.parents[2]))


def test_old_packages_find_pkg_resources_and_a_pin_of_setuptools_holds(tmp_path: Path) -> None:
    ask = "import pkg_resources, setuptools; print(setuptools.__version__)"
    plain = build(tmp_path, PackageList("", (), ("six==1.16.0",)))
    assert int(proc.run([str(plain.python), "-W", "ignore", "-c", ask]).stdout.split(".")[0]) < 81
    pinned = build(tmp_path, PackageList("", (), ("six==1.16.0", "setuptools==70.0.0")))
    assert proc.run([str(pinned.python), "-W", "ignore", "-c", ask]).stdout == "70.0.0\n"


def test_packages_that_come_and_go_are_named(tmp_path: Path) -> None:
    def environment(*packages: str) -> EnvironmentRef:
        conda = {"dependencies": [{"pip": list(packages)}]}
        document = Environment.model_validate({"name": "e", "image": "x", "conda_file": conda})
        return EnvironmentRef("e", "1", document, tmp_path, "venv", "e:1")

    provider = Environments(tmp_path / "envs")
    before = provider.key(environment("six", "idna"))
    assert provider.compare(before, environment("six")) == "", "it is not here any more, so nobody knows"
    ready = tmp_path / "envs" / before / "tidemill-ready.json"
    ready.parent.mkdir(parents=True)
    ready.write_text(json.dumps({"relaxed": [], "conda": [], "pip": ["six", "idna"]}))
    assert provider.compare(before, environment("six==1.16.0", "idna")) == "six==1.16.0 (new), six (gone)"
    assert provider.compare(before, environment("a", "b", "c")) == "a (new), b (new), c (new) and 2 more"
    assert provider.compare("host:3.11:e", environment("six")) == "host → venv"
    assert provider.compare(before, HOST_ENVIRONMENT) == ""
