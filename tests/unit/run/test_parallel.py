"""Parallel steps: the mini-batch contract, with real processes."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, pipeline
from tidemill.base.errors import FailedError, InterruptedRun
from tidemill.base.ids import JobName, StepName
from tidemill.plan.graph import DataInput, DataRef, OutputSpec, Resources, Step, StepKind
from tidemill.run.context import RunOptions
from tidemill.run.parallel_settings import parse_size, read_parallel
from tidemill.run.result import StepResult
from tidemill.run.runner import execute
from tidemill.run.state import Status
from tidemill.spec.expression import parse_template

NAMES = "import os\ndef run(batch):\n    return [os.path.basename(f) for f in batch]\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "b", "c", "deep/d", "deep/e"):
        (folder / name).write_text(name)
    return folder


def parallel(
    tmp_path: Path,
    script: str,
    data: Path,
    *,
    kind: str = "",
    arguments: str = "",
    out: str = "uri_file",
    **body: object,
) -> Step:
    code = tmp_path / "code"
    code.mkdir(exist_ok=True)
    (code / "entry.py").write_text(textwrap.dedent(script))
    source = DataInput(DataRef(str(data), kind), type=kind) if kind else bind(data)
    task = {"type": "run_function", "entry_script": "entry.py", "append_row_to": "${{outputs.out}}"}
    return Step(
        StepName("score"),
        StepKind.PARALLEL,
        command=parse_template(arguments),
        code=code,
        inputs={"data": source},
        outputs={"out": OutputSpec(out)},
        resources=Resources(),
        body={"task": task, "input_data": "${{inputs.data}}"} | body,
    )


def run(workspace: Workspace, step: Step) -> StepResult:
    return workspace.run(pipeline(step)).steps["score"]


def test_every_file_is_handled_once_and_results_keep_the_order_of_the_files(
    workspace: Workspace, tmp_path: Path, files: Path
) -> None:
    end = run(workspace, parallel(tmp_path, NAMES, files, mini_batch_size="2"))
    assert end.status is Status.COMPLETED
    assert end.message == "3 of 3 mini batches completed"
    assert end.outputs["out"].read_text().split() == ["a", "b", "c", "d", "e"]


def test_results_go_into_a_folder_under_azures_name(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    end = run(workspace, parallel(tmp_path, NAMES, files, out="uri_folder"))
    assert (end.outputs["out"] / "parallel_run_step.txt").read_text().split() == ["a", "b", "c", "d", "e"]


def test_the_script_sees_its_arguments_context_init_and_shutdown(
    workspace: Workspace, tmp_path: Path, files: Path
) -> None:
    script = """
        import argparse
        from azureml_user.parallel_run import EntryScript
        def init():
            global word
            parser = argparse.ArgumentParser()
            parser.add_argument("--word")
            word = parser.parse_known_args()[0].word
        def run(mini_batch, context):
            EntryScript().logger.info("at work")
            return [f"{word} {context.minibatch_index}" for _ in mini_batch]
        def shutdown():
            print("closed")
    """
    end = run(workspace, parallel(tmp_path, script, files, arguments="--word 'two words'", mini_batch_size="5"))
    assert end.outputs["out"].read_text() == "two words 0\n" * 5
    assert "closed" in end.log.read_text()
    assert "at work" in end.log.read_text()


def test_a_table_comes_in_pieces_of_about_the_size_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("x,text\n" + "".join(f'{n},"line\nbreak"\n' for n in range(500)))
    script = "def run(frame):\n    print('rows', len(frame))\n    return frame[['x']] * 2\n"
    end = run(workspace, parallel(tmp_path, script, table, mini_batch_size="1kb"))
    assert [int(x) for x in end.outputs["out"].read_text().split()] == [2 * n for n in range(500)]
    assert 7 <= end.log.read_text().count("rows ") <= 10


def test_an_mltable_is_read_as_its_description_says(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "one.txt").write_text("1;a;x\n2;b;y\n")
    (folder / "two.txt").write_text("3;c;z\n")
    (folder / "MLTable").write_text(
        "paths: [{pattern: './*.txt'}]\n"
        "transformations: [{read_delimited: {delimiter: ';', header: no_header}}, {drop_columns: [1]}]\n"
    )
    end = run(workspace, parallel(tmp_path, "def run(f):\n    return f\n", folder, kind="mltable"))
    assert end.outputs["out"].read_text() == "1 x\n2 y\n3 z\n"


def test_columns_may_come_out_of_paths_and_split_the_table(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    for store in "12":
        for day in ("2024-01-01", "2024-01-02"):
            place = folder / store / day / "part.csv"
            place.parent.mkdir(parents=True)
            place.write_text("x\n5\n6\n")
    (folder / "MLTable").write_text(
        "paths: [{pattern: ./**/*.csv}]\n"
        "transformations:\n- read_delimited: {delimiter: ','}\n"
        "- extract_columns_from_partition_format: {partition_format: '/{store}/{day:yyyy-MM-dd}/*.csv'}\n"
    )
    script = """
        def run(frame, context):
            assert set(frame.store) == {context.partition_key_value["store"]}
            return frame.assign(day=frame.day.dt.day)
    """
    end = run(workspace, parallel(tmp_path, script, folder, kind="mltable", partition_keys=["store"]))
    assert end.outputs["out"].read_text().splitlines() == [
        f"{x} {store} {day}" for store in "12" for day in (1, 2) for x in (5, 6)
    ]


def test_an_unknown_transformation_is_named(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "MLTable").write_text("transformations: [{read_parquet: {}}, {filter: 'x > 1'}]\n")
    end = run(workspace, parallel(tmp_path, NAMES, folder, kind="mltable"))
    assert "asks for `filter`, which is not done here" in end.message


def test_parquet_is_split_by_rows(workspace: Workspace, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "t.parquet"
    pandas.DataFrame({"x": range(1000)}).to_parquet(path, row_group_size=300)
    end = run(workspace, parallel(tmp_path, "def run(f):\n    return f\n", path, mini_batch_size="2kb"))
    assert [int(x) for x in end.outputs["out"].read_text().split()] == list(range(1000))
    assert int(end.message.split()[0]) > 1


def test_rows_with_the_same_keys_come_together(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("store,brand,x\n" + "".join(f"{n % 3},b{n % 2},{n}\n" for n in range(60)))
    script = """
        def run(frame, context):
            keys = context.partition_key_value
            assert set(frame.store) == {keys["store"]} and set(frame.brand) == {keys["brand"]}
            return [str(keys["store"]) + keys["brand"]] * len(frame)
    """
    end = run(workspace, parallel(tmp_path, script, table, partition_keys=["store", "brand"]))
    assert end.message == "6 of 6 mini batches completed"
    assert sorted(set(end.outputs["out"].read_text().split())) == ["0b0", "0b1", "1b0", "1b1", "2b0", "2b1"]


def test_files_in_folders_of_the_same_keys_come_together(workspace: Workspace, tmp_path: Path) -> None:
    for store in "12":
        for day in "ab":
            (tmp_path / f"data/store={store}/day={day}").mkdir(parents=True)
            (tmp_path / f"data/store={store}/day={day}/f.txt").write_text("")
    script = "def run(files, context):\n    return [context.partition_key_value['store']] * len(files)\n"
    end = run(workspace, parallel(tmp_path, script, tmp_path / "data", partition_keys=["store"]))
    assert end.outputs["out"].read_text().split() == ["1", "1", "2", "2"]


def test_a_key_that_is_no_column_is_named_with_the_columns(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("store,x\n1,2\n")
    end = run(workspace, parallel(tmp_path, NAMES, table, partition_keys=["shop"]))
    assert "The table has no column `shop`, only: store, x" in end.message


FLAKY = """
    import os
    def run(batch):
        if os.path.basename(batch[0]) == "b":
            mark = os.path.join({place!r}, "tried")
            tried = len(open(mark).read()) if os.path.exists(mark) else 0
            open(mark, "a").write("x")
            if tried < {times}:
                {trouble}
        return batch
