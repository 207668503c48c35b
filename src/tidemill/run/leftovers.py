"""What a step that tries many things had done when it was interrupted, kept for when it runs again in the same job."""

from __future__ import annotations

import shutil
from pathlib import Path

from tidemill.base.files import remove_tree
from tidemill.plan.graph import Step, StepKind
from tidemill.run.folders import StepFolder

PARALLEL = "driver"
AUTOML = "automl"
KEY = "key"
ARTIFACTS = "artifacts"


def keep_done(step: Step, folder: StepFolder, key: str) -> bool:
    """Empty the step's folder but for finished mini batches and what they wrote, or finished trials; False if there is neither.

    Only of a step with the same key: the same code, data and settings make the same mini batches, and propose the same trials.
    """
    kept = {StepKind.PARALLEL: {PARALLEL, folder.outputs.name}, StepKind.AUTOML: {AUTOML}}.get(step.kind, set())
    marks = [folder.root / name / KEY for name in kept]
    if not any(mark.is_file() and mark.read_text(encoding="utf-8") == key for mark in marks):
        return False
    if step.kind is StepKind.PARALLEL:
        _keep_artifacts(folder)
    for path in folder.root.iterdir():
        if path.name not in kept:
            _remove(path)
    return True


def _keep_artifacts(folder: StepFolder) -> None:
    own, kept = folder.cwd / "outputs", folder.root / PARALLEL / ARTIFACTS
    if own.is_dir() and not kept.exists():
        own.rename(kept)


def restore_artifacts(folder: StepFolder) -> None:
    """Put `./outputs` of the finished mini batches back into the fresh working folder."""
    kept = folder.root / PARALLEL / ARTIFACTS
    if kept.is_dir():
        shutil.copytree(kept, folder.cwd / "outputs", dirs_exist_ok=True)
        remove_tree(kept)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink()
