"""What unsubscribe links are signed with, in Secrets Manager: the sender signs, the page believes."""

from typing import Any

import msgspec
from msgspec import Struct

from engine.aws.error_codes import service_errors
from engine.bootstrap.settings import SettingsError
from engine.consent.links import UnsubscribeLinks
from engine.errors import ServiceUnavailable


class SigningKeys(Struct, frozen=True):
    """The secret: `current` signs, `previous` is still believed; empty where there is none."""

    current: str
    previous: str = ""


async def read_signing_keys(client: Any, arn: str) -> list[str]:
    """The keys, the oldest first. `client`: of Secrets Manager.

    Raises SettingsError for a secret of another shape.
    """
    with service_errors("Secrets Manager"):
        answer = await client.get_secret_value(SecretId=arn)
    try:
        keys = msgspec.json.decode(answer["SecretString"], type=SigningKeys)
    except (msgspec.MsgspecError, KeyError):
        raise SettingsError(
            ['the secret of UNSUBSCRIBE_SECRET_ARN must be JSON such as {"current": "…", "previous": ""}']
        ) from None
    if not keys.current:
        raise SettingsError(["the secret of UNSUBSCRIBE_SECRET_ARN has an empty `current` key"])
    return [key for key in (keys.previous, keys.current) if key]


class HostedLinks:
    """Implements `LinkSource`. `client`: of Secrets Manager. `page_url`: where the page is hosted."""

    def __init__(self, client: Any, arn: str, page_url: str) -> None:
        self._client = client
        self._arn = arn
        self._page_url = page_url
        self._links: UnsubscribeLinks | None = None

    async def load(self) -> UnsubscribeLinks:
        if self._links is None:
            try:
                keys = await read_signing_keys(self._client, self._arn)
            except SettingsError as error:
                raise ServiceUnavailable(str(error)) from None
            self._links = UnsubscribeLinks(self._page_url, keys)
        return self._links
