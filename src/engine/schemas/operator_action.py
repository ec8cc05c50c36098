"""Operator Action: what is published when an operator intervenes."""

from typing import Annotated

from msgspec import Meta, Struct

OPERATOR_ACTION_DETAIL_TYPE = "Operator Action"


class OperatorAction(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; once for every act, when it is done."""

    action: Annotated[str, Meta(description="What was done, such as `stop`, `go` or `suppression-remove`.")]
    scope: Annotated[
        str, Meta(description="To what: a brake's scope, such as `template#welcome`, a queue or an address.")
    ]
    because: Annotated[str | None, Meta(description="Why, in the operator's words.")]
    by: Annotated[str, Meta(description="Who: the ARN of the credentials.")]
    timestamp: Annotated[str, Meta(description="When: ISO 8601 in UTC, such as `2026-11-24T08:15:30.250Z`.")]
