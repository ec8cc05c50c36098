"""Webhooks whose bodies are signed, as Standard Webhooks has it: https://www.standardwebhooks.com.

A function posts these, as an API destination sends the same header with every request.
"""

import base64
import hmac
import socket
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import AddrInfoType
from msgspec import Struct

from engine.aws.error_codes import service_errors
from engine.errors import EngineError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- what the standard puts before every secret
_NAT64: Final = ip_network("64:ff9b::/96")
_GIVEN_OUT: Final = ip_network("2000::/3")
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class WebhookFailedError(EngineError):
    """Raised so that Lambda tries again, and then leaves the event in WebhookDLQ. Holds no URL."""


class SignedWebhook(Struct, frozen=True, kw_only=True):
    """What Secrets Manager keeps of one. `secret`: `whsec_` and the key in base64."""

    url: str
    secret: str


class WebhookDelivery(Struct, frozen=True, kw_only=True):
    """What the rule of a signed webhook hands to the function: the event, and for whom it is."""

    webhook: str
    event: dict[str, Any]


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public internet, or else the IPv4 address that it carries.

    Mapped, 6to4 and NAT64 (RFC 6052) carry one. No other IPv6 address outside 2000::/3 is a public host's:
    https://www.iana.org/assignments/ipv6-address-space
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        inside = IPv4Address(int(found) & 0xFFFF_FFFF) if found in _NAT64 else None
        found = inside or found.ipv4_mapped or found.sixtofour or found
    if isinstance(found, IPv6Address) and found not in _GIVEN_OUT:
        return False
    return found.is_global and not found.is_multicast


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`. `timestamp`: epoch seconds."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, sha256)).decode()}"


class SignedWebhooks:
    """`secrets`: a client of Secrets Manager; `prefix`: what the names of the webhooks' secrets begin with.

    `allow_private`: for a local AWS alone, whose endpoints lie on this machine.
    """

    def __init__(
        self, secrets: Any, prefix: str, clock: Callable[[], datetime], *, allow_private: bool = False
    ) -> None:
        self._secrets = secrets
        self._prefix = prefix
        self._clock = clock
        self._socket = None if allow_private else public_socket

    async def post(self, delivery: WebhookDelivery) -> None:
        """Raises WebhookFailedError for whatever is not 2xx, ServiceUnavailable where no secret is read."""
        with service_errors("Secrets Manager"):
            answer = await self._secrets.get_secret_value(SecretId=self._prefix + delivery.webhook)
        webhook = msgspec.json.decode(answer["SecretString"], type=SignedWebhook)
        body, now = msgspec.json.encode(delivery.event), int(self._clock().timestamp())
        message_id = str(delivery.event["id"])
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(webhook.secret, message_id, now, body),
        }
        try:
            status = await self._status(webhook.url, headers, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise WebhookFailedError(
                f"the webhook {delivery.webhook} could not be reached: {type(error).__name__}"
            ) from None
        if not 200 <= status < 300:
            raise WebhookFailedError(f"the webhook {delivery.webhook} answered {status}")

    async def _status(self, url: str, headers: dict[str, str], body: bytes) -> int:
        connector = aiohttp.TCPConnector(socket_factory=self._socket)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status


def public_socket(address: AddrInfoType) -> socket.socket:
    """A socket to a public address alone: DNS may say another one than when the webhook was added."""
    family, kind, protocol, _, target = address
    if not is_public(str(target[0])):
        raise PrivateAddressError("the host resolves to an address that is not public")
    return socket.socket(family, kind, protocol)


class PrivateAddressError(OSError):
    """A connection that is refused before it is opened."""
