"""Measures a registered model again: the number a job printed may belong to another file than the one it registered."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill import inside
from tidemill.base.findings import Finding, Severity
from tidemill.plan.graph import DataInput, Step, StepOutput
from tidemill.run.command import add_variables, make_task
from tidemill.run.work import StepWork

OTHER_FILE = "TM-N105"
NO_BETTER = "TM-N106"
PROBE = Path(inside.__file__).parent / "tidemill_probe.py"
TEST_WORDS = ("test", "eval", "holdout")
TOLERANCE = 0.005
PATIENCE_S = 120.0


def recheck(work: StepWork, model: Path, model_input: str) -> None:
    """Raise a finding when the model's accuracy on the job's own test set is not the one that was logged.

    Silent where there is no test set, no logged accuracy, or no way to load the model: nothing is known then.
    """
    binding = work.step.inputs.get(model_input)
    producer = _find_step(work, binding.step) if isinstance(binding, StepOutput) else None
    if producer is None:
        return
    logged = accuracies(work.context.metrics.get(producer.name, {}))
    data = _find_test_set(work, producer) if logged else None
    if data is None:
        return
    answer = _ask(work, producer, model, data)
    for finding in judge_accuracy(work.step, producer.name, logged, answer):
        work.context.raise_finding(finding, work.step.name)


def accuracies(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are accuracies of the model, by name."""
    return {n: v for n, v in metrics.items() if "accuracy" in n.lower() and "baseline" not in n.lower()}


def judge_accuracy(step: Step, producer: str, logged: Mapping[str, float], answer: Mapping[str, Any]) -> list[Finding]:
    """What a measured accuracy says about the logged ones. Pure."""
    if "accuracy" not in answer:
        return []
    measured, rows = float(answer["accuracy"]), int(answer["rows"])
    findings = []
    if all(abs(measured - value) > max(TOLERANCE, 1.5 / rows) for value in logged.values()):
        said = ", ".join(f"{name} {value:.4f}" for name, value in sorted(logged.items()))
        findings.append(
            Finding(
                OTHER_FILE,
                Severity.WARNING,
                f"The registered model is right on {measured:.4f} of the {rows} test rows; `{producer}` logged {said}",
                "The number belongs to another model or to other data: evaluate the file that is registered, after saving it.",
                step.at,
                f"jobs.{step.name}",
            )
        )
    if measured <= float(answer["baseline_accuracy"]):
        findings.append(
            Finding(
                NO_BETTER,
                Severity.WARNING,
                f"The registered model is right on {measured:.4f} of the test rows; always naming the commonest class "
                f"would be on {float(answer['baseline_accuracy']):.4f}",
                "It has learned nothing that shows: look at its inputs and labels.",
                step.at,
                f"jobs.{step.name}",
            )
        )
    return findings


def _find_step(work: StepWork, name: str) -> Step | None:
    return next((s for s in work.context.plan.steps if s.name == name), None)


def _find_test_set(work: StepWork, producer: Step) -> Path | None:
    """The input of the training step that is called a test set, on this machine."""
    context = work.context
    for name, binding in producer.inputs.items():
        if not any(word in name.lower() for word in TEST_WORDS):
            continue
        if isinstance(binding, DataInput):
            return context.data(binding.ref).path
        if isinstance(binding, StepOutput):
            ref = context.outputs.get(binding.step, {}).get(binding.output)
            if ref is not None:
                target = work.folder.root / "recheck" / "data"
                target.parent.mkdir(parents=True, exist_ok=True)
                context.ports.artifacts.place(ref, target)
                return target
    return None


def _ask(work: StepWork, producer: Step, model: Path, data: Path) -> Mapping[str, Any]:
    """The probe's answer, in the environment that trained the model: it may be a pickle."""
    prepared = work.context.ports.environments.prepare(producer.environment, work.say)
    out = work.folder.root / "recheck" / "answer.json"
    out.parent.mkdir(exist_ok=True)
    words = [
        str(prepared.python),
        str(PROBE),
        "evaluate",
        "--model",
        str(model),
        "--data",
        str(data),
        "--out",
        str(out),
    ]
    task = make_task(work, prepared, {}, command=shlex.join(words))
    reads = {"model": model, "data": data}
    env = add_variables(task.env, producer.environment_variables)
    end = work.run_task(replace(task, env=env, reads=reads, compute=None, timeout_s=PATIENCE_S), started=lambda _: None)
    if not end.ok or not out.exists():
        return {}
    answer: Mapping[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if "unknown" in answer:
        work.say(f"the model was not measured again: {answer['unknown']}")
    return answer
