"""Pictures take their time to unfold; whoever asks for something else meanwhile is answered meanwhile."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tidemill.serve.engine import load_engine
from tidemill.serve.server import InferenceServer
from tidemill.serve.settings import ServerSettings

pytestmark = pytest.mark.filterwarnings("ignore")


async def call(app: InferenceServer, method: str, path: str, body: bytes, kind: str) -> tuple[int, Any]:
    headers = [(b"host", b"127.0.0.1:1"), (b"content-type", kind.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (2500, 2500), 90).save(stream, "PNG")
    return stream.getvalue()


def many(count: int) -> tuple[bytes, str]:
    return json.dumps([{"image": base64.b64encode(picture()).decode()}] * count).encode(), "application/json"


def one_file() -> tuple[bytes, str]:
    return picture(), "image/png"


@pytest.mark.parametrize(("body", "kind"), [many(20), one_file()], ids=["many", "one"])
def test_others_are_answered_while_large_pictures_are_unfolded(digits_model: Path, body: bytes, kind: str) -> None:
    app = InferenceServer(
        load_engine(digits_model.parent, name="m", version="3", deployment="", allow_pickle=True, soon=True),
        None,
        ServerSettings(),
    )

    async def both() -> tuple[bool, int, int]:
        heavy = asyncio.create_task(call(app, "POST", "/predict", body, kind))
        await asyncio.sleep(0)
        status, _ = await call(app, "GET", "/version", b"", "application/json")
        is_under_way = not heavy.done()
        answered, _ = await heavy
        return is_under_way, status, answered

    assert asyncio.run(both()) == (True, 200, 200)


def test_a_queue_that_is_full_unfolds_nothing(digits_model: Path) -> None:
    app = InferenceServer(
        load_engine(digits_model.parent, name="m", version="3", deployment="", allow_pickle=True, soon=True),
        None,
        ServerSettings(max_queue=0),
    )
    assert asyncio.run(call(app, "POST", "/predict", *many(20)))[0] == 429
