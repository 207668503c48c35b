"""One pipeline with every kind of step: a nested component, a sweep, a distributed command, a parallel step."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from tests.e2e.conftest import Run

SCHEMA = "$schema: https://azuremlschemas.azureedge.net/latest/"
FILES = {
    "data/a.txt": "1\n",
    "data/b.txt": "2\n",
    "data/c.txt": "3\n",
    "src/fit.py": """
        import argparse, os
        import mlflow
        parser = argparse.ArgumentParser()
        parser.add_argument("--factor", type=int)
        parser.add_argument("--data")
        parser.add_argument("--model")
        args = parser.parse_args()
        total = sum(int(open(os.path.join(args.data, f)).read()) for f in os.listdir(args.data))
        mlflow.log_metric("score", args.factor * total)
        open(os.path.join(args.model, "factor"), "w").write(str(args.factor))
    """,
    "src/score.py": """
        import argparse, os
        def init():
            global factor
            parser = argparse.ArgumentParser()
            parser.add_argument("--model")
            factor = int(open(os.path.join(parser.parse_known_args()[0].model, "factor")).read())
        def run(mini_batch):
            return [factor * int(open(path).read()) for path in mini_batch]
    """,
    "fit.yml": SCHEMA + """commandComponent.schema.json
        type: command
        name: fit
        inputs: {data: {type: uri_folder}, factor: {type: integer}}
        outputs: {model: {type: uri_folder}}
        code: src
        environment: {image: some/image}
        command: python fit.py --data ${{inputs.data}} --factor ${{inputs.factor}} --model ${{outputs.model}}
    """,
    "prep.yml": SCHEMA + """pipelineComponent.schema.json
        type: pipeline
        name: prep
        inputs: {raw: {type: uri_folder}}
        outputs: {clean: {type: uri_folder}}
        jobs:
          shard:
            type: command
            inputs: {raw: "${{parent.inputs.raw}}"}
            outputs: {clean: "${{parent.outputs.clean}}"}
            environment: {image: some/image}
            distribution: {type: pytorch, process_count_per_instance: 3}
            command: >-
              f=$(ls ${{inputs.raw}} | sed -n "$((RANK + 1))p");
              cp ${{inputs.raw}}/$f ${{outputs.clean}}/$f
    """,
    "pipeline.yml": SCHEMA + """pipelineJob.schema.json
        type: pipeline
        inputs: {raw: {type: uri_folder, path: data}}
        outputs: {scores: {type: uri_file}}
        jobs:
          prep:
            type: pipeline
            component: ./prep.yml
            inputs: {raw: "${{parent.inputs.raw}}"}
          tune:
            type: sweep
            trial: ./fit.yml
            inputs: {data: "${{parent.jobs.prep.outputs.clean}}"}
            sampling_algorithm: grid
            search_space: {factor: {type: choice, values: [2, 5]}}
            objective: {goal: maximize, primary_metric: score}
            limits: {max_total_trials: 2}
          score:
            type: parallel
            inputs:
              data: "${{parent.jobs.prep.outputs.clean}}"
              model: "${{parent.jobs.tune.outputs.model}}"
            outputs: {scores: "${{parent.outputs.scores}}"}
            input_data: ${{inputs.data}}
            mini_batch_size: "1"
            mini_batch_error_threshold: 0
            task:
              type: run_function
              code: src
              entry_script: score.py
              environment: {image: some/image}
              program_arguments: --model ${{inputs.model}}
              append_row_to: ${{outputs.scores}}
    """,
}  # fmt: skip


def write(folder: Path) -> None:
    for name, text in FILES.items():
        head, _, rest = text.partition("\n") if text.startswith(SCHEMA) else ("", "", text)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((head + "\n" if head else "") + textwrap.dedent(rest).lstrip("\n"))


def test_every_kind_of_step_runs_in_one_pipeline_and_is_reused(tmp_path: Path, tidemill: Run) -> None:
    write(tmp_path)
    first = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert first["status"] == "Completed"
    assert Path(first["outputs"]["scores"]).read_text() == "5\n10\n15\n"
    tune = first["steps"]["tune"]
    assert tune["metrics"] == {"score": 30.0}
    assert tune["properties"]["best_child_run_id"] == f"{first['name']}.tune_1"
    trials = {n: s["parameters"] for n, s in first["steps"].items() if s.get("parent") == "tune"}
    assert trials == {"tune_0": {"factor": 2}, "tune_1": {"factor": 5}}
    second = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert all(s["reused"] for s in second["steps"].values())
    assert Path(second["outputs"]["scores"]).read_text() == "5\n10\n15\n"
    summary = tidemill("run", "pipeline.yml").stdout
    assert f"best of tune: {first['name']}.tune_1, score 30 with factor=5" in summary
    children = json.loads(tidemill("job", "list", "--parent-job-name", first["name"]).stdout)
    assert f"{first['name']}.tune_0" in [c["name"] for c in children]
    best = tune["properties"]["best_child_run_id"]
    shown = json.loads(tidemill("job", "show", "-n", best).stdout)
    assert shown["tags"] == {"hyperparameters": '{"factor": 5}'}
    assert shown["parent_job_name"] == f"{first['name']}.tune"
    tidemill("job", "download", "-n", best, "--output-name", "model", "-p", "out")
    assert (tmp_path / "out/named-outputs/model/factor").read_text() == "5"
    path = f"azureml://jobs/{best}/outputs/model/paths/factor"
    assert json.loads(tidemill("model", "create", "--name", "best", "--path", path).stdout)["version"] == "1"
