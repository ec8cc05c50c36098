"""Subscription Changed: what the engine publishes when a person unsubscribes or comes back."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

SUBSCRIPTION_DETAIL_TYPE: Final = "Subscription Changed"


class SubscriptionChanged(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; at least once for every change, so that your own records can follow."""

    address: Annotated[
        str, Meta(description="Key of the address: trimmed, domain as IDNA A-label, lower case.")
    ]
    topic: Annotated[str, Meta(description="The topic; `*` is every topic.")]
    subscribed: Annotated[
        bool,
        Meta(
            description="Whether the topic was taken up again or ended; what was ended by `*` stays so until"
            " `*` is taken up again."
        ),
    ]
    via: Annotated[
        Literal["one-click", "page", "operator"],
        Meta(description="A mail program's own button, the hosted page, or an operator's command."),
    ]
    timestamp: Annotated[str, Meta(description="When: ISO 8601 in UTC.")]
