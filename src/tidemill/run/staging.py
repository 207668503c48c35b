"""Inputs in: what a step sees, laid out as Azure ML lays it out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tidemill.base.errors import FailedError
from tidemill.base.frozen import frozen
from tidemill.plan.graph import Literal, Step
from tidemill.run.folders import StepFolder
from tidemill.run.ports import ArtifactStore
from tidemill.run.quoting import Places
from tidemill.spec.expression import Reference


@frozen
class Source:
    """Where an input's bytes are: in the store (`ref`), at a `path` of this machine, or both; or at a `url` only."""

    ref: str
    path: Path | None
    is_file: bool
    name: str
    kept: bool
    url: str = ""


def lay_out(step: Step, folder: StepFolder) -> None:
    """The empty folders a command may count on. An output that is a file gets only its parent."""
    for path in (folder.cwd, folder.inputs, folder.outputs, folder.logs):
        path.mkdir(parents=True, exist_ok=True)
    (folder.cwd / "outputs").mkdir(exist_ok=True)
    logs = folder.cwd / "logs"
    if not logs.exists() and not logs.is_symlink():
        logs.symlink_to(folder.logs)
    for name, output in step.outputs.items():
        if not output.is_file:
            (folder.outputs / name).mkdir(exist_ok=True)


def place_input(
    name: str, source: Source, folder: StepFolder, artifacts: ArtifactStore, *, mode: str, kind: str
) -> str:
    """Make one input appear; the path the command gets."""
    if source.url:
        return source.url
    mount = folder.inputs / f"INPUT_{name}"
    if source.is_file:
        mount.mkdir()
        target = mount / source.name
        _place(source, target, artifacts, writable=mode == "download")
        return str(mount if kind == "uri_folder" else target)
    _place(source, mount, artifacts, writable=mode == "download")
    return str(mount)


def _place(source: Source, target: Path, artifacts: ArtifactStore, *, writable: bool) -> None:
    if source.kept:
        try:
            artifacts.place(source.ref, target, writable=writable)
        except KeyError as exc:
            raise FailedError(
                f"The bytes of `{target.name}` are damaged or gone",
                hint="Run again: the step that made them runs anew.",
            ) from exc
        return
    if source.path is None:
        raise FailedError(f"Nothing is known of the bytes of `{target.name}`")
    if writable:
        _copy(source.path, target)
    elif source.is_file:
        target.symlink_to(source.path)
    else:
        _link_files(source, source.path, target, artifacts)


def _copy(path: Path, target: Path) -> None:
    """A copy of the step's own, of data that is too much to be kept."""
    if path.is_dir():
        shutil.copytree(path, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(path, target)


def _link_files(source: Source, path: Path, target: Path, artifacts: ArtifactStore) -> None:
    """Real folders of links to files: whoever walks a folder, or deletes in it, does not follow a link to another."""
    made = {target}
    target.mkdir()
    for top, folders, _ in os.walk(path):
        for name in folders:
            folder = target / Path(top, name).relative_to(path)
            folder.mkdir(exist_ok=True)
            made.add(folder)
    for entry in artifacts.entries(source.ref) or ():
        link = target / entry.path
        if link.parent not in made:  # below a link to a folder
            link.parent.mkdir(parents=True, exist_ok=True)
            made.add(link.parent)
        if entry.digest:
            link.symlink_to(path / entry.path)


def render_command(step: Step, paths: Mapping[str, str], folder: StepFolder, run_id: str) -> str:
    """The command with every reference replaced: literals as text, data and outputs as paths, each one word to bash."""
    values, places = literal_paths(step), Places()

    def find(reference: Reference) -> str | None:
        text = look_up(reference, step, paths, folder, run_id)
        is_value = reference.dotted.removeprefix("inputs.") in values
        return places.mark(text) if text and not is_value and Path(text).is_absolute() else text

    return places.fill(step.command.render(find)) if step.command else ""


def look_up(reference: Reference, step: Step, paths: Mapping[str, str], folder: StepFolder, run_id: str) -> str | None:
    """The text a reference stands for inside a step; None when it has none."""
    match reference.path:
        case ("inputs", name) | ("inputs", name, "path"):
            return paths.get(name)
        case ("inputs", *names) if ".".join(names) in paths:
            return paths[".".join(names)]
        case ("outputs", name) | ("outputs", name, "path"):
            return str(folder.outputs / name) if name in step.outputs else None
        case ("name",):
            return run_id
        case _:
            return paths.get(reference.dotted)


def literal_paths(step: Step) -> dict[str, str]:
    """The inputs that are values, as text."""
    return {name: b.text for name, b in step.inputs.items() if isinstance(b, Literal)}
