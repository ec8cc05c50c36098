"""S3: the template bucket, as it is read."""

from collections.abc import Mapping
from hashlib import md5
from typing import Any, Self

from tests.simulation.connection import Connection, client_error
from tests.support.cloud import WELCOME

BUCKET = "prove-templates"
FILES: Mapping[str, bytes] = {
    f"templates/welcome/{name}": text.encode() for name, text in WELCOME.items()
} | {"attachments/terms.txt": b"These are the terms."}


class Body:
    """What AWS streams."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return self._content


class S3Client:
    """One environment's client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get_object(self, Bucket: str, Key: str, IfNoneMatch: str = "") -> Any:  # noqa: ARG002 - there is one
        def do() -> dict[str, Any]:
            if Key not in FILES:
                raise client_error("NoSuchKey", "GetObject", status=404)
            content = FILES[Key]
            etag = f'"{md5(content, usedforsecurity=False).hexdigest()}"'
            if etag == IfNoneMatch:
                raise client_error("304", "GetObject", status=304)
            return {"ETag": etag, "ContentLength": len(content), "Body": Body(content)}

        return await self._connection.call("GetObject", do)

    async def head_object(self, Bucket: str, Key: str) -> Any:  # noqa: ARG002 - there is one
        def do() -> dict[str, Any]:
            if Key not in FILES:
                raise client_error("404", "HeadObject", status=404)
            return {"ContentLength": len(FILES[Key])}

        return await self._connection.call("HeadObject", do)
