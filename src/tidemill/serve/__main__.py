"""`python -m tidemill.serve --model DIR`: load, answer once, then open the port."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import socket
import sys
from types import FrameType

from tidemill.serve.options import parse
from tidemill.serve.said import start_log
from tidemill.serve.sockets import bind
from tidemill.serve.workers import end_with_parent, run_workers


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; in-flight requests are answered first."""
    given = list(argv if argv is not None else sys.argv[1:])
    options = parse(given)
    if options.beats is not None:
        end_with_parent(options.beats, options.listener)
    if options.listener is not None:
        return _answer(options, socket.socket(fileno=options.listener))
    listener = bind(options.host, options.port, shared=options.workers > 1)
    if listener is None:
        return 4
    with listener:
        if options.workers > 1 or _may_convert(options):
            return run_workers(given, listener, options.workers, options.timeout)
        return _answer(options, listener)


def _may_convert(options: argparse.Namespace) -> bool:
    """Whether this may be the first start of a model that is converted: its library answers then until another process is ready."""
    other = options.converted or options.code or options.app
    return bool(options.model and options.allow_pickle and not other)


def _answer(options: argparse.Namespace, listener: socket.socket) -> int:
    """By this process itself, which alone imports what that takes."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_at_once)
    start_log()
    code: int = importlib.import_module("tidemill.serve.process").serve_one(options, listener)
    return code


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """While the model is loaded nobody has asked anything. The first process of a container would not even notice the signal."""
    del frame
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
