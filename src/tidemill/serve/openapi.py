"""The server's OpenAPI document, with examples the model can really answer."""

from __future__ import annotations

from typing import Any

from tidemill.serve.bodies import ARROW, NPY
from tidemill.serve.engine import Engine
from tidemill.serve.http import ID_LIMIT
from tidemill.serve.signature import Column, sample_request


def make_openapi(engine: Engine | None) -> dict[str, Any]:
    """OpenAPI 3.1 of `/predict`, `/score` and the rest."""
    name = engine.info.name if engine else "scoring script"
    version = engine.info.version if engine else "1"
    record = _record_schema(engine) if engine else {}
    example = sample_request(engine.signature) if engine else {}
    content: dict[str, Any] = {
        "application/json": {"schema": {"anyOf": [record, {"type": "array", "items": record}]}, "example": example}
    }
    if engine and engine.signature.image:
        files = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
        content["multipart/form-data"] = {"schema": files}
        content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
    answers = {
        "200": {"description": "The prediction", "content": {"application/json": {"schema": _answer_schema(engine)}}},
        "413": {"description": "Too large"},
        "415": {"description": "Another content type"},
        "422": {"description": "What is wrong, with the field's name"},
        "429": {"description": "As many requests wait as may; come back after `Retry-After` seconds"},
        "503": {"description": "Not ready"},
        "504": {"description": "The model took too long"},
    }
    if engine:
        content[NPY] = content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
    predict = {
        "post": {
            "summary": "Predict one record or many",
            "operationId": "predict",
            "requestBody": {"required": True, "content": content},
            "responses": answers,
        }
    }
    score = {
        "post": {
            "summary": "Azure ML's scoring contract",
            "operationId": "score",
            "requestBody": {"required": True, "content": content},
            "responses": answers,
        }
    }
    plain = {"responses": {"200": {"description": "ok"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": {
            "/predict": predict,
            "/score": score,
            "/feedback": {"post": _feedback()},
            **(_open_inference(engine) if engine else {}),
            "/version": {"get": {"summary": "Who answers", **plain}},
            "/healthz": {"get": {"summary": "The process lives", **plain}},
            "/readyz": {"get": {"summary": "The model answers", **plain}},
            "/metrics": {"get": {"summary": "Prometheus metrics", **plain}},
        },
    }


def _feedback() -> dict[str, Any]:
    properties = {"request_id": {"type": "string", "maxLength": ID_LIMIT}, "truth": {}}
    item = {"type": "object", "properties": properties, "required": list(properties)}
    schema = {"anyOf": [item, {"type": "array", "items": item}]}
    example = {"request_id": "the answer's x-request-id", "truth": "yes"}
    return {
        "summary": "What turned out to be true of an earlier request",
        "operationId": "feedback",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {
            "202": {"description": "Kept"},
            "404": {"description": "Nothing is recorded here"},
            "422": {"description": "What is wrong, with the field's name"},
            "503": {"description": "Not all could be kept"},
        },
    }


def _open_inference(engine: Engine) -> dict[str, Any]:
    """The Open Inference Protocol's addresses."""
    plain = {"responses": {"200": {"description": "ok"}}}
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor}},
        "required": ["inputs"],
    }
    infer = {
        "summary": "Open Inference Protocol: predict",
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "Output tensors"}, "400": {"description": "What is wrong"}},
    }
    path = f"/v2/models/{engine.info.name}"
    return {
        "/v2": {"get": {"summary": "Open Inference Protocol: server", **plain}},
        "/v2/health/live": {"get": {"summary": "The process lives", **plain}},
        "/v2/health/ready": {"get": {"summary": "The model answers", **plain}},
        path: {"get": {"summary": "Open Inference Protocol: model", **plain}},
        f"{path}/ready": {"get": {"summary": "The model answers", **plain}},
        f"{path}/infer": {"post": infer},
    }


def _record_schema(engine: Engine) -> dict[str, Any]:
    signature = engine.signature
    if signature.image:
        pixels = {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 255},
            "minItems": signature.image.values,
            "maxItems": signature.image.values,
        }
        one = {"type": "object", "properties": {"pixels": pixels}, "required": ["pixels"]}
        other = {
            "type": "object",
            "properties": {"image": {"type": "string", "contentEncoding": "base64"}},
            "required": ["image"],
        }
        return {"anyOf": [one, other]}
    if signature.columns:
        properties = {c.name: _column_schema(c) for c in signature.columns}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"inputs": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}},
        "required": ["inputs"],
    }


def _column_schema(column: Column) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": column.type}
    if column.low is not None and column.high is not None:
        schema["description"] = f"{column.low:g} to {column.high:g} in training"
    return schema


def _answer_schema(engine: Engine | None) -> dict[str, Any]:
    classes = list(engine.signature.classes) if engine else []
    prediction: dict[str, Any] = {"enum": classes} if classes else {}
    probabilities = {"type": "object", "additionalProperties": {"type": "number"}}
    one = {
        "type": "object",
        "properties": {
            "prediction": prediction,
            "probability": {"type": "number"},
            "probabilities": probabilities,
            "version": {"type": "string"},
        },
    }
    return {"anyOf": [one, {"type": "object", "properties": {"predictions": {"type": "array", "items": one}}}]}
