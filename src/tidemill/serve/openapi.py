"""The server's OpenAPI document: every status it gives with its schema, and examples the model can really answer."""

from __future__ import annotations

from typing import Any

from tidemill.serve.bodies import ARROW, NPY
from tidemill.serve.engine import Engine
from tidemill.serve.open_inference import sample_inference
from tidemill.serve.openapi_schemas import (
    TEXT,
    Schema,
    answer_schema,
    detail_schema,
    feedback_schema,
    inference_answer_schema,
    inference_schema,
    obj,
    request_schema,
    score_schema,
)
from tidemill.serve.samples import sample_request

BINARY: Schema = {"type": "string", "format": "binary"}
FAILED = {"500": "The model failed on this request; the server's log says why", "503": "Not ready", "504": "Too slow"}
REFUSED = {
    "401": "A token is needed",
    "405": "Another method",
    "413": "Too large",
    "415": "Another content type",
    "421": "A foreign Host header",
    "422": "What is wrong, with the field's name",
    "429": "As many requests wait as may; come back after `Retry-After` seconds",
    "431": "The request's id is too long",
}
GETS = {
    "/version": "Who answers",
    "/healthz": "The process lives",
    "/readyz": "The model answers",
}
PROTOCOL_GETS = {
    "/v2": "Open Inference Protocol: server",
    "/v2/health/live": "The process lives",
    "/v2/health/ready": "The model answers",
}


def make_openapi(engine: Engine | None) -> dict[str, Any]:
    """OpenAPI 3.1 of `/predict`, `/score` and the rest."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": engine.info.name if engine else "scoring script",
            "version": engine.info.version if engine else "1",
        },
        "security": [{"token": []}, {}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/predict": {
                "post": _post("predict", "Predict one record or many", _content(engine), answer_schema(engine))
            },
            "/score": {"post": _post("score", "Azure ML's scoring contract", _content(engine), score_schema(engine))},
            "/feedback": {"post": _feedback()},
            **{path: {"get": _get(words)} for path, words in GETS.items()},
            "/metrics": {"get": _get("Prometheus metrics", "text/plain", TEXT)},
            **(_open_inference(engine) if engine else {}),
        },
    }


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _problems(*, post: bool) -> dict[str, Any]:
    """Every answer that is none, and its words."""
    words = REFUSED | FAILED if post else {k: REFUSED[k] for k in ("401", "405", "421", "431")} | FAILED
    content = {k: {} if k == "503" else {"content": _json(detail_schema())} for k in words}
    return {status: {"description": said, **content[status]} for status, said in words.items()}


def _post(name: str, summary: str, content: dict[str, Any], answer: Schema) -> dict[str, Any]:
    answers = {"200": {"description": "The prediction", "content": _json(answer)}, **_problems(post=True)}
    return {
        "summary": summary,
        "operationId": name,
        "requestBody": {"required": True, "content": content},
        "responses": answers,
    }


def _get(summary: str, kind: str = "application/json", schema: Schema | None = None) -> dict[str, Any]:
    good = {"description": "ok", "content": {kind: {"schema": schema or {"type": "object"}}}}
    return {"summary": summary, "responses": {"200": good, **_problems(post=False)}}


def _content(engine: Engine | None) -> dict[str, Any]:
    """The bodies taken."""
    example = {"example": sample_request(engine.signature)} if engine else {}
    content: dict[str, Any] = {"application/json": {"schema": request_schema(engine), **example}}
    if engine and engine.signature.image:
        content["multipart/form-data"] = {"schema": obj({"file": BINARY})}
        content["image/*"] = {"schema": BINARY}
    if engine:
        content[NPY] = content[ARROW] = {"schema": BINARY}
    return content


def _feedback() -> dict[str, Any]:
    kept = {"description": "Kept", "content": _json(obj({"kept": {"type": "integer"}}))}
    example = {"request_id": "the answer's x-request-id", "truth": "yes"}
    return {
        "summary": "What turned out to be true of an earlier request",
        "operationId": "feedback",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": feedback_schema(), "example": example}},
        },
        "responses": {
            "202": kept,
            "404": {"description": "Nothing is recorded here", "content": _json(detail_schema())},
            **_problems(post=True),
            "503": {**kept, "description": "Not all could be kept"},
        },
    }


def _open_inference(engine: Engine) -> dict[str, Any]:
    """The Open Inference Protocol's addresses."""
    error = {"description": "What is wrong", "content": _json(obj({"error": TEXT}))}
    example = sample_inference(engine)
    content = {"schema": inference_schema(engine), **({"example": example} if example else {})}
    words = "Open Inference Protocol: predict"
    infer = _post("infer", words, {"application/json": content}, inference_answer_schema())
    infer["responses"] |= {"400": error, "429": error}
    path = f"/v2/models/{engine.info.name}"
    return {
        **{where: {"get": _get(words)} for where, words in PROTOCOL_GETS.items()},
        path: {"get": _get("Open Inference Protocol: model")},
        f"{path}/ready": {"get": _get("The model answers")},
        f"{path}/infer": {"post": infer},
    }
