"""Where the parts of a job lie."""

from __future__ import annotations

from pathlib import Path

from tidemill.base.frozen import frozen
from tidemill.base.ids import JobName, StepName

RESERVED = "outputs"


@frozen
class StepFolder:
    """`cwd/` is the working folder, `inputs/INPUT_x` and `outputs/x` the mounts, `logs/` the words."""

    root: Path

    @property
    def cwd(self) -> Path:
        """Root of the code snapshot, where the command runs."""
        return self.root / "cwd"

    @property
    def inputs(self) -> Path:
        """Holds one `INPUT_<name>` per input that is data."""
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        """Holds one entry per output."""
        return self.root / "outputs"

    @property
    def logs(self) -> Path:
        """Holds `std_log.txt` and what the command puts into `./logs`."""
        return self.root / "logs"

    @property
    def log(self) -> Path:
        """What the command said, on both streams."""
        return self.logs / "std_log.txt"


@frozen
class JobFolder:
    """A job's folder below `jobs/`."""

    root: Path

    def step(self, name: StepName | str) -> StepFolder:
        """The folder of a step; one called like a folder of the job's own gets a `_`."""
        return StepFolder(self.root / (f"{name}_" if name == RESERVED else name))

    @property
    def outputs(self) -> Path:
        """Links to the pipeline's outputs."""
        return self.root / RESERVED


def job_folder(home: Path, job: JobName | str) -> JobFolder:
    """Where that job lies in the workspace at `home`."""
    return JobFolder(home / "jobs" / job)
