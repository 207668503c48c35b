"""Stand-ins for the request and response classes that Azure's scoring scripts import, in place of Microsoft's, which need Flask's server."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from tidemill.serve.forms import Headers, Upload, Values, read_form

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "tidemill_stand_in"
HOMES = ("azureml_inference_server_http.api", "azureml.contrib.services")
_asked: list[str] = []  # names of functions under `@rawhttp`; Microsoft's server asks no more than whether there is one


class AMLRequest:
    """What `run` receives under `@rawhttp`: what Flask's request has, as far as scripts use it."""

    scheme = "http"

    def __init__(self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes) -> None:
        self.method, self.path, self.data = method, path, body
        self.headers = Headers(headers)
        self.query_string = query.encode("latin-1")
        self.args = Values(parse_qsl(query, keep_blank_values=True))
        self.full_path = f"{path}?{query}"
        self.content_type = self.headers.get("content-type", "")
        self.mimetype = self.content_type.partition(";")[0].strip().lower()
        self.content_length = len(body)
        self.host = self.headers.get("host", "")
        self.base_url = f"{self.scheme}://{self.host}{path}"
        self.url = f"{self.base_url}?{query}" if query else self.base_url

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> bytes | str:  # noqa: FBT001, FBT002 - as Flask's
        """The body."""
        del cache, parse_form_data
        return self.data.decode("utf-8", "replace") if as_text else self.data

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - as Flask's
        """The body as JSON; `ValueError` when its content type says otherwise, or it is none."""
        del cache
        try:
            if not (force or self.is_json):
                raise ValueError(f"the content type is not application/json but `{self.content_type}`")
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    @property
    def json(self) -> Any:  # noqa: ANN401
        """The body as JSON."""
        return self.get_json()

    @property
    def is_json(self) -> bool:
        """Whether the content type says so."""
        kind: str = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @cached_property
    def stream(self) -> io.BytesIO:
        """The body, to be read as a file."""
        return io.BytesIO(self.data)

    @cached_property
    def _form(self) -> tuple[Values, Values]:
        return read_form(self.content_type, self.data)

    @property
    def form(self) -> Values:
        """Fields of a form."""
        return self._form[0]

    @property
    def files(self) -> Mapping[str, Upload]:
        """Files of a form."""
        return self._form[1]

    @property
    def values(self) -> Values:
        """Arguments of the address, then fields of a form."""
        given = [(name, value) for of in (self.args, self.form) for name in of for value in of.getlist(name)]
        return Values(given)

    @property
    def cookies(self) -> dict[str, str]:
        """What the client keeps for this server."""
        pairs = (c.strip().partition("=") for c in self.headers.get("cookie", "").split(";") if c.strip())
        return {name: value for name, _, value in pairs}


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
        is_json = json_str or message is None
        text = json.dumps({} if message is None else message) if is_json else message
        kind = "application/json" if is_json else "text/html; charset=utf-8"
        self.headers = Headers({"content-type": kind, "x-ms-run-function-failed": str(run_function_failed)})
        self.headers.update({k.title(): str(v) for k, v in (response_headers or {}).items()})
        self.set_data(text)

    def get_data(self, as_text: bool = False) -> bytes | str:  # noqa: FBT001, FBT002 - as Flask's
        """The body."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    def set_data(self, value: bytes | str) -> None:
        """Another body; `TypeError` for what is neither text nor bytes."""
        if not isinstance(value, bytes | bytearray | str):
            raise TypeError(f"a body is text or bytes, not {type(value).__name__}; json_str=True writes JSON")
        self.data = value.encode() if isinstance(value, str) else bytes(value)


def rawhttp(function: Function) -> Function:
    """Mark `run` as one that takes the request itself."""
    _asked.append(function.__name__)
    return function


def wants_request() -> bool:
    """Whether the script that was imported uses `@rawhttp`."""
    return bool(_asked)


def offer_stand_ins() -> None:
    """Make the imports of scoring scripts mean these classes, whether Microsoft's packages are installed or not."""
    _asked.clear()
    for home in HOMES:
        parts = home.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if not _is_there(name):
                _module(name)
        _module(f"{home}.aml_request").__dict__.update(AMLRequest=AMLRequest, rawhttp=rawhttp)
        _module(f"{home}.aml_response").__dict__.update(AMLResponse=AMLResponse)


def _is_there(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _module(name: str) -> ModuleType:
    """A module of that name, hung on its parent where that is one of ours."""
    made = ModuleType(name)
    made.__dict__.update({"__path__": [], MARK: True, "__spec__": importlib.util.spec_from_loader(name, None)})
    sys.modules[name] = made
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, made)
    return made
