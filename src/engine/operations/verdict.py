"""How every answer to an operator ends."""

from msgspec import Struct


class Verdict(Struct, frozen=True, kw_only=True, rename="camel"):
    """One sentence on what was found or done, and the command to run next where there is one.

    `good`: nothing is wrong, or what was asked is done; a command that is told otherwise exits with 1.
    """

    good: bool
    sentence: str
    next_command: str | None = None


def amount(count: int, thing: str) -> str:
    """Such as `1 email`, `1,200 emails`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
