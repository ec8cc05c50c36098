"""A handler that does nothing: what Python itself takes."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:  # noqa: ARG001 - Lambda's signature
    return {"status": "sent"}
