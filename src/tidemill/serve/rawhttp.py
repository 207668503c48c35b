"""Stand-ins for the request and response classes that Azure's scoring scripts import, for servers without Flask."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import parse_qs

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "tidemill_rawhttp"
HOMES = ("azureml_inference_server_http.api", "azureml.contrib.services")


class Headers(dict[str, str]):
    """Names without regard to case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as dict.get
        """The value, or `default`."""
        return super().get(name.lower(), default)


class AMLRequest:
    """What `run` receives under `@rawhttp`: method, path, headers, args and the body as it came."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes) -> None:
        self.method, self.path, self.data = method, path, body
        self.headers = Headers({k.lower(): v for k, v in headers.items()})
        self.args = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        self.full_path = f"{path}?{query}"
        self.content_type = self.headers.get("content-type", "")

    def get_data(self, *, as_text: bool = False) -> bytes | str:
        """The body."""
        return self.data.decode() if as_text else self.data

    def get_json(self, *, force: bool = False, silent: bool = False) -> Any:  # noqa: ANN401
        """The body as JSON."""
        del force
        try:
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    @property
    def json(self) -> Any:  # noqa: ANN401
        """The body as JSON."""
        return self.get_json()


class AMLResponse:
    """What `run` may return: a body with a status and headers of its own."""

    def __init__(
        self,
        message: Any,  # noqa: ANN401 - text, bytes or a JSON value
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,  # noqa: FBT001, FBT002 - Azure's own signature
        run_function_failed: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        self.status_code = status_code
        self.headers = {"content-type": "text/html; charset=utf-8"}
        if json_str or message is None:
            message = json.dumps({} if message is None else message)
            self.headers["content-type"] = "application/json"
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        self.headers |= {k.lower(): v for k, v in (response_headers or {}).items()}
        self.body = message if isinstance(message, bytes) else str(message).encode()


def rawhttp(function: Function) -> Function:
    """Mark `run` as one that takes the request itself."""
    setattr(function, MARK, True)
    return function


def offer_stand_ins() -> None:
    """Make the imports of scoring scripts work where Microsoft's packages are not installed."""
    for home in HOMES:
        parts = home.split(".")
        if importlib.util.find_spec(parts[0]) is not None and parts[0] not in _offered():
            continue
        for depth in range(1, len(parts) + 1):
            _module(".".join(parts[:depth]))
        request, response = _module(f"{home}.aml_request"), _module(f"{home}.aml_response")
        request.__dict__.update(AMLRequest=AMLRequest, rawhttp=rawhttp)
        response.__dict__.update(AMLResponse=AMLResponse)


def _offered() -> set[str]:
    return {name for name, module in sys.modules.items() if getattr(module, MARK, False)}


def _module(name: str) -> ModuleType:
    """A module of that name, hung on its parent."""
    if name not in sys.modules:
        made = ModuleType(name)
        made.__dict__.update({"__path__": [], MARK: True, "__spec__": importlib.util.spec_from_loader(name, None)})
        sys.modules[name] = made
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, made)
    return sys.modules[name]
