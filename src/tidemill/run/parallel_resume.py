"""What a parallel step had done when it was interrupted, kept for when it runs again in the same job."""

from __future__ import annotations

import shutil
from pathlib import Path

from tidemill.plan.graph import Step, StepKind
from tidemill.run.folders import StepFolder

DRIVER = "driver"
KEY = "key"
ARTIFACTS = "artifacts"


def keep_done(step: Step, folder: StepFolder, key: str) -> bool:
    """Empty the step's folder but for finished mini batches and what they wrote; False if nothing can be kept.

    Only of a step with the same key: the same code, data and settings make the same mini batches.
    """
    driver = folder.root / DRIVER
    mark = driver / KEY
    if step.kind is not StepKind.PARALLEL or not mark.is_file() or mark.read_text(encoding="utf-8") != key:
        return False
    own = folder.cwd / "outputs"
    if own.is_dir() and not (driver / ARTIFACTS).exists():
        own.rename(driver / ARTIFACTS)
    for path in folder.root.iterdir():
        if path not in {driver, folder.outputs}:
            _remove(path)
    return True


def restore_artifacts(folder: StepFolder) -> None:
    """Put `./outputs` of the finished mini batches back into the fresh working folder."""
    kept = folder.root / DRIVER / ARTIFACTS
    if kept.is_dir():
        shutil.copytree(kept, folder.cwd / "outputs", dirs_exist_ok=True)
        shutil.rmtree(kept)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
