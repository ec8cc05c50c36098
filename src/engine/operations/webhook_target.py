"""Where a webhook may lead, what it is called, and which events it gets. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from engine.aws.signed_webhooks import is_public
from engine.errors import EngineError
from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE, PublishedStatus
from engine.schemas.webhook_test import WEBHOOK_TEST_DETAIL_TYPE

UNSUBSCRIBED: Final = "unsubscribed"
EVENTS: Final = (*get_args(PublishedStatus), UNSUBSCRIBED)
LONGEST_NAME: Final = 12
"""AWS gives a rule, a connection and an API destination 64 characters; a stack may take 40 of them."""

_NAME: Final = re.compile(rf"[a-z0-9-]{{1,{LONGEST_NAME}}}")
_LONGEST_URL: Final = 2048
# What the InvocationEndpoint of an API destination may hold; a `*` would be a parameter of its path.
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateApiDestination.html
_URL: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[-()_.!~';/?:@&=+$,A-Za-z0-9])+")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,512}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,510}[\x21-\x7e])?")


class WebhookRefusedError(EngineError, ValueError):
    """Says what of a webhook can't be, and what to give instead."""


def host_of(url: str, *, local: bool) -> str:
    """The host of a URL that events may be posted to. `local`: plain http is let through as well."""
    schemes = ("https", "http") if local else ("https",)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WebhookRefusedError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in schemes or not host:
        raise WebhookRefusedError(f"{url!r} must be an {' or '.join(schemes)} URL")
    if "@" in parts.netloc:
        raise WebhookRefusedError(
            "a URL must not hold a user name or password: say --header NAME=VALUE instead"
        )
    if len(url) > _LONGEST_URL or not _URL.fullmatch(url):
        raise WebhookRefusedError(
            f"the URL has more than {_LONGEST_URL} characters, or one that EventBridge does not take"
            " (a fragment, a *): write others as %XX"
        )
    return host


def check_addresses(host: str, addresses: Iterable[str]) -> None:
    """Raises WebhookRefusedError unless all that a host resolves to lies in the public internet."""
    found = sorted(set(addresses))
    if not found:
        raise WebhookRefusedError(f"{host} resolves to no address: check its name in DNS")
    for text in found:
        if not is_public(text):
            raise WebhookRefusedError(
                f"{host} resolves to {text}, which is private, loopback, link-local or reserved: a webhook"
                " must be in the public internet"
            )


def name_of(given: str | None, host: str) -> str:
    """The name, or one made of the host. Raises WebhookRefusedError."""
    name = given if given is not None else re.sub(r"[^a-z0-9]+", "-", host)[:LONGEST_NAME].strip("-")
    if not _NAME.fullmatch(name):
        raise WebhookRefusedError(
            f"a webhook's name has 1 to {LONGEST_NAME} of a-z, 0-9 and -, and {name!r} has not: say --name"
        )
    return name


def events_named(text: str) -> tuple[str, ...]:
    """The events of a list with commas, each once. Raises WebhookRefusedError."""
    names = dict.fromkeys(part.strip() for part in text.split(",") if part.strip())
    if unknown := [name for name in names if name not in EVENTS]:
        raise WebhookRefusedError(f"no event is called {', '.join(unknown)}: there are {', '.join(EVENTS)}")
    if not names:
        raise WebhookRefusedError(f"say at least one event of {', '.join(EVENTS)}")
    return tuple(names)


def header_of(text: str) -> tuple[str, str]:
    """Name and value of `NAME=VALUE`. Raises WebhookRefusedError, which never holds the value."""
    name, equals, value = text.partition("=")
    if not equals or not _HEADER.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise WebhookRefusedError(
            "a header is NAME=VALUE, with a value of 1 to 512 printable ASCII characters"
        )
    return name, value


def pattern(name: str, events: Sequence[str], source: str | None) -> dict[str, Any]:
    """What the rule of a webhook matches. `source`: only email that it asked for.

    `$or`: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-content-based-filtering.html
    """
    wanted: list[dict[str, Any]] = []
    if statuses := [event for event in events if event != UNSUBSCRIBED]:
        of_source = {"originalSource": [source]} if source else {}
        detail = {"status": statuses, **of_source}
        wanted.append({"detail-type": [STATUS_EVENT_DETAIL_TYPE], "detail": detail})
    if UNSUBSCRIBED in events:
        wanted.append({"detail-type": [SUBSCRIPTION_DETAIL_TYPE], "detail": {"subscribed": [False]}})
    wanted.append({"detail-type": [WEBHOOK_TEST_DETAIL_TYPE], "detail": {"webhook": [name]}})
    return {"source": [STATUS_EVENT_SOURCE], "$or": wanted}


def wanted_by(pattern: dict[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """The events and the source that a rule's pattern, as `pattern` makes it, was made for."""
    events: list[str] = []
    source = None
    for wanted in pattern.get("$or", ()):
        detail = wanted.get("detail", {})
        events += detail.get("status", ())
        events += [UNSUBSCRIBED] if "subscribed" in detail else []
        source = next(iter(detail.get("originalSource", ())), source)
    return tuple(events), source