"""


@pytest.mark.parametrize("trouble", ["raise ValueError('no')", "os._exit(7)", "import time; time.sleep(60)"])
def test_a_mini_batch_that_fails_dies_or_hangs_is_tried_again(
    workspace: Workspace, tmp_path: Path, files: Path, trouble: str
) -> None:
    script = FLAKY.format(place=str(tmp_path), times=2, trouble=trouble)
    retries = {"max_retries": 2, "timeout": 3 if "sleep" in trouble else 60}
    end = run(workspace, parallel(tmp_path, script, files, retry_settings=retries, error_threshold=0))
    assert end.status is Status.COMPLETED
    assert len(end.outputs["out"].read_text().split()) == 5


def test_failures_are_ignored_unless_a_threshold_says_otherwise(
    workspace: Workspace, tmp_path: Path, files: Path
) -> None:
    script = FLAKY.format(place=str(tmp_path), times=9, trouble="raise ValueError('no good')")
    end = run(workspace, parallel(tmp_path, script, files, retry_settings={"max_retries": 1}))
    assert end.status is Status.COMPLETED
    assert [f.code for f in end.findings] == ["TM-N121"]
    assert end.findings[0].message.endswith("; the last: ValueError: no good")
    assert "mini batch 1 failed (ValueError: no good); it is tried again" in end.log.read_text()
    assert "Traceback" in end.log.read_text()


def test_too_many_failed_mini_batches_fail_the_step(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = "def run(batch):\n    raise ValueError('no good')\n"
    end = run(
        workspace, parallel(tmp_path, script, files, retry_settings={"max_retries": 0}, mini_batch_error_threshold=1)
    )
    assert end.status is Status.FAILED
    assert "2 mini batches failed, `mini_batch_error_threshold` is 1; the last: ValueError: no good" in end.message


def test_fewer_results_than_items_are_failed_items(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = "def run(batch):\n    return batch[:1]\n"
    kept = run(workspace, parallel(tmp_path, script, files, mini_batch_size="3", error_threshold=3))
    assert kept.status is Status.COMPLETED
    assert len(kept.outputs["out"].read_text().split()) == 2
    end = run(workspace, parallel(tmp_path, script, files, mini_batch_size="3", error_threshold=2))
    assert "3 items failed, `error_threshold` is 2" in end.message


def test_thresholds_may_stand_among_the_arguments(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = "def run(batch):\n    return []\n"
    end = run(workspace, parallel(tmp_path, script, files, arguments="--error_threshold 2"))
    assert "`error_threshold` is 2" in end.message
    end = run(workspace, parallel(tmp_path, script, files, arguments="--allowed_failed_percent=50"))
    assert "100% of the mini batches failed; 50% are allowed" in end.message


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("def init():\n    raise KeyError('model')\ndef run(b):\n    return b\n", "init() failed: KeyError: 'model'"),
        ("import nowhere\n", "init() failed: ModuleNotFoundError: No module named 'nowhere'"),
        ("def init():\n    pass\n", "the script has no function `run(mini_batch)`"),
        ("raise SystemExit(5)\n", "the entry script ended with exit code 5 before it was ready"),
    ],
)
def test_a_script_that_cannot_start_fails_the_step_at_once(
    workspace: Workspace, tmp_path: Path, files: Path, script: str, words: str
) -> None:
    end = run(workspace, parallel(tmp_path, script, files))
    assert end.status is Status.FAILED
    assert words in end.message


def test_a_result_without_length_is_an_error_that_says_what_is_wanted(
    workspace: Workspace, tmp_path: Path, files: Path
) -> None:
    end = run(
        workspace,
        parallel(
            tmp_path, "def run(b):\n    pass\n", files, mini_batch_error_threshold=0, retry_settings={"max_retries": 0}
        ),
    )
    assert "run() must return a DataFrame, a list or a tuple, not NoneType" in end.message


def test_no_data_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "holds no data" in run(workspace, parallel(tmp_path, NAMES, tmp_path / "none")).message


def test_as_many_workers_as_slots_are_free(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = """
        import os, time
        def run(batch):
            os.makedirs({place!r}, exist_ok=True)
            open({place!r} + "/" + str(os.getpid()), "w").close()
            while len(os.listdir({place!r})) < {workers}:
                time.sleep(0.02)
            return [os.getpid()]
    """
    # the workspace of these tests has two slots
    for asked, workers in ((8, 2), (1, 1)):
        text = script.format(place=str(tmp_path / f"at-once-{asked}"), workers=workers)
        end = run(workspace, parallel(tmp_path, text, files, max_concurrency_per_instance=asked))
        assert len(set(end.outputs["out"].read_text().split())) == workers


def test_canceling_ends_every_worker(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = f"""
        import os, time
        def run(batch):
            open({str(tmp_path)!r} + "/pid", "w").write(str(os.getpid()))
            time.sleep(60)
    """
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(InterruptedRun):
        workspace.run(pipeline(parallel(tmp_path, script, files)))
    status = Path(f"/proc/{pid.read_text()}/status")
    assert not status.exists() or "zombie" in status.read_text()


def test_a_resumed_step_goes_on_where_it_was_interrupted(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    script = f"""
        import os, time
        place = {str(tmp_path)!r}
        def run(batch):
            name = os.path.basename(batch[0])
            open(os.path.join(place, "ran"), "a").write(name)
            if name == "c" and not os.path.exists(os.path.join(place, "gate")):
                time.sleep(60)
            open(os.path.join("outputs", name), "w").close()
            return [name]
    """
    plan = pipeline(parallel(tmp_path, script, files, max_concurrency_per_instance=1))

    def interrupt() -> None:
        while not (tmp_path / "ran").exists() or "c" not in (tmp_path / "ran").read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(InterruptedRun):
        execute(plan, job=JobName("going"), ports=workspace.ports, options=RunOptions())
    (tmp_path / "gate").touch()
    end = workspace.resume(plan, "going").steps["score"]
    assert end.status is Status.COMPLETED
    assert (tmp_path / "ran").read_text() == "abc" + "cde"
    assert end.outputs["out"].read_text().split() == ["a", "b", "c", "d", "e"]
    assert sorted(p.name for p in end.outputs["default"].iterdir()) == ["a", "b", "c", "d", "e"]
    assert "5 mini batches for 1 workers, 2 were done before" in end.log.read_text()


def test_an_unchanged_parallel_step_is_reused(workspace: Workspace, tmp_path: Path, files: Path) -> None:
    step = parallel(tmp_path, NAMES, files)
    run(workspace, step)
    assert run(workspace, step).reused


def test_sizes_have_units() -> None:
    assert [parse_size(t) for t in ("10kb", "1.5 MB", "7", None)] == [10240, 1572864, 7, 1 << 20]
    with pytest.raises(FailedError, match="which is no size"):
        parse_size("ten")


def test_input_data_must_name_an_input(tmp_path: Path, files: Path) -> None:
    step = parallel(tmp_path, NAMES, files, input_data="${{inputs.other}}")
    with pytest.raises(FailedError, match="names no input"):
        read_parallel(step)
