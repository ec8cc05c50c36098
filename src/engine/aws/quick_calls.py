"""Calls that cost less CPU: what botocore works out anew for every call, worked out once.

A call's CPU is time that an email waits, and what a batch costs. A quarter of it goes into walking the shapes
of parameters that are JSON already, into resolving an endpoint that is the same for every call, and into
deriving a signing key that holds for a day. The rest stays botocore's: retries, errors, credentials, HTTP.

The seams are botocore's own: a class put before the client's (`creating-client-class`), a serializer, and a
signer chosen by `choose-signer`. tests/test_quick_calls.py compares with what botocore would have sent, byte
for byte, so a new version of it is noticed.
Source: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html
"""

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.auth
import msgspec
from botocore.serialize import JSONSerializer, RestJSONSerializer

# By the names of botocore's events. Of the parameters that the engine gives, no endpoint depends on any but
# `Bucket`; that of SQS does, on its queue, and nobody waits for its calls.
_SERVICES: Final = ("dynamodb", "sesv2", "eventbridge", "s3")
_V4: Final = "v4-kept"
_S3: Final = "s3v4-kept"
# By the names that their services are signed for.
_SIGNATURES: Final = {"dynamodb": _V4, "ses": _V4, "events": _V4, "s3": _S3}
# Paths that are signed as they are: nothing to escape, no `//`, `/./` or `/../` to take away.
_AS_IT_IS: Final = re.compile(r"/|(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNSIGNED_HEADERS: Final = frozenset(botocore.auth.SIGNED_HEADERS_BLACKLIST)

_encode = msgspec.json.Encoder().encode
# Their stubs know nothing of what a subclass needs.
_Json: Final[Any] = JSONSerializer
_RestJson: Final[Any] = RestJSONSerializer
_SigV4: Final[Any] = botocore.auth.SigV4Auth
_S3SigV4: Final[Any] = botocore.auth.S3SigV4Auth


class QuickJson(_Json):  # type: ignore[misc] # as above
    """JSON protocols, where the parameters are the body: DynamoDB, EventBridge."""

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: Any) -> Any:
        try:
            body = _encode(parameters)
        except UnicodeEncodeError:  # a lone surrogate, which json writes as an escape
            return super().serialize_to_request(parameters, operation_model)
        request = super().serialize_to_request({}, operation_model)
        request["body"] = body
        return request


class QuickRestJson(_RestJson):  # type: ignore[misc] # as above
    """REST protocols: SES v2. Which parameters are the body is found by botocore, once for each name."""

    def _serialize_body_params(self, params: Mapping[str, Any], shape: Any) -> Any:
        try:
            return _encode(params)
        except UnicodeEncodeError:  # as above
            return super()._serialize_body_params(params, shape)


_QUICK: Final = {JSONSerializer: QuickJson, RestJSONSerializer: QuickRestJson}


class QuickCalls:
    """Comes before a client's own class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._endpoints: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._serializer: Any
        if quick := _QUICK.get(type(self._serializer)):
            self._serializer = quick()

    async def _resolve_endpoint_ruleset(
        self, operation_model: Any, params: Any, request_context: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        """The endpoint, and how to sign for it, which goes into the request's context."""
        bucket = params.get("Bucket")
        # S3 Express asks for its sessions elsewhere than for its objects.
        place = f"{bucket} {operation_model.name}" if bucket else ""
        if place not in self._endpoints:
            context: dict[str, Any] = {}
            resolve: Any = super()._resolve_endpoint_ruleset  # type: ignore[misc] # the client's own
            found = await resolve(operation_model, params, context, *rest, **named)
            self._endpoints[place] = found, context
        found, context = self._endpoints[place]
        request_context.update({name: _copied(value) for name, value in context.items()})
        return found


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


class KeptKeySigV4(_SigV4):  # type: ignore[misc] # as above
    """Signature version 4, without doing anything twice. Lives for one request.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """

    _signed: str | None = None

    def canonical_request(self, request: Any) -> Any:
        place = _place(request.url)
        named = [
            (name.lower(), " ".join(value.split()))
            for name, value in request.headers.items()
            if name.lower() not in _UNSIGNED_HEADERS
        ]
        headers = dict(named)
        if place is None or request.params or len(headers) < len(named):
            return super().canonical_request(request)
        host, path = place
        headers.setdefault("host", host)
        names = sorted(headers)
        self._signed = ";".join(names)
        lines = (f"{name}:{headers[name]}" for name in names)
        given = request.headers.get("X-Amz-Content-SHA256")
        digest = self.payload(request) if given is None else given
        return "\n".join((request.method.upper(), path, "", *lines, "", self._signed, digest))

    def signed_headers(self, headers_to_sign: Any) -> Any:
        return self._signed or super().signed_headers(headers_to_sign)

    def headers_to_sign(self, request: Any) -> Any:
        return None if self._signed else super().headers_to_sign(request)

    def signature(self, string_to_sign: str, request: Any) -> str:
        day = request.context["timestamp"][:8]
        key = _signing_key(self.credentials.secret_key, day, self._region_name, self._service_name)
        return hmac.new(key, string_to_sign.encode(), sha256).hexdigest()


class KeptKeyS3SigV4(KeptKeySigV4, _S3SigV4):  # type: ignore[misc] # as above
    """As S3 has it, which takes paths as they are and wants the digest of the body in a header."""


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=64)
def _place(url: str) -> tuple[str, str] | None:
    """Host and path as they are signed; None for those that need care."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path
    if parts.query or ":" in host or not _AS_IT_IS.fullmatch(path):
        return None
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return host, path


def quicken(session: Any) -> None:
    """Make the clients that this botocore session creates quick, those of `_SERVICES`."""
    botocore.auth.AUTH_TYPE_MAPS.update({_V4: KeptKeySigV4, _S3: KeptKeyS3SigV4})
    for service in _SERVICES:
        session.register(f"creating-client-class.{service}", _put_first)
        session.register(f"choose-signer.{service}", _choose)


def _put_first(base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, QuickCalls)


def _choose(signature_version: Any, signing_name: str, context: Mapping[str, Any], **_: Any) -> str | None:
    """For what would be signed by version 4 anyway, and with its body; else botocore's own choice."""
    if signature_version not in {"v4", "s3v4"} or context.get("unsigned_payload"):
        return None
    return _SIGNATURES.get(signing_name)
