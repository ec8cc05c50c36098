"""Who an email is: the same request always gets the same id, however often it is delivered."""

import hashlib
from typing import Final
from uuid import UUID, uuid5

import msgspec

from engine.schemas.request import EmailRequest

# The root of every email id. Never change it: a request in flight would be sent again under another id.
NAMESPACE: Final = UUID("5e5a11e4-91e6-5d0c-9b0e-2f6a7c1d3e5b")

_encoder = msgspec.json.Encoder(order="deterministic")


def email_id(source: str, key: str) -> str:
    """The id of a first attempt; `key` is the idempotency key, or the event id where there is none."""
    return str(uuid5(NAMESPACE, f"{source}\n{key}"))


def retry_id(original_email_id: str, attempt: int) -> str:
    return str(uuid5(NAMESPACE, f"{original_email_id}\n{attempt}"))


def conflict_id(taken_email_id: str, request_hash: str) -> str:
    """The id of a request whose own id is taken by another request with the same idempotency key."""
    return str(uuid5(NAMESPACE, f"{taken_email_id}\n{request_hash}"))


def encoded(request: EmailRequest) -> bytes:
    """The request's meaning as JSON: the order of keys and defaults spelled out don't matter."""
    return _encoder.encode(request)


def hash_of(encoded_request: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(encoded_request).hexdigest()


def request_hash(request: EmailRequest) -> str:
    """SHA-256 over the request's meaning."""
    return hash_of(encoded(request))
