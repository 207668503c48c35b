"""One runner per kind of step."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.plan.graph import StepKind
from tidemill.run.automl import run_automl
from tidemill.run.command import run_command
from tidemill.run.control import run_do_while, run_if_else, run_parallel_for
from tidemill.run.parallel import run_parallel
from tidemill.run.register import run_register_model
from tidemill.run.spark import run_spark
from tidemill.run.sweep import run_sweep
from tidemill.run.work import StepRunner

RUNNERS: Mapping[StepKind, StepRunner] = {
    StepKind.COMMAND: run_command,
    StepKind.REGISTER_MODEL: run_register_model,
    StepKind.SWEEP: run_sweep,
    StepKind.IF_ELSE: run_if_else,
    StepKind.DO_WHILE: run_do_while,
    StepKind.PARALLEL_FOR: run_parallel_for,
    StepKind.PARALLEL: run_parallel,
    StepKind.SPARK: run_spark,
    StepKind.AUTOML: run_automl,
}

# Kinds that only wait for tasks of their own: they hold no slot while they do.
CONTROL = frozenset({StepKind.SWEEP, StepKind.PARALLEL, StepKind.IF_ELSE, StepKind.DO_WHILE, StepKind.PARALLEL_FOR})
