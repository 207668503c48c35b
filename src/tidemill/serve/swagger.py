"""`/swagger.json` of a scoring script: its own file, or what `inference_schema` was told, in the version asked for."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from tidemill.serve.http import Response, json_response
from tidemill.serve.scoring import FAILED, ScoringScript

LOG = logging.getLogger("tidemill.serve")
Document = dict[str, Any]
NAMES = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}
FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
UNTOLD: Document = {"type": "object", "example": {}}
PROBLEM: Document = {"type": "object", "properties": {"message": {"type": "string"}}}
BEARER = {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header", "description": "Bearer TOKEN"}}
SECURED: list[Document] = [{"Bearer": []}]


def swagger_answer(script: ScoringScript, version: str) -> Response:
    """The document; a 404 that names the versions there are."""
    known = _versions(script)
    words = f"Supported versions: [{', '.join(known)}]."
    if version not in NAMES:
        return _missing(f"Swagger version [{version}] is not valid. {words}")
    own = _own_file(script, NAMES[version])
    if own is None and NAMES[version] not in known:
        return _missing(f"Swagger version [{version}] is not supported for the scoring script. {words}")
    document = make_swagger(script, NAMES[version]) if own is None else own
    return json_response(document, 200, [(FAILED, b"False")])


def make_swagger(script: ScoringScript, version: str) -> Document:
    """OpenAPI 2, 3 or 3.1 of the three addresses Azure's own server has."""
    about = {
        "title": os.environ.get("SERVICE_NAME") or script.name or "ML service",
        "version": os.environ.get("SERVICE_VERSION") or script.version,
    }
    given, answered = _schemas(script)
    parts = {"ServiceInput": given, "ServiceOutput": answered, "ErrorResponse": PROBLEM}
    write = _Writer("#/definitions/" if version == "2" else "#/components/schemas/", old=version == "2")
    paths = {
        "/": {"get": write.operation("ServiceHealthCheck", "Whether the service runs", "string")},
        "/score": {"post": {**write.operation("RunMLService", "Ask the model", "ServiceOutput"), **write.body()}},
        "/swagger.json": {
            "get": {**write.operation("GetSwaggerSpec", "This document", "object"), "parameters": [write.which()]}
        },
    }
    paths["/score"]["post"]["security"] = SECURED
    if version == "2":
        kinds = {"schemes": ["https", "http"], "consumes": ["application/json"], "produces": ["application/json"]}
        return {
            "swagger": "2.0", "info": about, **kinds, "securityDefinitions": BEARER, "paths": paths, "definitions": parts,
        }  # fmt: skip
    number = "3.0.3" if version == "3" else "3.1.0"
    return {
        "openapi": number, "info": about, "paths": paths,
        "components": {"schemas": parts, "securitySchemes": BEARER},
    }  # fmt: skip


class _Writer:
    """The two ways to say the same: OpenAPI 2, and 3."""

    def __init__(self, place: str, *, old: bool) -> None:
        self._place = place
        self._old = old

    def _schema(self, name: str) -> Document:
        return {"type": name} if name.islower() else {"$ref": self._place + name}

    def _content(self, name: str) -> Document:
        schema = {"schema": self._schema(name)}
        return schema if self._old else {"content": {"application/json": schema}}

    def operation(self, name: str, words: str, answer: str) -> Document:
        """One address: what comes back when it works, and when not."""
        good = {"description": "It worked", **self._content(answer)}
        bad = {"description": "It did not", **self._content("ErrorResponse")}
        return {"operationId": name, "description": words, "responses": {"200": good, "default": bad}}

    def body(self) -> Document:
        """What is sent to the model."""
        if self._old:
            return {"parameters": [{"name": "serviceInputPayload", "in": "body", **self._content("ServiceInput")}]}
        return {"requestBody": self._content("ServiceInput")}

    def which(self) -> Document:
        """The version of this document."""
        kind = {"type": "string", "enum": list(FILES)}
        return {"name": "version", "in": "query", "required": False, **(kind if self._old else {"schema": kind})}


def _schemas(script: ScoringScript) -> tuple[Document, Document]:
    """What goes in and out, as far as the script says."""
    told = sys.modules.get("inference_schema.schema_util")
    if told is None or not script.parameters:
        return UNTOLD, UNTOLD
    return told.get_input_schema(script.function), told.get_output_schema(script.function)


def _versions(script: ScoringScript) -> list[str]:
    """Those the schemas of the script can be written in; some cannot say in OpenAPI 2 what they take."""
    told = sys.modules.get("inference_schema.schema_util")
    said = told.get_supported_versions(script.function) if told is not None and script.parameters else list(NAMES)
    return sorted({NAMES[v] for v in said if v in NAMES} | {v for v in FILES if _own_file(script, v) is not None})


def _own_file(script: ScoringScript, version: str) -> Mapping[str, Any] | None:
    for name in FILES[version]:
        try:
            found = json.loads((script.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as exc:
            LOG.warning("%s cannot be read: %s", name, exc)
            continue
        if isinstance(found, dict):
            return found
    return None


def _missing(words: str) -> Response:
    return json_response({"message": words}, 404, [(FAILED, b"False")])
