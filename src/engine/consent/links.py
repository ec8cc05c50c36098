"""Signed unsubscribe links. A link names the topic and the address key, so that it outlives tracking rows."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode
from msgspec import Struct

from engine.errors import EngineError
from engine.tracking.consent import opt_out_key

VALID_SECONDS: Final = 400 * 86_400
"""13 months: a yearly mail's link still works when the next one comes."""

TOKEN: Final = "t"  # noqa: S105 - the name of the URL's parameter
LONGEST_TOKEN: Final = 1024
_SALT: Final = "unsubscribe"

LINK_VARIABLES: Final = ("unsubscribeUrl", "preferencesUrl")
"""Under which names a template finds the link."""


class BadLinkError(EngineError):
    """The link was not made here, was changed, or is older than 13 months."""


class Subscription(Struct, frozen=True):
    """A topic, and the key of the address that gets it."""

    topic: str
    address: str


class UnsubscribeLinks:
    """Makes and reads links. `keys`: secrets, the oldest first; the last one signs, each of them is believed.

    So a key is changed without breaking links: add the new one, and take the old one out 13 months later.
    """

    def __init__(self, base_url: str, keys: Sequence[str]) -> None:
        # The page answers at "/", and not every mail program asks for that where an address ends at its host.
        self._base_url = base_url if urlsplit(base_url).path else f"{base_url}/"
        self._signer = TimestampSigner(list(keys), salt=_SALT)

    def url(self, subscription: Subscription) -> str:
        signed = self._signer.sign(base64_encode(opt_out_key(subscription.address, subscription.topic)))
        return f"{self._base_url}?{TOKEN}={signed.decode()}"  # of letters that a URL takes as they are

    def read(self, token: str) -> Subscription:
        """Raises BadLinkError."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise BadLinkError("no token of ours is so long, or has such letters")
        try:
            key = base64_decode(self._signer.unsign(token, max_age=VALID_SECONDS))
        except BadData as error:
            raise BadLinkError(type(error).__name__) from None
        topic, _, address = key.decode().partition("#")
        return Subscription(topic, address)
