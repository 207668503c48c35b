"""What the server's command line says about recording. A pod says the same in variables, so that its image need not."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from tidemill.serve.settings import GIB

VARIABLE = "TIDEMILL_CAPTURE_"
ROLLING = ("minute", "hour", "day")


def add_capture_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """`--capture-…`; `TIDEMILL_CAPTURE_DIR` and its kin are their defaults."""

    def said(name: str, otherwise: str | None) -> str | None:
        return environ.get(f"{VARIABLE}{name}") or otherwise

    # argparse reads a default that is text as it reads what is given
    add = parser.add_argument
    add("--capture-dir", type=Path, default=said("DIR", None), help="record requests and answers below this folder")
    add("--capture-to", default=said("TO", ""), help="send what was recorded on to this folder or URL")
    add("--capture-rate", type=_share, default=said("RATE", "1"), help="share of requests recorded, 0 to 1")
    add("--capture-max-bytes", type=int, default=said("MAX_BYTES", str(GIB)), help="nothing is recorded beyond this")
    add("--capture-mask", default=said("MASK", ""), help="columns whose values are not recorded, by comma")
    add("--capture-parts", default=said("PARTS", "request,response"), help="what is recorded, by comma")
    add("--capture-headers", default=said("HEADERS", ""), help="headers of requests that are recorded, by comma")
    add("--capture-rolling", choices=ROLLING, default=said("ROLLING", "day"), help="how long a partition is")


def _share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return share
