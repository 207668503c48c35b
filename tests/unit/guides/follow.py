"""Follow a guide as its reader does: write the files it shows, type its commands on a terminal, compare what comes back.

A code block whose first line is `# NAME` is a file of the reader's folder, `# add to NAME` goes to its end. A line that begins with
`$ ` is a command; what stands below it is what a terminal shows, where `…` stands for anything, on a line of its own for any
lines. Job names, durations, times, ports and the folder differ. `python -m tests.unit.guides.follow GUIDE …` writes into the
guides what the terminal shows today.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^# (?P<add>add to )?(?P<name>[\w./-]+\.\w+|\.env)$")
PORT = "8765"  # in guides; where they are followed another may be free
MARK = "\x1e"
ROWS, COLUMNS = 60, 150
OWN = ("TIDEMILL_", "MLFLOW_", "AZUREML_", "PYTHONDONTWRITEBYTECODE", "CI", "NO_COLOR", "COLUMNS")
VOLATILE = (
    (re.compile(r"\b[a-z]+_[a-z]+_[a-z0-9]{10}\b"), "JOB"),
    (re.compile(r"\b\d+(\.\d+)?s\b"), "SECONDS"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? [kMG]?B\b"), "SIZE"),
    (re.compile(r"\b\d+\.\d{2,}\b"), "NUMBER"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"^\S+: line \d+: +\d+ (Killed|Terminated).*$"), r"\1"),
    (re.compile(r" {2,}"), "  "),
)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command of a guide, what the guide says it answers, and where in the guide that stands."""

    command: str
    expected: str
    span: tuple[int, int]


def read(text: str) -> list[Typed | tuple[str, str, bool]]:
    """Files (name, content, whether it is added to what is there) and commands, in the reader's order."""
    steps: list[Typed | tuple[str, str, bool]] = []
    for fence in FENCE.finditer(text):
        body = fence[2]
        first, _, rest = body.partition("\n")
        if named := FILE.match(first):
            steps.append((named["name"], rest, bool(named["add"])))
        else:
            steps += _commands(body, fence.start(2))
    return steps


def _commands(body: str, offset: int) -> list[Typed]:
    starts = [m.start() for m in re.finditer(r"^\$ ", body, re.MULTILINE)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(body)], strict=False):
        command, _, expected = body[start + 2 : end].partition("\n")
        begin = offset + start + 2 + len(command) + 1
        found.append(Typed(command, expected, (begin, begin + len(expected))))
    return found


def follow(text: str, folder: Path, here: Mapping[str, str] | None = None) -> list[tuple[Typed, str]]:
    """Every command of the guide with what a terminal showed when it was typed in `folder`; `here` says what stands for its words."""
    folder.mkdir(parents=True)
    words = {PORT: str(_free_port()), **(here or {})}
    steps = read(reduce(lambda changed, word: changed.replace(*word), words.items(), text))
    script = [f"cd {folder}", "pip() { :; }"]
    for number, step in enumerate(steps):
        if isinstance(step, Typed):
            if "tidemill gc" in step.command:
                script.append("sleep 1.2")  # as its reader does: what was touched a moment ago is spared
            script += [step.command, f"printf '{MARK}\\n'"]
        else:
            name, content, add = step
            kept = folder.parent / f"file-{number}"
            kept.write_text(content)
            script.append(f"mkdir -p $(dirname {name}); cat {kept} {'>>' if add else '>'} {name}")
    script.append("kill $(jobs -p) 2>/dev/null")
    path = folder.parent / "guide.sh"
    path.write_text("\n".join(script) + "\n")
    answers = _on_terminal(["bash", str(path)], folder.parent).split(MARK)
    typed = [s for s in read(text) if isinstance(s, Typed)]
    back = {str(folder): f"/home/me/{folder.name}", **{there: word for word, there in words.items()}}
    shown = [reduce(lambda changed, word: changed.replace(*word), back.items(), _screen(a)) for a in answers]
    return list(zip(typed, shown, strict=False))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _on_terminal(argv: list[str], folder: Path) -> str:
    """All a terminal was sent by these commands."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {k: v for k, v in os.environ.items() if not k.startswith(OWN)}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        argv, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    sent = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # nobody has the terminal open any more
            break
        if not piece:
            break
        sent += piece
    os.close(ours)
    process.wait()
    return sent.decode(errors="replace")


def _screen(sent: str) -> str:
    """What is on the screen after these characters: colours gone, lines that were drawn again only once."""
    lines, row, column = [""], 0, 0
    for code, erase, up, char in re.findall(r"\x1b\[([?\d;]*)(?:(K)|(A)|[a-zA-Z])|(.|\n)", sent):
        if char == "\n":
            row, lines = row + 1, [*lines, ""] if row + 1 == len(lines) else lines
        elif char == "\r":
            column = 0
        elif char:
            line = lines[row].ljust(column)
            lines[row], column = line[:column] + char + line[column + 1 :], column + 1
        elif up:
            row = max(0, row - int(code or 1))
        elif erase:
            lines[row] = "" if code == "2" else lines[row][:column]
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    return f"{text}\n" if text else ""


def same(expected: str, shown: str) -> bool:
    """Whether a terminal showed what the guide says, but for what differs from run to run; what runs at once ends in any order."""
    there = [_plain(line) for line in shown.strip().splitlines()]
    lines = [_plain(line) for line in expected.strip().splitlines()]
    escaped = [r"(?:.*\n)*?.*" if line == "…" else re.escape(line).replace("…", ".*") for line in lines]
    return sorted(lines) == sorted(there) or re.fullmatch("\n".join(escaped), "\n".join(there)) is not None


def _plain(line: str) -> str:
    line = line.rstrip()
    for pattern, word in VOLATILE:
        line = pattern.sub(word, line)
    return line


def rewrite(path: Path, here: Mapping[str, str] | None = None) -> int:
    """Put what a terminal shows into the guide if any of it differs: all of it, so that names go on from one answer to the next."""
    text = path.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        answers = follow(text, Path(scratch).resolve() / path.stem, here)
    differing = [typed for typed, shown in answers if not same(typed.expected, shown)]
    for typed, shown in reversed(answers) if differing else ():
        if typed in differing or "…" not in typed.expected:
            blank = "\n" if typed.expected.endswith("\n\n") or typed.expected == "\n" else ""
            begin, end = typed.span
            text = text[:begin] + shown + blank + text[end:]
    path.write_text(text)
    return len(differing)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(f"{name}: {rewrite(Path(name))} answers differed\n")
