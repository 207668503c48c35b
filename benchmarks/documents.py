"""Checking 500 documents and one pipeline of 10,000 steps, in fresh processes: `python benchmarks/documents.py`.

Targets: 500 documents under 2 s and 100 MiB; 10,000 steps under 2 s; cost grows linearly with the steps.
"""

from __future__ import annotations

import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
from pathlib import Path

COMPONENT = """$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: fit_{number}
version: 1
type: command
inputs:
  data: {{type: uri_folder}}
  rounds: {{type: integer, min: 1, max: 100}}
outputs:
  out: {{type: uri_folder}}
command: python fit.py ${{{{inputs.data}}}} ${{{{inputs.rounds}}}} ${{{{outputs.out}}}}
environment: azureml:train@latest
"""
HEAD = "type: pipeline\ninputs:\n  data: {type: uri_folder, path: azureml:data:1}\njobs:\n"
STEP = """  step_{number}:
    type: command
    component: ./fit_0.yml
    inputs:
      data: {source}
      rounds: 3
    outputs:
      out: {{type: uri_folder, mode: rw_mount}}
"""
MEASURED = """
import resource, sys, time
from pathlib import Path
from tidemill.spec.check import check_paths
began = time.perf_counter()
reports = check_paths([Path(sys.argv[1])], root=Path(sys.argv[2]))
took = time.perf_counter() - began
assert all(r.valid for r in reports), [f for r in reports for f in r.findings][:3]
print(f"{took:6.2f} s  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MiB  {len(reports)} files")
"""


def make_components(folder: Path, count: int) -> None:
    """So many different components."""
    for number in range(count):
        (folder / f"fit_{number}.yml").write_text(COMPONENT.format(number=number))


def make_pipeline(folder: Path, steps: int) -> Path:
    """A chain of steps."""
    sources = ["${{parent.inputs.data}}", *(f"${{{{parent.jobs.step_{n}.outputs.out}}}}" for n in range(steps - 1))]
    path = folder / f"chain_{steps}.yml"
    path.write_text(HEAD + "".join(STEP.format(number=n, source=s) for n, s in enumerate(sources)))
    return path


def measure(what: str, path: Path, root: Path) -> None:
    """One line of the table."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(root)], capture_output=True, text=True, check=True
    )
    print(f"{what:24} {done.stdout.strip()}")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        many = root / "many"
        many.mkdir()
        make_components(many, 500)
        measure("500 documents", many, many)
        make_components(root, 1)
        for steps in (1_000, 10_000, 20_000):
            measure(f"{steps} steps", make_pipeline(root, steps), root)


if __name__ == "__main__":
    main()
