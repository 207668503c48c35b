"""One runner per kind of step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tidemill.base.imports import import_late
from tidemill.plan.graph import StepKind
from tidemill.run.work import StepRunner

# loaded when a step of the kind runs: most runs have commands alone, and a run that reuses everything not even those
RUNNERS: Mapping[StepKind, str] = {
    StepKind.COMMAND: "tidemill.run.command:run_command",
    StepKind.REGISTER_MODEL: "tidemill.run.register:run_register_model",
    StepKind.SWEEP: "tidemill.run.sweep:run_sweep",
    StepKind.IF_ELSE: "tidemill.run.control:run_if_else",
    StepKind.DO_WHILE: "tidemill.run.control:run_do_while",
    StepKind.PARALLEL_FOR: "tidemill.run.control:run_parallel_for",
    StepKind.PARALLEL: "tidemill.run.parallel:run_parallel",
    StepKind.SPARK: "tidemill.run.spark:run_spark",
    StepKind.AUTOML: "tidemill.run.automl:run_automl",
}

# Kinds that only wait for tasks of their own, or count their processes: they take slots themselves.
CONTROL = frozenset(
    {StepKind.SWEEP, StepKind.PARALLEL, StepKind.AUTOML, StepKind.IF_ELSE, StepKind.DO_WHILE, StepKind.PARALLEL_FOR}
)


@cache
def find_runner(kind: StepKind) -> StepRunner | None:
    """What runs steps of a kind; None for one that cannot be run on this machine."""
    target = RUNNERS.get(kind)
    if target is None:
        return None
    module, _, function = target.partition(":")
    runner: StepRunner = getattr(import_late(module), function)
    return runner
