"""What a client did wrong, with the field's name: one class, translated to an answer once."""

from __future__ import annotations

from typing import Any


class RequestProblem(Exception):
    """A 4xx answer. `loc` names the field, as `["body", "pixels"]`."""

    def __init__(
        self, message: str, *, loc: tuple[str | int, ...] = ("body",), status: int = 422, kind: str = "value_error"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.loc = loc
        self.status = status
        self.kind = kind

    def as_json(self) -> dict[str, Any]:
        """The shape people know from FastAPI."""
        return {"detail": [{"loc": list(self.loc), "msg": self.message, "type": self.kind}]}
