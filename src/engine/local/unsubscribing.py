"""What a mail program does with List-Unsubscribe, against the hosted page on this machine."""

import re
from collections.abc import Mapping
from typing import Final

import aiohttp

from engine.local.ses.message import Message

ONE_CLICK: Final = {"List-Unsubscribe": "One-Click"}
"""Source: https://www.rfc-editor.org/rfc/rfc8058#section-3.2"""

_FUNCTION_URL: Final = re.compile(r"https://([a-z0-9-]+)\.lambda-url\.[a-z0-9-]+\.on\.aws/")
_ADDRESS: Final = re.compile(r"<(https://[^>]+)>")


def unsubscribe_link(message: Message) -> str | None:
    """The https address of the message's List-Unsubscribe header.

    Source: https://www.rfc-editor.org/rfc/rfc2369#section-3.2
    """
    values = [value for name, value in message.headers if name.lower() == "list-unsubscribe"]
    found = _ADDRESS.search(values[0]) if values else None
    return found[1] if found else None


def reachable(text: str, endpoint: str) -> str:
    """A text whose function URLs, names that AWS alone resolves, lead to the emulator at `endpoint`."""
    return _FUNCTION_URL.sub(rf"{endpoint}/_aws/lambda-url/\1/", text)


async def post(link: str, endpoint: str, form: Mapping[str, str] = ONE_CLICK) -> int:
    """Press a button of the page, or "Unsubscribe" as a mail program does; the HTTP status of the answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(reachable(link, endpoint), data=form) as answer,
    ):
        return answer.status
