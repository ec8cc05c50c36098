"""Signed unsubscribe links. A link names the topic and the address key, so that it outlives tracking rows."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from itsdangerous import BadData, URLSafeTimedSerializer
from msgspec import Struct

from engine.errors import EngineError

VALID_SECONDS: Final = 400 * 86_400
"""13 months: a yearly mail's link still works when the next one comes."""

TOKEN: Final = "t"  # noqa: S105 - the name of the URL's parameter
LONGEST_TOKEN: Final = 1024
_SALT: Final = "unsubscribe"


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
        self._base_url = base_url
        self._serializer = URLSafeTimedSerializer(list(keys), salt=_SALT)

    def url(self, subscription: Subscription) -> str:
        token = self._serializer.dumps([subscription.topic, subscription.address])
        return f"{self._base_url}?{urlencode({TOKEN: token})}"

    def read(self, token: str) -> Subscription:
        """Raises BadLinkError."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise BadLinkError("no token of ours is so long, or has such letters")
        try:
            topic, address = self._serializer.loads(token, max_age=VALID_SECONDS)
        except BadData as error:
            raise BadLinkError(type(error).__name__) from None
        return Subscription(topic, address)
