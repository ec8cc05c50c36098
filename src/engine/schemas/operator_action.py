"""Operator Action: what is told on the bus of every act of an operator, or of the engine in their place."""

from typing import Annotated

from msgspec import Meta, Struct

OPERATOR_ACTION_DETAIL_TYPE = "Operator Action"


class OperatorAction(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; at least once for every act that succeeded."""

    action: Annotated[str, Meta(description="What was done, such as `stop`, `go` or `cancel`.")]
    scope: Annotated[
        str,
        Meta(
            description="What it was done to; of a brake `all`, `bulk`, `template#NAME` or `campaign#NAME`."
        ),
    ]
    because: Annotated[str, Meta(description="The reason that was given, for a person to read.")]
    by: Annotated[str, Meta(description="Who did it; `engine` for what it does by itself.")]
    timestamp: Annotated[str, Meta(description="When: ISO 8601 in UTC, such as `2026-11-24T08:15:30.250Z`.")]
