"""Spark steps: what is submitted, and a real one."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, pipeline
from tidemill.base.errors import FailedError
from tidemill.base.ids import StepName
from tidemill.plan.graph import OutputSpec, Step, StepKind
from tidemill.run.ports import PreparedEnvironment
from tidemill.run.spark import find_submit, submit_words
from tidemill.run.state import Status
from tidemill.spec.expression import parse_template

COUNT = """
import sys
from pyspark.sql import SparkSession
from helper import double
spark = SparkSession.builder.getOrCreate()
assert spark.conf.get("spark.sql.shuffle.partitions") == "2"
rows = spark.read.csv(sys.argv[1], header=True, inferSchema=True)
total = rows.rdd.map(lambda r: double(r.n)).sum()
open(sys.argv[2] + "/total", "w").write(str(total))
"""


def spark_step(tmp_path: Path, **body: object) -> Step:
    code = tmp_path / "code"
    code.mkdir()
    (code / "count.py").write_text(textwrap.dedent(COUNT))
    (code / "helper.py").write_text("def double(n):\n    return 2 * n\n")
    data = tmp_path / "rows.csv"
    data.write_text("kind,n\na,1\nb,2\na,4\n")
    return Step(
        StepName("count"),
        StepKind.SPARK,
        command=parse_template("${{inputs.rows}} ${{outputs.out}}"),
        code=code,
        inputs={"rows": bind(data)},
        outputs={"out": OutputSpec("uri_folder")},
        body={"entry": {"file": "count.py"}, "py_files": ["helper.py"]} | body,
    )


@pytest.mark.needs_spark
def test_a_program_runs_with_its_files_settings_and_arguments(workspace: Workspace, tmp_path: Path) -> None:
    step = spark_step(tmp_path, conf={"spark.sql.shuffle.partitions": 2, "spark.driver.memory": "512m"})
    end = workspace.run(pipeline(step)).steps["count"]
    assert end.status is Status.COMPLETED, end.message
    assert (end.outputs["out"] / "total").read_text() == "14"


def test_a_class_comes_from_the_first_jar(tmp_path: Path) -> None:
    for name in ("app.jar", "lib.jar"):
        (tmp_path / name).touch()
    words = submit_words(
        {"entry": {"class_name": "org.Main"}, "jars": ["app.jar", "lib.jar"], "conf": {"spark.speculation": True}},
        tmp_path,
    )
    assert words[:2] == ["--master", "local[*]"]
    assert "spark.speculation=true" in words
    assert words[-5:] == ["--jars", "lib.jar", "--class", "org.Main", "app.jar"]


def test_every_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"a\.py, b\.zip, c\.tar#name"):
        submit_words({"entry": {"file": "a.py"}, "py_files": ["b.zip"], "archives": ["c.tar#name"]}, tmp_path)


def test_a_class_without_a_jar_is_said(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="in no jar"):
        submit_words({"entry": {"class_name": "org.Main"}}, tmp_path)


def test_without_java_the_step_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(FailedError, match="Spark needs Java"):
        find_submit(PreparedEnvironment(tmp_path / "python"))
