"""`/metrics` of an endpoint: every version's own, told apart by `deployment`, and what the router counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping

from tidemill.serve.router_http import BadMessage, Head, body_length, read_chunks, read_head, request_bytes

ASK_S = 5.0
OK = 200
PLAIN = b"text/plain; version=0.0.4; charset=utf-8"
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?( .*)")


async def fetch_metrics(head: Head, port: int) -> str:
    """What the server on a port says to the request; empty when it does not answer, or not with metrics."""
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request_bytes(head, b"", port))
                answer = await read_head(reader)
                if answer is None or answer.status != OK:
                    return ""
                if not answer.headers.get(b"content-type", b"").startswith(b"text/plain"):
                    return ""
                body = await (read_chunks(reader) if answer.is_chunked else reader.readexactly(body_length(answer)))
                return body.decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, BadMessage):
        return ""


def merge_metrics(texts: Mapping[str, str]) -> str:
    """One exposition of several: samples of a name together, each with the deployment it is of."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for deployment, text in texts.items():
        name = ""
        for line in text.splitlines():
            if line.startswith("#"):
                name = [*line.split(" ", 3), "", ""][2]
                about, _ = families.setdefault(name, ([], []))
                if line not in about and len(about) < 2:  # noqa: PLR2004 - HELP and TYPE
                    about.append(line)
            elif (found := _SAMPLE.fullmatch(line)) is not None:
                families.setdefault(name, ([], []))[1].append(_labelled(found, deployment))
    return "".join(f"{line}\n" for about, samples in families.values() for line in (*about, *samples))


def _labelled(found: re.Match[str], deployment: str) -> str:
    labels = found[2] or ""
    if not re.search(r'(?:^|,)deployment="', labels):
        labels = f'deployment="{deployment}"' + (f",{labels}" if labels else "")
    return f"{found[1]}{{{labels}}}{found[3]}"


def router_metrics(numbers: Iterable[tuple[str, Mapping[str, int]]]) -> str:
    """What the router counted of each deployment, as an exposition."""
    about = {
        "answered": "Requests a deployment answered",
        "errors": "Answers of it that were server errors",
        "died": "Requests whose server ended before it answered",
        "inside": "Requests it has now",
    }
    rows = list(numbers)
    lines = []
    for key, words in about.items():
        name, kind = (
            (f"tidemill_endpoint_{key}", "gauge") if key == "inside" else (f"tidemill_endpoint_{key}_total", "counter")
        )
        lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
        lines += [f'{name}{{deployment="{deployment}"}} {counts[key]}' for deployment, counts in rows]
    return "".join(f"{line}\n" for line in lines)
